"""What a collection would do, in lines for people: runs, tasks, the cost that is left."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Campaign, Run
from hpobench_llm.collect.executors.work import runs_of
from hpobench_llm.collect.families import family_of
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.tables.columns import COSTS

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
        f"{f', {repeats} repeats' if repeats else ''}), {done} of them in {ledger.location}",
        f"tasks      {len(tasks)}: {len(packs)} of up to {max(packs)} runs, "
        f"{len(tasks) - len(packs)} that time one run alone; {tasks_done} done",
        *family_of(campaign).describe(campaign),
        f"left       {_left(campaign, tasks, ledger)}",
    ]
    return lines


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _left(campaign: Campaign, tasks: Sequence[Task], ledger: Ledger) -> str:
    """Price each missing run at the median of its class, or of all where none of it is there."""
    missing = [task for task in map(ledger.missing, tasks) if task is not None]
    if not missing:
        return "nothing"
    seconds, guessed = 0.0, 0
    for kind, records in (("runs", ledger.records), ("solo", ledger.solo)):
        costs_by_class: dict[object, list[float]] = defaultdict(list)
        classes = {run.run_id: _class(campaign, run) for run in campaign.runs()}
        # A ledger may hold runs of a larger grid than this campaign's.
        for run_id in records.keys() & classes.keys():
            costs_by_class[classes[run_id]].append(_cost(records[run_id]))
        all_costs = [cost for costs in costs_by_class.values() for cost in costs]
        missing_runs = [run for task in missing if task.kind == kind for run in task.runs]
        for run in missing_runs:
            costs = costs_by_class.get(_class(campaign, run), [])
            guessed += not costs
            seconds += median(costs or all_costs or [0.0])
    if not (ledger.records or ledger.solo):
        return "unknown before a first run is done"
    text = f"about {seconds / SECONDS_PER_HOUR:.2f} hours of computing, by the runs that are done"
    if guessed:
        text += f" ({guessed} of {runs_of(missing)} runs have none of their class yet)"
    return text


def _class(campaign: Campaign, run: Run) -> object:
    return family_of(campaign).cost_class(campaign, run)


def _cost(record: RunRecord) -> float:
    """Return the seconds that a run took to train and to evaluate."""
    last = record.checkpoints[-1].values
    return float(sum(last.get(name, 0.0) for name in COSTS))
