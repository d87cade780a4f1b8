"""A collector's work: its job, and the next task that nobody else does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.ledger.claims import Claims
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.trust import Trust
from hpobench_llm.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Job:
    """What one collector is to do: `tasks` of a campaign (read from `file`) into a ledger.

    `device` is `auto`, `cpu` or `cuda`, `pack_size` what the tasks were cut by, `parts` how many
    shards they were dealt out to.
    `trust` says which code of others the scores may run.
    """

    campaign: Campaign
    file: Path
    tasks: tuple[Task, ...]
    ledger: Ledger
    device: str
    trust: Trust
    pack_size: int
    parts: int = 1


def check_shards(job: Job) -> None:
    """Refuse shards of tasks cut otherwise than the others': some runs would be in none.

    Raises:
        LedgerError: the ledger was begun with another size of packs.
    """
    header = job.ledger.header()
    begun = job.pack_size if header is None else header.pack_size
    # A collector that works alone may cut otherwise: it does all that is missing.
    if job.parts > 1 and begun != job.pack_size:
        raise LedgerError(
            f"{job.ledger.location}: its other shards are cut into packs of {begun}, this one "
            f"into packs of {job.pack_size}; start it again with --pack-size {begun}"
        )


def claimed(tasks: Sequence[Task], ledger: Ledger, claims: Claims) -> Iterator[Task]:
    """Yield every task that is not done yet and can be claimed, less its runs that are there.

    What is claimed elsewhere is tried again after all others: its collector may have died. The
    iteration ends when the rest is done or claimed elsewhere.
    """
    handed_out = True
    while handed_out:
        handed_out = False
        ledger.refresh()
        for task in tasks:
            if ledger.is_done(task) or not claims.take(task):
                continue
            ledger.refresh()  # it may have been finished since, and its claim dropped
            missing = ledger.missing(task)
            if missing is not None:
                handed_out = True
                yield missing


def runs_done(tasks: Sequence[Task], ledger: Ledger) -> int:
    """Return how many runs of the tasks are in the ledger; a solo run counts for itself."""
    missing = [task for task in map(ledger.missing, tasks) if task is not None]
    return runs_of(tasks) - runs_of(missing)


def runs_of(tasks: Sequence[Task]) -> int:
    """Return how many runs the tasks hold together."""
    return sum(len(task.runs) for task in tasks)
