"""Checks for what can never be sealed: before a start trains, in a dry run, and at the seal."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpobench_llm.collect.columns import PROVENANCE, names_of
from hpobench_llm.collect.lora.columns import columns_of
from hpobench_llm.collect.lora.recipe import Recipe, Score
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.errors import SpecError

LARGEST_LOSS = 1e6  # nats; none is near it, and the factor of `diverged` times it must be finite


def check_sealable(
    campaign: LoraCampaign, where: str | Path, untrained: Mapping[str, float] | None = None
) -> None:
    """Check that the runs of a campaign can become a table, whatever comes out.

    `untrained` holds what the base scores as it is, where that is known already; `where` is the
    campaign's file, or the ledger's place.

    Raises:
        SpecError: naming the key and the value.
    """
    _check_factor(campaign, where)
    check_score_columns(campaign, names_of([*columns_of(campaign, {}), *PROVENANCE]), where)
    if untrained is not None:
        check_base(campaign, where, untrained)


def check_score_columns(campaign: Recipe, names: Sequence[str], where: str | Path) -> None:
    """Check that each score has columns of its own beside those of `names`.

    Raises:
        SpecError: naming the score.
    """
    columns = [*names, *loss_columns(campaign)]
    for number, score in enumerate(campaign.score):
        for column in score_columns(score):
            if column in columns:
                problem = f"{score.name!r}: its column {column} is another's already"
                raise SpecError(where, f"score[{number}].name", problem)
            columns.append(column)


def loss_columns(campaign: Recipe) -> list[str]:
    """Return the columns of losses on smaller validation sets, and on those of one source."""
    return [f"val_loss_{part}" for part in (*campaign.data.val_subsets, *campaign.mixture)]


def score_columns(score: Score) -> list[str]:
    """Return the columns that a score may fill."""
    name = f"score_{score.name}"
    margin = [] if score.kind == "exact-match" else [f"{name}_margin", f"{name}_margin_stderr"]
    return [name, f"{name}_stderr", *margin]


def _check_factor(campaign: LoraCampaign, where: str | Path) -> None:
    if not math.isfinite(campaign.diverged_factor * LARGEST_LOSS):
        problem = f"{campaign.diverged_factor:g} times the loss of the base is no finite number"
        raise SpecError(where, "diverged_factor", problem)


def check_base(campaign: Recipe, where: str | Path, untrained: Mapping[str, float]) -> None:
    """Check that all values of the untrained base are there and finite.

    Raises:
        SpecError: naming what is no finite number.
    """
    needed = ["val_loss", "test_loss", "train_loss", *loss_columns(campaign)]
    needed += ["leaked_val_loss"] if campaign.data.leaked_rows else []
    needed += [f"score_{score.name}" for score in campaign.score]
    # What was not finite may have been left out where it was measured.
    broken = [name for name in needed if not math.isfinite(untrained.get(name, math.nan))]
    if broken:
        raise SpecError(
            where,
            "base",
            f"{', '.join(broken)} of the untrained base is no finite number: its weights are "
            "damaged, or base.precision does not suffice",
        )
