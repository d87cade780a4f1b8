"""What a packed run would have cost alone: from the runs of its class that were timed alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean

from hpobench_llm.collect.lora.hyperparameters import NAMES, Hyperparameters
from hpobench_llm.collect.lora.mixture import shares_of
from hpobench_llm.collect.lora.packs import cost_class
from hpobench_llm.collect.record import Row, RunRecord

MEASURED = ("train_seconds", "train_wall_seconds", "peak_memory_bytes")
_Steps = dict[int, Row]  # a run's rows by step


class SoloCosts:
    """Mean costs of the runs trained alone, by cost class and step."""

    def __init__(self, solo: Mapping[str, RunRecord]) -> None:
        self._own = {run_id: _by_step(record) for run_id, record in solo.items()}
        grouped: dict[object, list[_Steps]] = defaultdict(list)
        for record in solo.values():
            # One that broke stopped early: it says nothing of what a whole run costs.
            if "val_loss" in record.checkpoints[-1].values:
                grouped[_class(record)].append(_by_step(record))
        self._classes = dict(grouped)

    def priced(self, record: RunRecord) -> Iterable[Row]:
        """Yield a record's rows with `train_seconds` and memory as of a run alone.

        A packed run's own share of its pack goes into `amortised_train_seconds`, and its own time
        alone, if it was timed, into `solo_train_seconds`. A run of the peft engine keeps what was
        measured, and so does a packed one if no run of its class was timed.
        """
        own_rows = self._own.get(record.run_id, {})
        packed = record.constants["engine"] == "packed"
        members = self._classes.get(_class(record), []) if packed else []
        for row in record.rows():
            step = row["step"]
            priced = dict(row)
            if packed:
                priced["amortised_train_seconds"] = row["train_seconds"]
            if step in own_rows:
                priced["solo_train_seconds"] = own_rows[step]["train_seconds"]
            for name in MEASURED:
                measured = [member[step][name] for member in members if name in member[step]]
                if measured:
                    mean = fmean(measured)
                    if name == "peak_memory_bytes":  # it does not grow with the steps
                        priced[name] = round(mean)
                    else:
                        priced[name] = mean * _share_trained(row, members[0].get(step, row))
            yield priced


def _class(record: RunRecord) -> tuple[object, ...]:
    """Return the cost class, and where it ran: another device has another price."""
    shares = shares_of(record.settings)
    settings = {name: value for name, value in record.settings.items() if name in NAMES}
    hyper = Hyperparameters(**settings)  # type: ignore[arg-type]
    return *cost_class(hyper, shares), record.provenance.device, record.provenance.threads


def _share_trained(row: Row, complete: Row) -> float:
    """Return how much of a run came before it broke: alone it would have stopped there."""
    if row["status"] == "ok" or "val_loss" in row or not complete["tokens_seen"]:
        return 1.0
    return float(min(1.0, row["tokens_seen"] / complete["tokens_seen"]))


def _by_step(record: RunRecord) -> _Steps:
    return {row["step"]: row for row in record.rows()}
