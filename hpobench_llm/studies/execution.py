"""Run a study: every replay that its folder lacks, in processes here or on a Ray cluster."""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from hpobench_llm.artefacts import make_folder
from hpobench_llm.errors import HpobenchError, IntegrityError, MissingDependencyError
from hpobench_llm.running.here import here
from hpobench_llm.running.processes import in_processes
from hpobench_llm.running.tasks import Answer
from hpobench_llm.studies.folder import StudyFolder
from hpobench_llm.studies.live_folder import LiveFolder
from hpobench_llm.studies.results import FAILURES, TRAJECTORIES
from hpobench_llm.studies.runner import Runner
from hpobench_llm.studies.study import OpenStudy, StudyCell, StudySpec

HANGS = 2  # after so many on a benchmark, an optimizer's other seeds are left out


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What a run of a study did: how many replays ran now, and which failed and why."""

    ran: int
    failed: dict[StudyCell, str]

    def lines(self, total: int, out: Path) -> list[str]:
        """Return what ran, what failed and why, and where it all is, for people.

        The seeds of an optimizer that failed on a benchmark for the same reason share a line.
        """
        done = total - len(self.failed)
        path = out / TRAJECTORIES if done else out
        lines = [f"{self.ran} replays ran now; {done} of {total} are in {path}"]
        if not self.failed:
            return lines
        seeds: dict[tuple[str, str, str], list[int]] = {}
        for cell, reason in self.failed.items():
            seeds.setdefault((cell.optimizer, cell.benchmark, reason), []).append(cell.seed)
        lines.append(f"{len(self.failed)} failed, and are tried again by another start:")
        for (optimizer, benchmark, reason), failed in seeds.items():
            plural = "s" if len(failed) > 1 else ""
            numbers = ", ".join(map(str, failed))
            lines.append(f"  {optimizer} on {benchmark}, seed{plural} {numbers}: {reason}")
        return [*lines, f"they are listed in {out / FAILURES}"]


def run_study(
    study: OpenStudy,
    out: Path,
    *,
    processes: int | None = None,
    ray_address: str | None = None,
    on_done: Callable[[int, int, str], None] = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
    on_wait: Callable[[], None] = lambda: None,
    on_begin: Callable[[], None] = lambda: None,
) -> StudyOutcome:
    """Run every replay that `out` does not hold yet, and merge all that it holds then.

    A replay that raises, hangs or ends its process does not stop the others: it is listed in
    `failures.json`, and tried again when the study is run again. An optimizer that hangs for
    two seeds of a benchmark is not tried with more of them. Optimizers that were typed in, in a
    notebook, run in this process, as no other can import them.

    Args:
        study: the study; its open benchmarks are not opened again.
        out: its folder. See `folder`.
        processes: how many replays run at a time; None: one a core, here or of the cluster, but
            one in all for a study that trains.
        ray_address: run on the Ray cluster there, `auto`: on this machine's; None: in processes.
        on_done: called with the number of replays that are done, of how many, and the last one.
        on_note: called with a line for what `out` holds, and for each thing in it that is damaged
            or of other code and runs again.
        on_wait: called about twice a second while replays run here; what it raises ends all.
        on_begin: called once the folder is this study's, and no other process uses it.

    Raises:
        SpecError: `out` holds a study that this one does not go on from; names the key.
        HpobenchError: `out` is no folder that can be written, another process runs a study in
            it, or there is no cluster.
        MissingDependencyError: Ray is not installed.
    """
    spec = study.spec
    make_folder(out, "out")
    with _alone_in(out):
        folder = StudyFolder(out, study, on_note)
        total, missing = len(spec.cells()), folder.missing()
        if 0 < len(missing) < total:
            on_note(f"{total - len(missing)} of {total} replays are there; {len(missing)} run now")
        done, failed, hangs = (
            total - len(missing),
            dict[StudyCell, str](),
            Counter[tuple[str, str]](),
        )

        def pending(cells: list[StudyCell]) -> Iterator[StudyCell]:
            for cell in cells:
                if hangs[cell.benchmark, cell.optimizer] < HANGS:
                    yield cell
                else:
                    failed[cell] = f"not run: it hung for {HANGS} other seeds"

        live = None if ray_address is not None else LiveFolder.of(study, out)
        if live is not None and (damage := live.begin()):
            on_note(damage)
        on_begin()
        own = Runner(spec, folder.identity, study.modules, live)
        imported = tuple(name for name in spec.optimizers if name not in spec.typed)
        # Other processes cannot import a typed class, so their study must not name one.
        runner = Runner(
            replace(spec, optimizers=imported or spec.optimizers),
            folder.identity,
            study.modules,
            live,
        )
        at_a_time = processes or (1 if spec.trains else os.cpu_count()) or 1
        count = max(1, min(at_a_time, len(missing)))
        elsewhere = pending([cell for cell in missing if cell.optimizer not in spec.typed])
        answers = (
            in_processes(
                elsewhere, runner.replay, count=count, timeout=spec.timeout, on_wait=on_wait
            )
            if ray_address is None
            else _on_ray(elsewhere, runner, spec, processes, ray_address)
        )
        typed = here([cell for cell in missing if cell.optimizer in spec.typed], own.replay)
        if spec.typed and missing:
            on_note(
                f"{', '.join(spec.typed)}: no other process can import what was typed in, so its "
                "replays run in this one, at the end and one after another"
            )
        with closing(answers), closing(typed):
            for answer in chain(answers, typed):
                cell, failure = answer.task, answer.failure
                if answer.value is not None:
                    failure = _keep(folder, cell, answer.value)
                if failure:
                    failed[cell] = failure
                    hangs[cell.benchmark, cell.optimizer] += answer.hung
                done += 1
                on_wait()
                on_done(done, total, f"{cell.optimizer} seed {cell.seed}")
        # The order in which replays end differs from run to run; the list of failures must not.
        in_order = {cell: failed[cell] for cell in missing if cell in failed}
        folder.merge(in_order)
    return StudyOutcome(len(missing) - len(failed), in_order)


def _keep(folder: StudyFolder, cell: StudyCell, trials: bytes) -> str:
    """Keep a replay's trials; return why they cannot be kept, empty if they are."""
    try:
        folder.keep(cell, trials)
    except IntegrityError as error:
        return str(error)
    return ""


def _on_ray(
    cells: Iterator[StudyCell], runner: Runner, spec: StudySpec, count: int | None, address: str
) -> Generator[Answer[StudyCell, bytes], None, None]:
    try:
        from hpobench_llm.running.on_ray import on_ray
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "ray", "--executor ray") from None
    return on_ray(cells, runner.replay, count=count, timeout=spec.timeout, address=address)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system takes away from a process that is killed."""
    lock = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise HpobenchError(f"{out}: another process runs a study in this folder") from None
    finally:
        os.close(lock)
