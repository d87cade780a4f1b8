"""Cut a campaign's runs into tasks: packs that train together, and runs that are timed alone."""

from collections import defaultdict
from typing import Literal

from hpobench_llm.collect.campaign.plan import Task, one_by_one
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.mixture import Shares, shares_of
from hpobench_llm.collect.lora.spec import LoraCampaign

EngineName = Literal["packed", "peft"]
ENGINES: tuple[EngineName, ...] = ("packed", "peft")


def plan(campaign: LoraCampaign, engine: str, pack_size: int) -> list[Task]:
    """Return all tasks of a campaign, in the order of their runs.

    Which runs share a pack follows from the campaign and the pack's size alone, never from what
    has been collected: a collection that was interrupted gives the same numbers as one that was
    not. Runs share a pack when they adapt the same modules and layers, have ranks of one class
    (which are padded to one size), all use dropout or none does, make a step in as many passes,
    and have one seed (so that they see the same rows, if of one mixture).
    """
    runs = campaign.runs()
    if engine == "peft":
        return one_by_one(runs, "peft")
    packs: list[list[Run]] = []
    open_packs: dict[object, list[Run]] = {}
    for run in runs:
        hyper = campaign.hyperparameters(run.config)
        key = (
            hyper.targets,
            hyper.layer_fraction,
            rank_class(hyper.rank),
            hyper.dropout > 0,
            campaign.passes(hyper),
            run.seed,
        )
        pack = open_packs.get(key)
        if pack is None or len(pack) == pack_size:
            pack = open_packs[key] = []
            packs.append(pack)
        pack.append(run)
    # A pack of one is alone: its own seconds are the true ones.
    timed = {run.run_id for run in solo_runs(campaign, runs)} if pack_size > 1 else set()
    tasks: list[Task] = []
    for pack in packs:  # timings follow their pack: a collection that is cut off has prices too
        tasks.append(Task("runs", "packed", tuple(pack)))
        tasks += [Task("solo", "peft", (run,)) for run in pack if run.run_id in timed]
    return tasks


def rank_class(rank: int) -> int:
    """Return the least power of two that is not below a rank: a pack pads the rank to it."""
    return int(1 << (rank - 1).bit_length())


def cost_class(hyper: Hyperparameters, shares: Shares) -> tuple[object, ...]:
    """Return what a run's cost follows from.

    That is rank, batch, dropout or none, modules, layers, and shares: sources' rows differ in
    length.
    """
    return (
        shares,
        hyper.rank,
        hyper.batch_rows,
        int(hyper.dropout > 0),
        hyper.targets,
        hyper.layer_fraction,
    )


def solo_runs(campaign: LoraCampaign, runs: list[Run]) -> list[Run]:
    """Return the first `solo_runs` runs of each class of equal cost."""
    by_class: dict[object, list[Run]] = defaultdict(list)
    for run in runs:
        hyper = campaign.hyperparameters(run.config)
        members = by_class[cost_class(hyper, shares_of(run.config))]
        if len(members) < campaign.solo_runs:
            members.append(run)
    return [run for members in by_class.values() for run in members]
