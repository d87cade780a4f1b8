"""What a collection says of its runs while it goes on: how one ended, and the best so far."""

from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.record import RunRecord


def outcome(record: RunRecord) -> str:
    """Return a run's status and a loss: that of the validation rows where it has one."""
    return record.status + "".join(f", {name} {loss:.3f}" for name, loss in _loss(record))


def best(ledger: Ledger) -> str:
    """Return the lowest such loss of the runs that ended ok; empty where there is none."""
    sound = [record for record in ledger.records.values() if record.status == "ok"]
    losses = [(loss, name) for record in sound for name, loss in _loss(record)]
    if not losses:
        return ""
    loss, name = min(losses)
    return f"best {name} {loss:.3f}"


def _loss(record: RunRecord) -> list[tuple[str, float]]:
    """Return the name and value of a run's loss in the end, of validation rows if it has one."""
    last = record.checkpoints[-1].values
    losses = [name for name in last if "loss" in name]
    names = sorted(losses, key=lambda name: "val" not in name)  # False comes before True
    return [(name, last[name]) for name in names[:1]]
