"""What a collection would do, in lines for people: runs, tasks, the cost that is left, the data.

The data, the base and the scores are read and tried as by a start, up to its first step.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from hpobench_llm.collect.campaign.plan import Task, cost_class
from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.executors.work import runs_of
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.scores.trust import Trust

if TYPE_CHECKING:
    from hpobench_llm.collect.data.rows import Split

SECONDS_PER_HOUR = 3600


def describe(campaign: Campaign, tasks: Sequence[Task], ledger: Ledger) -> list[str]:
    """Return the lines of `collect-grid --dry-run`."""
    runs = campaign.runs()
    configs = len({run.config_id for run in runs})
    repeats = len(runs) - configs * len(campaign.seeds)
    done = sum(run.run_id in ledger.records for run in runs)
    packs = [len(task.runs) for task in tasks if task.kind == "runs"]
    tasks_done = sum(map(ledger.is_done, tasks))
    lines = [f"campaign   {campaign.name} {campaign.version}"]
    lines += [
        f"axis       {d.name}: {', '.join(map(_text, d.levels or ()))}" for d in campaign.space
    ]
    lines += [
        f"runs       {len(runs)} ({configs} configurations x {len(campaign.seeds)} seeds"
        f"{f', {repeats} repeats' if repeats else ''}), {done} of them in {ledger.place}",
        f"tasks      {len(tasks)}: {len(packs)} of up to {max(packs)} runs, "
        f"{len(tasks) - len(packs)} that time one run alone; {tasks_done} done",
        f"steps      {campaign.checkpoints[-1]} a run, checkpoints {list(campaign.checkpoints)}",
        f"rows       {campaign.step_rows} a step and run, of at most "
        f"{campaign.data.max_tokens} tokens",
        f"left       {_left(campaign, tasks, ledger)}",
    ]
    return lines


def examine(campaign: Campaign, file: Path, device: str, trust: Trust) -> list[str]:
    """Do all that a start does before its first step; returns what the data and the base are like.

    A base of the hub that is not on this machine is not fetched; the lines then say so.

    Raises:
        SpecError, DataError: what a start would refuse.
    """
    try:
        import torch

        from hpobench_llm.collect.bases.model import is_here
        from hpobench_llm.collect.executors.collector import open_bench
    except ImportError as error:
        return [f"not read   base and data: {error.name} is not installed"]
    if not is_here(campaign.base):
        return [f"not read   base and data: {campaign.base.hub} is not on this machine yet"]
    there = device if device != "cuda" or torch.cuda.is_available() else "cpu"
    bench = open_bench(campaign, file, there, trust)
    scores = [
        f"score      {scorer.spec.name}: {scorer.items} items, "
        f"{bench.untrained[f'score_{scorer.spec.name}']:.3f} before training, chance "
        f"{scorer.chance:.3f}"
        for scorer in bench.scorers
    ]
    return [
        *data_lines(bench.split, campaign.data.max_tokens),
        f"untrained  val_loss {bench.untrained['val_loss']:.4f} nats per label token",
        *scores,
    ]


def data_lines(split: "Split", max_tokens: int) -> list[str]:
    """Return how many rows each set has, how long they are, and which rows are not used."""
    sets = {"training": split.train, "validation": split.val, "test": split.test}
    lengths = sorted(len(row.ids) for rows in sets.values() for row in rows)
    labels = sum(len(row.ids) - row.prompt_tokens for rows in sets.values() for row in rows)
    shares = quantiles(lengths, n=100, method="inclusive")
    usable = zip(sets.items(), split.usable.values(), strict=True)
    counts = ", ".join(f"{len(rows)} of {there} {name}" for (name, rows), there in usable)
    return [
        f"data       {counts} rows that can be used",
        f"tokens     {shares[49]:.0f} a row in the median, 90 % up to {shares[89]:.0f}, the "
        f"longest {lengths[-1]} (of {max_tokens}); {labels / sum(lengths):.0%} are answers",
        *(
            f"not used   {count} rows, {reason}; as {split.unused.first[reason]!r}"
            for reason, count in sorted(split.unused.counts.items())
        ),
    ]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _left(campaign: Campaign, tasks: Sequence[Task], ledger: Ledger) -> str:
    """Price each missing run at the median of its class, or of all where none of it is there."""
    missing = [task for task in map(ledger.missing, tasks) if task is not None]
    if not missing:
        return "nothing"
    seconds, guessed = 0.0, 0
    for kind, records in (("runs", ledger.records), ("solo", ledger.solo)):
        known: dict[object, list[float]] = defaultdict(list)
        by_id = {run.run_id: _class(campaign, run) for run in campaign.runs()}
        for run_id in records.keys() & by_id.keys():
            known[by_id[run_id]].append(_cost(records[run_id]))
        spent = [cost for costs in known.values() for cost in costs]
        for run in (run for task in missing if task.kind == kind for run in task.runs):
            costs = known.get(_class(campaign, run), [])
            guessed += not costs
            seconds += median(costs or spent or [0.0])
    if not (ledger.records or ledger.solo):
        return "unknown before a first run is done"
    text = f"about {seconds / SECONDS_PER_HOUR:.2f} hours of computing, by the runs that are done"
    if guessed:
        text += f" ({guessed} of {runs_of(missing)} runs have none of their class yet)"
    return text


def _class(campaign: Campaign, run: Run) -> object:
    return cost_class(campaign.hyperparameters(run.config))


def _cost(record: RunRecord) -> float:
    """Return the seconds that a run took to train and to evaluate."""
    last = record.checkpoints[-1].values
    return float(last["train_seconds"] + last["eval_seconds"])
