"""`collect-grid`: train every run of a campaign and seal the table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.dry_run import describe
from hpobench_llm.collect.executors.local import collect_here, collect_in_processes
from hpobench_llm.collect.executors.signals import Interrupted, StopSignals
from hpobench_llm.collect.executors.work import Job, runs_done, runs_of
from hpobench_llm.collect.families import family_of, read_grid
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.options import (
    assumptions,
    check,
    parser,
    shard,
    trust_of,
    worker_arguments,
)
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.sealable import check_sealable
from hpobench_llm.console import run_command, say
from hpobench_llm.errors import LedgerError, MissingDependencyError, UnknownNameError
from hpobench_llm.progress import Progress

PROGRAM = "collect-grid"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `collect-grid`."""
    options = parser().parse_args(arguments)
    return run_command(PROGRAM, lambda: _until_stopped(options))


def _until_stopped(options: argparse.Namespace) -> int:
    with StopSignals() as stop:
        try:
            return _collect(options, stop)
        except Interrupted as stopped:
            where = options.ledger or options.out
            _say(
                f"stopped by {stopped}; what was finished is kept in {where}, start again to go on"
            )
            return stopped.exit_status


def _collect(options: argparse.Namespace, stop: StopSignals) -> int:
    check(options)
    campaign = read_grid(options.campaign)
    check_sealable(campaign, options.campaign)
    ledger = Ledger(open_storage(options.ledger or options.out), campaign.identity())
    ledger.refresh()
    sealed = (options.out / "table.json").exists()
    if ledger.header() is None and sealed and not ledger.records:
        raise LedgerError(
            f"{options.out} holds a sealed table without its ledger, so nothing can be added to "
            "it; give another --out"
        )
    if ledger.damaged and options.parent is None:
        _say(f"{ledger.damage()}; their runs are trained again")
    family = family_of(campaign)
    engine = family.engines[0] if options.engine == "auto" else options.engine
    if engine not in family.engines:
        raise UnknownNameError("engine", engine, family.engines)
    together = engine == family.engines[0]
    size = _pack_size(campaign, ledger, options) if together else 1
    tasks = family.tasks(campaign, engine, size)
    if options.dry_run:
        assumed = assumptions(options)
        print("\n".join(describe(campaign, tasks, ledger)))
        print("\n".join(family.estimate(campaign, options.campaign, assumed, size)))
        trust = trust_of(options)
        family.check_trust(campaign, options.campaign, trust)
        print("\n".join(family.examine(campaign, options.campaign, options.device, trust)))
        return 0
    open_storage(options.out).clean()  # the ledger may lie elsewhere
    if options.seal_now:
        return _seal(campaign, ledger, options.out, partial=True)
    family.check_trust(campaign, options.campaign, trust_of(options))
    if together:
        options.pack_size = size  # for the processes of --workers, which must cut the same tasks
    part, parts = shard(options)
    job = Job(
        campaign=campaign,
        file=options.campaign,
        tasks=tuple(tasks[part::parts]),
        ledger=ledger,
        device=options.device,
        trust=trust_of(options),
        pack_size=size,
        parts=parts,
    )
    said = "" if all(map(ledger.is_done, job.tasks)) else _train(job, tasks, options, stop)
    return 0 if options.parent is not None else _finish(job, tasks, options.out, said)


def _pack_size(campaign: Campaign, ledger: Ledger, options: argparse.Namespace) -> int:
    """Return how many runs a pack holds: as asked, else as this collection began, else as fits.

    Keeping to how it began keeps what shares a pack, and so the numbers to the last bit.
    """
    header = ledger.header()
    begun = header.pack_size if header is not None and header.pack_size > 1 else None
    return int(
        options.pack_size
        or begun
        or family_of(campaign).pack_size(
            campaign, options.campaign, options.device, options.workers or 1
        )
    )


def _say(text: str) -> None:
    say(f"{PROGRAM}: {text}")


def _train(job: Job, tasks: Sequence[Task], options: argparse.Namespace, stop: StopSignals) -> str:
    """Train the job's tasks with the executor that was chosen; returns what to say of it."""
    losses: list[str] = []
    with Progress(runs_of(tasks), f"collect {job.campaign.name}") as progress:

        def on_look(text: str = "") -> None:
            job.ledger.refresh()
            progress.advance_to(runs_done(tasks, job.ledger), text)

        def on_task(records: list[RunRecord]) -> None:
            last = records[-1].checkpoints[-1]
            name, value = next(((n, v) for n, v in last.values.items() if "loss" in n), ("", 0))
            on_look(f"{last.status}, {name} {value:.3f}" if name else last.status)

        def on_loss(text: str) -> None:
            losses.append(text)
            _say(text)

        on_look()
        if options.executor == "ray":
            try:
                from hpobench_llm.collect.executors.on_ray import collect_on_ray
            except ImportError as error:
                raise MissingDependencyError(str(error.name), "ray", "--executor ray") from None
            trained = collect_on_ray(
                job,
                stop,
                address=options.ray_address,
                workers=options.workers,
                gpus_per_worker=options.gpus_per_worker,
                on_task=on_task,
                on_loss=on_loss,
            )
        elif (options.workers or 1) > 1:
            command = ["hpobench_llm.collect.cli", *worker_arguments(options)]
            collect_in_processes(command, options.workers, stop, on_look=on_look)
            return ""
        else:
            trained = collect_here(job, stop, parent=options.parent, on_task=on_task)
    return f", {trained} of them now" + (f", {len(losses)} workers lost" if losses else "")


def _finish(job: Job, tasks: Sequence[Task], out: Path, said: str) -> int:
    """Say how far the collection is, and seal the table if all runs are there."""
    job.ledger.refresh()
    done, wanted = runs_done(tasks, job.ledger), runs_of(tasks)
    print(f"{out}: {done} of {wanted} trainings{said}", end="")
    if done < wanted:
        left = runs_of(job.tasks) - runs_done(job.tasks, job.ledger)
        print(f"; {left} are claimed by other collectors" if left else "", end="")
        print("; the table is sealed when all are there")
        return 0
    print(flush=True)
    return _seal(job.campaign, job.ledger, out, partial=False)


def _seal(campaign: Campaign, ledger: Ledger, out: Path, *, partial: bool) -> int:
    from hpobench_llm.collect.seal import lacking_items, seal

    try:
        table = seal(campaign, ledger, out, partial=partial)
    except OSError as error:
        raise LedgerError(
            f"{out}: the table cannot be written: {error.strerror or error}; all runs are kept: "
            "make room and start again"
        ) from None
    lacking = lacking_items(campaign, ledger)
    if lacking:
        _say(
            f"{lacking} of the first {campaign.per_example_runs} runs were trained before they "
            "had to keep the values of single items; examples.parquet is without them"
        )
    runs = len(table.frame.drop_duplicates(["config_id", "seed"]))
    print(f"{out}: sealed {len(table.frame)} rows of {runs} runs, see {out / 'CARD.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
