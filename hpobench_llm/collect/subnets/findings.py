"""What a table of sub-networks says, in lines for its card, computed from its rows."""

from collections.abc import Iterator

import pandas as pd
from scipy.stats import kendalltau

from hpobench_llm.collect.subnets.spec import STEP, SubnetsCampaign

LEAST = 3  # sub-networks; fewer give no rank correlation


def findings(campaign: SubnetsCampaign, frame: pd.DataFrame) -> list[str]:
    """Return how well the super-network ranks sub-networks, and what its training costs."""
    end = frame[(frame[STEP] == campaign.checkpoints[-1]) & (frame["status"] == "ok")]
    names = ["val_loss", "alone_val_loss", "shared_train_seconds", "seed"]
    end = end.astype(dict.fromkeys(names, float))
    if end.empty:
        return []
    axes = list(campaign.space.names)
    return [*_against_alone(end), *_between_seeds(end, axes), _shared(end)]


def _against_alone(end: pd.DataFrame) -> Iterator[str]:
    alone = end[end["alone_val_loss"].notna()]
    for seed, rows in alone.groupby("seed"):
        if len(rows) >= LEAST:
            tau = kendalltau(rows["val_loss"], rows["alone_val_loss"]).statistic
            gap = (rows["val_loss"] - rows["alone_val_loss"]).median()
            yield (
                f"seed {seed:g}: Kendall's tau between the validation losses of {len(rows)} "
                f"sub-networks in the super-network and trained alone is {tau:.2f}; in the "
                f"super-network they are {gap:+.3f} nats per label token in the median"
            )


def _between_seeds(end: pd.DataFrame, axes: list[str]) -> Iterator[str]:
    """Say how far seeds alone change a ranking: of super-networks, and of training alone."""
    for name, where in (("val_loss", "super-networks"), ("alone_val_loss", "training alone")):
        losses = end.pivot_table(index=axes, columns="seed", values=name)
        for first, second in zip(losses.columns, losses.columns[1:], strict=False):
            both = losses[[first, second]].dropna()
            if len(both) >= LEAST:
                tau = kendalltau(both[first], both[second]).statistic
                # The variance of a difference is that of two runs.
                noise = (both[first] - both[second]).std() / 2**0.5
                yield (
                    f"noise of seeds, {where}: between seeds {first:g} and {second:g} tau is "
                    f"{tau:.2f} over {len(both)} sub-networks, and {noise:.4f} of noise is left "
                    "of each loss"
                )


def _shared(end: pd.DataFrame) -> str:
    seconds = end.groupby("seed")["shared_train_seconds"].max()
    return (
        f"a super-network took {seconds.median():.0f} s of computing in the median of "
        f"{len(seconds)} seeds, fine-tuning included: shared by its sub-networks, and no part of "
        "what a query costs"
    )
