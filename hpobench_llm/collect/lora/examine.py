"""What a dry run says of base, data and scores, which it reads as a start does."""

from collections.abc import Collection
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.trust import Trust

if TYPE_CHECKING:
    from hpobench_llm.collect.lora.data.rows import Split


def examine(
    campaign: LoraCampaign, file: Path, device: str, trust: Trust, used: Collection[str] = ()
) -> list[str]:
    """Do all that a start does before its first step; returns lines on the data and the base.

    A base of the hub that is not on this machine is not fetched; the lines then say so.

    Raises:
        SpecError, DataError: what a start would refuse.
    """
    try:
        import torch

        from hpobench_llm.collect.lora.bases.model import is_here
        from hpobench_llm.collect.lora.engines.packed_lora import packable_names
        from hpobench_llm.collect.lora.opening import open_bench
    except ImportError as error:
        return [f"not read   base and data: {error.name} is not installed"]
    if not is_here(campaign.base):
        return [f"not read   base and data: {campaign.base.hub} is not on this machine yet"]
    # A plan for a GPU may be examined on a machine without one.
    here = device if device != "cuda" or torch.cuda.is_available() else "cpu"
    bench = open_bench(campaign, file, here, trust)
    if "packed" in used:
        hypers = [campaign.hyperparameters(run.config) for run in campaign.runs()]
        # What can be adapted depends on these two alone: each pair is tried once.
        for hyper in {(hyper.targets, hyper.layer_fraction): hyper for hyper in hypers}.values():
            packable_names(bench.base, hyper)
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
    counts = ", ".join(f"{len(rows)} of {count} {name}" for (name, rows), count in usable)
    return [
        f"data       {counts} rows that can be used",
        f"tokens     {shares[49]:.0f} a row in the median, 90 % up to {shares[89]:.0f}, the "
        f"longest {lengths[-1]} (of {max_tokens}); {labels / sum(lengths):.0%} are answers",
        *(
            f"not used   {count} rows, {reason}; as {split.unused.first[reason]!r}"
            for reason, count in sorted(split.unused.counts.items())
        ),
    ]
