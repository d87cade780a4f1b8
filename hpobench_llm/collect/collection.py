"""A collection from a campaign's file to its sealed table: what `collect-grid` calls."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.dry_run import describe
from hpobench_llm.collect.executors.here import collect_here
from hpobench_llm.collect.executors.in_processes import collect_in_processes
from hpobench_llm.collect.executors.signals import StopSignals
from hpobench_llm.collect.executors.work import Job, runs_done, runs_of
from hpobench_llm.collect.families import family_of, read_grid
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.outcomes import best, outcome
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.seal import lacking_items, seal
from hpobench_llm.collect.sealable import check_sealable
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.console import say
from hpobench_llm.errors import (
    ConfigurationError,
    LedgerError,
    MissingDependencyError,
    UnknownNameError,
)
from hpobench_llm.progress import Progress
from hpobench_llm.tables.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a campaign is collected.

    Args:
        ledger: another folder than the table's, or a URL (`s3://...`), for the ledger.
        engine: how runs are made, a name of the campaign's family; `auto`: its first.
        pack_size: how many runs are made together; 0: as when it began, else as this machine can.
        device: where.
        workers: processes on this machine, None: this one alone; with Ray the most workers, None:
            as many as there is room for.
        shard: (K, N): every N-th task from K on, for collectors that share nothing but the ledger.
        executor: `local`: on this machine; `ray`: on a cluster.
        ray_address: of the cluster; `auto`: the one that this machine belongs to, or a new one.
        gpus_per_worker: a share of one GPU, or a whole number of them; with Ray.
        trust: which code of others the scores may run.

    Raises:
        ConfigurationError: a value that cannot be.
    """

    ledger: str | None = None
    engine: str = "auto"
    pack_size: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = None
    shard: tuple[int, int] = (0, 1)
    executor: Literal["local", "ray"] = "local"
    ray_address: str = "auto"
    gpus_per_worker: float = 1.0
    trust: Trust = NONE

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("pack_size", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"`{name}` must be at least {least}, got {value}")
        share = self.gpus_per_worker
        if not (0 < share <= 1 or (1 < share < math.inf and float(share).is_integer())):
            raise ConfigurationError(
                f"`gpus_per_worker` must be a share of one GPU or a whole number of them, "
                f"got {share}"
            )
        if not 0 <= self.shard[0] < self.shard[1]:
            raise ConfigurationError(
                f"`shard` must be (K, N) with 0 <= K < N, got {tuple(self.shard)}"
            )
        for name, choices in (("device", ("auto", "cpu", "cuda")), ("executor", ("local", "ray"))):
            if getattr(self, name) not in choices:
                raise UnknownNameError(name, getattr(self, name), choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How far a collection is.

    Args:
        done: how many trainings are in the ledger.
        wanted: how many the campaign asks for; runs that are timed alone count once more.
        trained: how many of those in the ledger this call has made.
        lost_workers: how many workers of a cluster were lost on the way.
        claimed: how many of the missing ones other collectors are making.
        table: the sealed table, once all are there.
        lacking_items: how many runs lack the values of single items that they should hold.
    """

    done: int
    wanted: int
    trained: int
    lost_workers: int = 0
    claimed: int = 0
    table: Table | None = None
    lacking_items: int = 0


def collect_grid(
    campaign: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    on_note: Callable[[str], None] = say,
) -> Collected:
    """Train every (configuration, seed) of a campaign that is not there yet, and seal the table.

    Started again, it continues; nothing is trained twice. Several processes may share one folder.
    SIGTERM and Ctrl-C end it at the next step; what was finished is kept. With several workers
    call it under `if __name__ == "__main__":`, since they import the script that calls it.

    Args:
        campaign: the campaign's file.
        out: the folder that gets the table, and the ledger unless `options` say otherwise.
        options: how; by default all in this process.
        on_note: called with a line for people whenever they should know something.

    Raises:
        SpecError, DataError: the campaign, its base, data or scores cannot be used.
        LedgerError: the ledger is another campaign's or cannot be written, or a worker died.
        ConfigurationError: options that do not go together, a place that cannot be written.
        Interrupted: after a signal.

    Example:
        >>> from hpobench_llm import collect_grid
        >>> collected = collect_grid("collect/smoke.toml", "out/smoke")  # doctest: +SKIP
        >>> collected.table.metadata.name  # doctest: +SKIP
        'smoke'
    """
    with StopSignals() as stop:
        return Collection(campaign, out, options or Options(), on_note).complete(stop)


def seal_now(
    campaign: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    on_note: Callable[[str], None] = say,
) -> Table:
    """Make a table of the runs that are there, however many are missing; train nothing.

    Raises:
        LedgerError: there is no run, or the table cannot be written.
    """
    return Collection(campaign, out, options or Options(), on_note).seal(partial=True)


def dry_run(
    campaign: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    assumptions: Assumptions | None = None,
    on_note: Callable[[str], None] = say,
) -> list[str]:
    """Do all that a start does before its first step; returns what would run, in lines for people.

    `assumptions` are those of the estimate of costs, by default of this machine.

    Raises:
        SpecError, DataError, LedgerError: whatever a start would raise.
    """
    collection = Collection(campaign, out, options or Options(), on_note)
    return collection.describe(assumptions or Assumptions())


class Collection:
    """A campaign that was read, its ledger, and the tasks that it is cut into.

    See `collect_grid` for the arguments.
    """

    def __init__(
        self,
        campaign: str | Path,
        out: str | Path,
        options: Options,
        on_note: Callable[[str], None],
    ) -> None:
        self.file, self.out, self.options = Path(campaign), Path(out), options
        self._note = on_note
        _check_out(self.out)
        self.campaign = read_grid(self.file)
        # Now, since what can never be sealed would otherwise show after the last run.
        check_sealable(self.campaign, self.file)
        self.ledger = self._opened()
        self._family = family_of(self.campaign)
        engines = self._family.engines
        engine = engines[0] if options.engine == "auto" else options.engine
        if engine not in engines:
            raise UnknownNameError("engine", engine, engines)
        # The first engine alone makes runs together.
        self._pack_size = self._runs_together() if engine == engines[0] else 1
        self.tasks = self._family.tasks(self.campaign, engine, self._pack_size)

    def _opened(self) -> Ledger:
        storage = open_storage(self.options.ledger or self.out)
        ledger = Ledger(storage, self.campaign.identity())
        ledger.refresh()
        sealed = (self.out / "table.json").exists()
        # A shipped table has no ledger: runs collected now would replace its rows.
        if ledger.header() is None and sealed and not ledger.records:
            raise LedgerError(
                f"{self.out} holds a sealed table without its ledger, so nothing can be added to "
                "it; give another folder"
            )
        if ledger.damaged:
            self._note(f"{ledger.damage()}; their runs are trained again")
        return ledger

    def _runs_together(self) -> int:
        """Return how many runs a pack holds: as the options say, else as it began, else as fits.

        Keeping to how it began keeps what shares a pack, and so the numbers to the last bit.
        """
        header = self.ledger.header()
        begun = header.pack_size if header is not None and header.pack_size > 1 else 0
        options = self.options
        return (
            options.pack_size
            or begun
            or self._family.pack_size(
                self.campaign, self.file, options.device, options.workers or 1
            )
        )

    def describe(self, assumptions: Assumptions) -> list[str]:
        """Return the lines of a dry run."""
        family, options = self._family, self.options
        lines = describe(self.campaign, self.tasks, self.ledger)
        lines += family.estimate(self.campaign, self.file, assumptions, self._pack_size)
        family.check_trust(self.campaign, self.file, options.trust)
        used = {task.engine for task in self.tasks}
        return lines + family.examine(
            self.campaign, self.file, options.device, options.trust, used
        )

    def complete(self, stop: StopSignals) -> Collected:
        """Train what is missing and nobody else trains; seal the table if all is there then."""
        open_storage(self.out).clean()  # the ledger may lie elsewhere
        options = self.options
        self._family.check_trust(self.campaign, self.file, options.trust)
        part, parts = options.shard
        # Every N-th task and no block of them: each shard holds a spread of the grid.
        job = Job(
            campaign=self.campaign,
            file=self.file,
            tasks=tuple(self.tasks[part::parts]),
            ledger=self.ledger,
            device=options.device,
            trust=options.trust,
            pack_size=self._pack_size,
            parts=parts,
        )
        lost_workers: list[str] = []
        trained = (
            0 if all(map(self.ledger.is_done, job.tasks)) else self._train(job, stop, lost_workers)
        )
        self.ledger.refresh()  # other collectors have gone on meanwhile
        done, wanted = runs_done(self.tasks, self.ledger), runs_of(self.tasks)
        complete = done == wanted
        return Collected(
            done=done,
            wanted=wanted,
            trained=trained,
            lost_workers=len(lost_workers),
            claimed=runs_of(job.tasks) - runs_done(job.tasks, self.ledger),
            table=self.seal() if complete else None,
            lacking_items=lacking_items(self.campaign, self.ledger) if complete else 0,
        )

    def _train(self, job: Job, stop: StopSignals, lost_workers: list[str]) -> int:
        """Train the job's tasks with the executor of the options; returns how many runs."""
        options = self.options
        total, present = runs_of(job.tasks), runs_done(job.tasks, self.ledger)
        if present:
            self._note(f"{present} of {total} trainings are there, {total - present} are left")
        with Progress(total, f"collect {self.campaign.name}", present) as progress:

            def on_look(text: str = "") -> None:
                self.ledger.refresh()
                text = ", ".join(filter(None, [text, best(self.ledger)]))
                progress.advance_to(runs_done(job.tasks, self.ledger), text)

            def on_task(records: list[RunRecord]) -> None:
                on_look(outcome(records[-1]))

            def on_loss(text: str) -> None:
                lost_workers.append(text)
                self._note(text)

            on_look()  # the first task may take long
            if options.executor == "ray":
                try:
                    from hpobench_llm.collect.executors.on_ray import collect_on_ray
                except ImportError as error:
                    raise MissingDependencyError(
                        str(error.name), "ray", "--executor ray"
                    ) from None
                return collect_on_ray(
                    job,
                    stop,
                    address=options.ray_address,
                    workers=options.workers,
                    gpus_per_worker=options.gpus_per_worker,
                    on_task=on_task,
                    on_loss=on_loss,
                )
            if (options.workers or 1) > 1:
                return collect_in_processes(job, stop, count=options.workers or 1, on_task=on_task)
            return collect_here(job, stop, on_task=on_task)

    def seal(self, *, partial: bool = False) -> Table:
        """Make the table, with `partial` of the runs that are there.

        Raises:
            LedgerError: runs are missing, or the table cannot be written.
        """
        open_storage(self.out).clean()  # after a seal that was killed
        try:
            return seal(self.campaign, self.ledger, self.out, partial=partial)
        except OSError as error:
            raise LedgerError(
                f"{self.out}: the table cannot be written: {error.strerror or error}; all runs "
                "are kept: make room and start again"
            ) from None


def _check_out(out: Path) -> None:
    """Refuse a place where no table could be written in the end."""
    # Folders that are missing are made later: the first one that exists decides.
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigurationError(f"{out}: {existing} is a file; a folder is expected")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{out}: {existing} cannot be written to")
