"""The promises of every optimizer, whatever its method, as its `entry` words them.

Two things cannot be tested here: that a method is any good, and that it never opens a table's file
by itself. Tested is that its module imports nothing that knows the answers, and that it makes the
same trials in a process that has no such module.
"""

import copy
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hpobench_llm.errors import OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Trial
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.optimizers.registry import build, entry
from hpobench_llm.testing.drive import Outcome, arguments, build_for, configs, recorded, trials
from hpobench_llm.testing.elsewhere import repeat

if TYPE_CHECKING:  # an optimizer's module may import this one, and must not import a benchmark
    from hpobench_llm.testing.benchmarks import TwoLossToy


class OptimizerContract:
    """Tests of one optimizer, for pytest or (beside `unittest.TestCase`) for unittest.

    Attributes:
        optimizer: the class, at the top level of its module, or the name in the registry.
        budget: how many trials leave the start behind: random draws, or a first population.
    """

    optimizer: ClassVar[str | type[Optimizer]]
    budget: ClassVar[int] = 45

    def at_most(self, budget: int) -> int:
        """Return `budget`, or `self.budget` where that is less: then the start is left behind."""
        return min(budget, self.budget)

    @property
    def entry(self) -> Entry:
        """What the optimizer says it can do."""
        return entry(self.optimizer)

    def test_trials_are_numbered_and_stay_in_the_space(self) -> None:
        """Trials are numbered from 0, in canonical configurations of the space."""
        for benchmark in benchmarks():
            run = trials(self.optimizer, benchmark, budget=self.at_most(20))
            promise(bool(run), f"{benchmark.name}: it asked for nothing")
            self._in_order(run, benchmark)

    def test_every_kind_of_space_is_searched(self) -> None:
        """Forty names, an axis of one name, integers alone, and a single real axis."""
        for benchmark in (toy("names"), toy("integers"), toy("axis")):
            run = trials(self.optimizer, benchmark, budget=self.budget)
            if self.entry.ends:  # it may end on fewer values of a real axis than the budget
                promise(bool(run), f"{benchmark.name}: it asked for nothing")
            else:
                self._uses(len(run), self.budget, benchmark.name)
            self._in_order(run, benchmark)

    def test_proportions_sum_to_one(self) -> None:
        """A simplex of levels and one of ranges are searched, and a design on it is evaluated."""
        for benchmark in (toy("shares"), toy("mixture")):
            rng = np.random.default_rng(0)
            design = [benchmark.space.sample(rng) for _ in range(2)]
            run = trials(self.optimizer, benchmark, budget=9, initial=design)
            promise(len(run) > len(design), f"{benchmark.name}: it asked for nothing of its own")
            promise([t.config for t in run[:2]] == design, f"{benchmark.name}: another design")
            self._in_order(run, benchmark)  # canonical: on the simplex

    def test_the_whole_budget_is_used_where_the_space_is_large(self) -> None:
        """The budget is used up to its last trial."""
        for benchmark in (toy("sphere"), toy("mixed")):
            budget = self.at_most(20)
            self._uses(
                len(trials(self.optimizer, benchmark, budget=budget)), budget, benchmark.name
            )

    def test_nothing_is_asked_beyond_the_budget(self) -> None:
        """No more trials than the budget says, none of a budget of 0."""
        for workers in (1, 3):
            for budget in (7, 0):
                run = trials(
                    self.optimizer, toy("sphere"), budget=budget, workers=workers, asks=100
                )
                self._uses(len(run), budget, f"{workers} workers")

    def test_a_finite_space_is_searched_to_its_end_or_over_and_over(self) -> None:
        """`ends`: each of 8 configurations once; otherwise the budget is used up."""
        budget = max(self.at_most(50), 12)
        run = configs(self.optimizer, toy("tiny"), budget=budget)
        if self.entry.ends:
            distinct = {json.dumps(config) for config in run}
            promise(
                len(distinct) == len(run) == 8,
                f"`ends`: {len(run)} trials of 8 configurations, {len(distinct)} distinct",
            )
        else:
            self._uses(len(run), budget, "8 configurations; does its entry lack `ends`?")

    def test_one_configuration_is_enough(self) -> None:
        """A space of a single configuration is asked for, once (`ends`) or over and over."""
        budget = self.at_most(40)
        run = configs(self.optimizer, toy("single"), budget=budget)
        self._uses(len(run), 1 if self.entry.ends else budget, "one configuration")
        promise(all(c == {"rank": 8, "modules": "qv"} for c in run), f"one configuration: {run}")

    def test_another_process_repeats_the_trials_without_a_benchmark(self) -> None:
        """The same seed gives the same trials where nothing that knows the answers is imported.

        Nor is anything printed there, nor a file left behind.
        """
        bounded = toy("sphere").constrained({"far": 0.5})
        records = [recorded(self.optimizer, benchmark, budget=15) for benchmark in benchmarks()]
        records.append(recorded(self.optimizer, toy("sphere"), workers=4, budget=self.budget))
        records.append(recorded(self.optimizer, bounded, budget=15))
        with tempfile.TemporaryDirectory() as folder:
            answers = repeat(self.optimizer, records, Path(folder))
        for record, answer in zip(records, answers, strict=True):
            asked = [c["trial"] for c in record.to_json()["calls"] if "evaluation" not in c]
            for here, there in zip(asked, answer, strict=False):
                # repr, since 2 == 2.0 and 0.0 == -0.0
                promise(
                    repr(here) == repr(there),
                    f"another process asked for {there} where this one asked for {here}",
                )

    def test_the_global_generators_are_left_alone(self) -> None:
        """All randomness is the optimizer's own."""
        before = generators()
        trials(self.optimizer, toy("mixed"), budget=self.at_most(20))
        for name, state in generators().items():
            promise(before.get(name, state) == state, f"it used the global generator of {name}")

    def test_ties_are_survived(self) -> None:
        """All trials may have the same outcome."""
        same = Evaluation(metrics=dict.fromkeys(toy("sphere").metrics, 1.0), cost_seconds=1.0)
        self._survives(lambda trial, _: (trial, same), "ties")

    def test_failed_trials_are_survived(self) -> None:
        """All trials may fail, or every kind of outcome may come in turn."""
        failed = Evaluation(metrics={}, cost_seconds=1.0, status="diverged")
        self._survives(lambda trial, _: (trial, failed), "failed trials")

        def mixture(trial: Trial, evaluation: Evaluation) -> tuple[Trial, Evaluation]:
            kinds = (
                evaluation,
                Evaluation(metrics={}, cost_seconds=math.nan, status="out_of_memory"),
                replace(evaluation, metrics=dict.fromkeys(evaluation.metrics, math.nan)),
                replace(evaluation, status="failed"),
                replace(evaluation, metrics=dict.fromkeys(evaluation.metrics, math.inf)),
            )
            return trial, kinds[trial.number % len(kinds)]

        self._survives(mixture, "outcomes of every kind")

    def test_maximising_a_score_is_minimising_its_negative(self) -> None:
        """The metrics' directions are obeyed."""
        runs = [
            configs(self.optimizer, toy("mixed"), metrics=(name, "far"), budget=self.at_most(30))
            for name in ("score_toy", "val_loss")
        ]
        promise(
            runs[0] == runs[1],
            "maximising a score asked for other trials than minimising its negative; "
            "`evaluation.loss(metric)` is lower-is-better for both",
        )

    def test_several_workers_are_kept_busy(self) -> None:
        """Four trials are asked for at once, one if `sequential`; 8 workers use the budget up."""
        with closing(build_for(self.optimizer, toy("sphere"), budget=30)) as instance:
            count = sum(instance.ask() is not None for _ in range(4))
        wanted = 1 if self.entry.sequential else 4
        promise(count == wanted, f"{count} of 4 trials at once, its entry says {wanted}")
        count = len(trials(self.optimizer, toy("sphere"), workers=8, budget=self.budget))
        self._uses(count, self.budget, "8 workers")

    def test_configurations_may_be_moved_before_they_are_evaluated(self) -> None:
        """On a table the nearest measured configuration is evaluated, and `tell` names it."""
        benchmark = toy("sphere")

        def outcome(trial: Trial, _: Evaluation) -> tuple[Trial, Evaluation]:
            moved: Any = {a: round(float(v) * 4) / 4 for a, v in trial.config.items()}
            return replace(trial, config=moved), benchmark.query(moved, fidelity=trial.fidelity)

        self._in_order(self._survives(outcome, "moved configurations", workers=2), benchmark)

    def test_an_initial_design_comes_first_and_counts(self) -> None:
        """The given configurations are the first trials, in full, and part of the budget."""
        rng = np.random.default_rng(1)
        for benchmark in (toy("bowl"), toy("sphere"), toy("mixed")):
            design = [benchmark.space.sample(rng) for _ in range(4)]
            run = trials(self.optimizer, benchmark, initial=design, budget=12)
            first = [trial.config for trial in run[:4] if trial.fidelity is None]
            promise(first == design, f"{benchmark.name}: the initial design did not come first")
            self._uses(len(run), 12, benchmark.name)
            self._in_order(run, benchmark)

    def test_an_initial_design_is_survived_by_several_workers(self) -> None:
        """A design may be shorter or longer than the method's own start."""
        benchmark, rng, workers = toy("mixed"), np.random.default_rng(1), 8
        for size, budget in ((1, self.at_most(40)), (25, 25 + workers)):
            design = [benchmark.space.sample(rng) for _ in range(size)]
            run = trials(self.optimizer, benchmark, initial=design, budget=budget, workers=workers)
            self._uses(len(run), budget, f"after a design of {size}")
            first = [trial.config for trial in run[:size]]
            promise(first == design[: len(run)], "the initial design did not come first")

    def test_objectives_are_taken_as_its_entry_says(self) -> None:
        """`objectives`: one is always taken, two and three only if it takes `several`."""
        benchmark = toy("sphere")
        kwargs = arguments(self.optimizer, benchmark, budget=self.budget)
        names = ("val_loss", "far", "score_toy")
        if self.entry.objectives == "several":
            for count, budget in ((1, self.budget), (3, 10)):
                run = trials(self.optimizer, benchmark, metrics=names[:count], budget=budget)
                self._uses(len(run), budget, f"{count} objectives")
        else:
            kwargs["objectives"] = [benchmark.metrics[name] for name in names[:2]]
            with refused("two objectives, and its entry says that it takes one"):
                build(self.optimizer, **kwargs).close()

    def test_fidelities_are_used_as_its_entry_says(self) -> None:
        """`fidelity`: trials in part, and refused without an axis; otherwise all in full."""
        run = trials(self.optimizer, toy("sphere"), budget=self.at_most(30))
        levels = {json.dumps(trial.fidelity) for trial in run}
        kwargs = arguments(self.optimizer, toy("sphere"), budget=5) | {"fidelities": ()}
        if self.entry.fidelity:
            promise(len(levels) > 1, "its entry says `fidelity`, and all trials had the same")
            with refused("a benchmark without fidelities, and its entry says that it needs one"):
                build(self.optimizer, **kwargs).close()
        else:
            promise(levels == {"null"}, f"its entry lacks `fidelity`, and it asked for {levels}")
            with closing(build(self.optimizer, **kwargs)) as instance:
                promise(instance.ask() is not None, "without fidelities it asked for nothing")

    def test_constraints_are_taken_as_its_entry_says(self) -> None:
        """`constraints`: it sees by how much they are broken. It may be that none is kept."""
        benchmark = toy("sphere").constrained({"far": 0.5})
        with closing(build_for(self.optimizer, benchmark, budget=5)) as instance:
            promise(
                instance.takes_constraints == self.entry.constraints,
                "`takes_constraints` of the class and `constraints` of its entry differ",
            )
        for excess in (None, math.inf):

            def outcome(
                trial: Trial, evaluation: Evaluation, excess: float | None = excess
            ) -> tuple[Trial, Evaluation]:
                if excess is None:
                    return trial, evaluation
                return trial, replace(evaluation, constraints={"far": excess})

            count = len(trials(self.optimizer, benchmark, outcome=outcome, budget=15))
            self._uses(count, 15, "under a constraint")

    def test_sources_are_used_as_its_entry_says(self) -> None:
        """`transfer`: other related tasks, other trials, and refused without any."""
        from hpobench_llm.testing.benchmarks import TwoLossToy, related

        benchmark = toy("sphere")
        near, far = related(benchmark), related(TwoLossToy("far", benchmark.space, 0.4))
        run = configs(self.optimizer, benchmark, sources=near, budget=12)
        other = configs(self.optimizer, benchmark, sources=far, budget=12)
        if self.entry.transfer:
            promise(run != other, "its entry says `transfer`, and other sources changed nothing")
            with refused("no source, and its entry says that it needs one"):
                build_for(self.optimizer, benchmark, sources=(), budget=5).close()
        else:
            promise(run == other, "its entry lacks `transfer`, and other sources changed trials")

    def test_what_it_was_given_is_left_as_it_was(self) -> None:
        """The initial design and the sources are other optimizers' too."""
        benchmark, rng = toy("mixed"), np.random.default_rng(1)
        design = [benchmark.space.sample(rng) for _ in range(3)]
        kwargs = arguments(self.optimizer, benchmark, budget=self.budget, initial=design)
        shared = {"initial": design, "sources": kwargs["sources"]}
        before = copy.deepcopy(shared)
        trials(self.optimizer, benchmark, budget=self.budget, **shared)
        promise(before == shared, "it changed its initial design or its sources")

    def _survives(self, outcome: Outcome, what: str, workers: int = 1) -> list[Trial]:
        run = trials(
            self.optimizer, toy("sphere"), budget=self.budget, outcome=outcome, workers=workers
        )
        self._uses(len(run), self.budget, what)
        return run

    def _uses(self, count: int, budget: int, where: str) -> None:
        """Check that the budget was used up; one that `stops` may have left some of it."""
        enough = 0 < count <= budget if self.entry.stops and budget else count == budget
        promise(enough, f"{where}: {count} of {budget} trials")

    def _in_order(self, run: list[Trial], benchmark: "TwoLossToy") -> None:
        numbers = [trial.number for trial in run]
        promise(numbers == list(range(len(run))), f"{benchmark.name}: numbered {numbers}")
        for trial in run:
            # repr, since 2 == 2.0 and 0.0 == -0.0
            canonical = repr(benchmark.space.canonical(trial.config))
            promise(canonical == repr(trial.config), f"not canonical: {trial.config}")
            promise("-0.0," not in canonical, f"a negative zero: {trial.config}")


def promise(kept: bool, otherwise: str) -> None:
    """Raise `AssertionError`, also under `python -O`, unless a promise was kept."""
    if not kept:
        raise AssertionError(otherwise)


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Raise `AssertionError` unless an `OptimizerError` is raised inside."""
    try:
        yield
    except OptimizerError:
        return
    raise AssertionError(f"it took {what}")


def generators() -> dict[str, str]:
    """Return the states of the global random generators; torch's where it is loaded."""
    states = {"random": repr(random.getstate()), "numpy": repr(np.random.get_state())}  # noqa: NPY002 - they are what is watched
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        states["torch"] = repr((torch.get_rng_state().tolist(), torch.get_num_threads()))
    return states


def toy(name: str) -> "TwoLossToy":
    """Return a benchmark by name."""
    from hpobench_llm.testing import benchmarks as toys

    benchmark: TwoLossToy = getattr(toys, name)()
    return benchmark


def benchmarks() -> list["TwoLossToy"]:
    """Return the benchmarks that every optimizer has to take."""
    return [toy(name) for name in ("bowl", "sphere", "mixed", "single")]
