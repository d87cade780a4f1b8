"""A study in Python: its optimizers and benchmarks, its run into a folder, and its result."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hpobench_llm.console import say
from hpobench_llm.errors import ConfigurationError, shown
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.registry import name_of
from hpobench_llm.progress import Progress
from hpobench_llm.report.compare import Result, compare
from hpobench_llm.report.live_study import LiveStudy
from hpobench_llm.spec import parse_spec
from hpobench_llm.studies.checks import checked, read_study
from hpobench_llm.studies.execution import run_study
from hpobench_llm.studies.outlook import outlook
from hpobench_llm.studies.study import OpenStudy, StudySpec
from hpobench_llm.studies.suites import expanded

WHERE = "Study"  # stands for the file in errors


class Study:
    """Optimizers times benchmarks times seeds, as in a study's file.

        >>> study = Study(["toy-bowl"], ["random", "sobol"], seeds=3, budget=10)
        >>> result = study.run("out/first", processes=1, progress=False)
        >>> len(result.to_frame())
        60

    Everything is checked here, before the first replay.

    Args:
        benchmarks: names or folders, also with a kind (`surrogate:lora-nano`); one text
            `suite:NAME` stands for a suite's problems and their objectives.
        optimizers: names, where classes lie (`my_module:MyClass`), and classes. Other processes
            import a class by its module; one that was typed in, in a notebook, runs in this
            process alone, one replay after another.
        seeds: how many replays of each optimizer on each benchmark.
        budget: of each replay: how many trials, or one unit and its amount. See `Budget`.
        name: what the study is called.
        title: the heading of its report; its name where there is none.
        keys: all others that a study's file may have. See `StudySpec`.

    Raises:
        SpecError: naming key, value and what to do.
        UnknownNameError: a benchmark, an optimizer or an objective does not exist.
        ConfigurationError: a class of an optimizer lies where no import reaches it.
    """

    def __init__(
        self,
        benchmarks: str | Sequence[str | Path],
        optimizers: Sequence[str | type[Optimizer]],
        *,
        seeds: int,
        budget: int | dict[str, float],
        name: str = "study",
        title: str = "",
        **keys: Any,
    ) -> None:
        raw = {
            "benchmarks": benchmarks
            if isinstance(benchmarks, str)
            else [_named(benchmark) for benchmark in _listed("benchmarks", benchmarks)],
            "optimizers": [name_of(optimizer) for optimizer in _listed("optimizers", optimizers)],
            "seeds": seeds,
            "budget": budget,
            "name": name,
            "title": title or name,
            **{key: list(v) if isinstance(v, tuple) else v for key, v in keys.items()},
        }
        spec = parse_spec(expanded(raw, Path(WHERE)), StudySpec, file=WHERE)
        self._study = checked(spec, WHERE)

    @classmethod
    def read(cls, path: str | Path) -> "Study":
        """Return the study of a file, which is checked.

        Raises:
            SpecError, UnknownNameError: as the class.
        """
        study = cls.__new__(cls)
        study._study = read_study(Path(path))
        return study

    @property
    def spec(self) -> StudySpec:
        """What the study is: all of its keys."""
        return self._study.spec

    def run(
        self, out: str | Path, *, processes: int | None = None, progress: bool = True
    ) -> Result:
        """Run every replay that a folder does not hold yet, and return the result of all.

        A replay that fails stops no other: `result.comparison.failures` has it, and another run
        tries it again. A study with more seeds, optimizers, benchmarks or budget goes on from
        what the folder holds.

        Args:
            out: the folder.
            processes: how many replays run at a time; None: one a core, of a study that trains
                one.
            progress: tell on stderr what will be compared, and how far it is; of a study that
                trains on its page too.

        Raises:
            SpecError: the folder holds a study that this one does not go on from.
            IntegrityError: every replay failed.
        """
        if processes is not None and (not isinstance(processes, int) or processes < 1):
            raise ConfigurationError(f"`processes`: at least 1, got {shown(processes)}")
        if progress:
            for line in outlook(self._study):
                say(line)
            _run_and_tell(self._study, Path(out), processes)
        else:
            run_study(self._study, Path(out), processes=processes)
        return compare(out)

    def __repr__(self) -> str:
        spec = self.spec
        return (
            f"<study {spec.name}: {len(spec.optimizers)} optimizers on {len(spec.optimized)} "
            f"benchmarks, {spec.seeds} seeds, {len(spec.cells())} replays>"
        )


def _run_and_tell(study: OpenStudy, out: Path, processes: int | None) -> None:
    total = len(study.spec.cells())
    with ExitStack() as stack:
        live = stack.enter_context(LiveStudy(study, out)) if study.spec.trains else None
        shown_progress = stack.enter_context(Progress(total, study.spec.name))
        outcome = run_study(
            study,
            out,
            processes=processes,
            on_done=lambda done, _, text: shown_progress.advance_to(done, text),
            on_note=say,
            on_wait=live.look if live else lambda: None,
            on_begin=live.begin if live else lambda: None,
        )
    for line in [*outcome.lines(total, out)[1:], *(live.lines() if live else [])]:
        say(line)


def _listed(key: str, names: object) -> list[Any]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"`{key}`: a list is expected, got {shown(names)}")
    return list(names)


def _named(benchmark: object) -> str:
    """Return a benchmark's name as in a study's file: other processes open it by name."""
    if not isinstance(benchmark, str | Path):
        raise ConfigurationError(
            f"`benchmarks`: a name or a folder is expected, got {shown(benchmark)}"
        )
    return str(benchmark)
