"""What a table of widths says, in lines for its card: every figure computed from its rows.

All figures are of means over seeds; a configuration counts where all its runs ended ok.
"""

import math
from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd

from hpobench_llm.collect.widths.spec import STEP, WidthsCampaign
from hpobench_llm.tables.figures import FigureRecord

SIZES = ("attention_size", "mlp_size", "residual_size", "logit_size")
_SETTING = ["parametrisation", "width", "shrink"]


def findings(campaign: WidthsCampaign, frame: pd.DataFrame) -> list[str]:
    """Return coordinate check, best learning rates over width, and tokens saved by warm starts."""
    curves, axes = _curves(campaign, frame)
    if curves.empty:
        return []
    complete = len(frame[axes].drop_duplicates()) == math.prod(map(len, campaign.grid.values()))
    # The best of a part of the grid is no optimum.
    drift = _drift(campaign, curves) if complete else ()
    return [*_coordinates(curves, axes), *drift, *_saved(curves, axes)]


def coordinate_figure(campaign: WidthsCampaign, frame: pd.DataFrame) -> list[FigureRecord]:
    """Return the picture of the coordinate check; none where there are no two widths."""
    grown = {name: sizes for name, sizes, _ in _grown(*_curves(campaign, frame))}
    if not grown:
        return []
    panels = {
        size.removesuffix("_size"): {
            name: sizes[size].reset_index().to_numpy(dtype=float).tolist()
            for name, sizes in grown.items()
        }
        for size in SIZES
    }
    return [
        {
            "name": "coordinate-check",
            "caption": "Coordinate check: mean absolute activations after the last update, over "
            "those at the smallest width; under muP they do not grow with the width",
            "x": "width",
            "y": "size over that at the smallest width",
            "panels": panels,
        }
    ]


def _curves(campaign: WidthsCampaign, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the means over seeds where all runs ended ok, and the axes that they are by."""
    numbers = [*SIZES, "val_loss", "tokens_seen", "lr", "init_std", "shrink", "width"]
    rows = frame.astype(dict.fromkeys(numbers, float))
    rows["parametrisation"] = rows["parametrisation"].astype(str)
    axes = [name for name in campaign.space.names if name not in _SETTING] + _SETTING
    rows["failed"] = rows["status"].astype(str) != "ok"
    good = rows[~rows.groupby(axes)["failed"].transform("any")]
    measured = [*SIZES, "val_loss", "tokens_seen"]
    return good.groupby([*axes, STEP], as_index=False)[measured].mean(), axes


def _grown(curves: pd.DataFrame, axes: list[str]) -> Iterator[tuple[str, pd.DataFrame, int]]:
    """Yield by parametrisation the sizes of activations at the end of cold starts.

    They are over those at the smallest width, `(n_widths, n_sizes)`; the number says of how many
    settings they are the geometric mean.
    """
    end = curves[(curves[STEP] == curves[STEP].max()) & (curves["shrink"] == 0)]
    others = [axis for axis in axes if axis != "width"]
    widths = sorted(end["width"].unique())
    for name in sorted(end["parametrisation"].unique()):
        cold = end[(end["parametrisation"] == name) & (end[list(SIZES)] > 0).all(axis=1)]
        # A setting that failed at some width would shift the mean at the others.
        complete = cold.groupby(others)["width"].transform("nunique") == len(widths)
        logs = np.log(cold[complete].set_index("width")[list(SIZES)]).groupby("width").mean()
        if len(widths) < 2 or len(logs) < len(widths):
            continue
        yield name, np.exp(logs - logs.iloc[0]), int(complete.sum()) // len(widths)


def _coordinates(curves: pd.DataFrame, axes: list[str]) -> Iterator[str]:
    """Say how sizes of activations at the end grow with the width, from cold starts."""
    for name, grown, settings in _grown(curves, axes):
        widths = [float(width) for width in grown.index]
        parts = []
        for size in SIZES:
            factors = ", ".join(f"{factor:.2f}" for factor in grown[size])
            parts.append(f"{size.removesuffix('_size')} {factors}")
        yield (
            f"coordinate check, {name}: mean absolute activations after the last update at widths "
            f"{_listed(widths)} over those at {widths[0]:g}, geometric mean of "
            f"{settings} settings that end ok at all widths: "
            f"{'; '.join(parts)}"
        )


def _drift(campaign: WidthsCampaign, curves: pd.DataFrame) -> Iterator[str]:
    """Say which learning rate is best at each width, and how many grid steps it moves."""
    rates = sorted(campaign.extent("lr"))
    end = curves[curves[STEP] == curves[STEP].max()]
    if len(rates) < 2:
        return
    for (name, shrink), rows in end.groupby(["parametrisation", "shrink"]):
        best = rows.loc[rows.groupby("width")["val_loss"].idxmin()].sort_values("width")
        steps = [rates.index(lr) for lr in best["lr"]]
        yield (
            f"best learning rate, {name}, {_start(shrink)}: {_listed(best['lr'])} at widths "
            f"{_listed(best['width'])}, {abs(steps[-1] - steps[0])} grid steps from the first to "
            f"the last; losses {', '.join(f'{loss:.3f}' for loss in best['val_loss'])}"
        )


def _saved(curves: pd.DataFrame, axes: list[str]) -> Iterator[str]:
    """Say how many tokens a warm start saves until it has the loss that the cold run ends with."""
    settings = [axis for axis in axes if axis != "shrink"]
    cold = curves[(curves["shrink"] == 0) & (curves[STEP] == curves[STEP].max())]
    targets = cold[[*settings, "val_loss", "tokens_seen"]].rename(
        columns={"val_loss": "target", "tokens_seen": "budget"}
    )
    joined = curves[curves["shrink"] > 0].merge(targets, on=settings)
    for (name, shrink), part in joined.groupby(["parametrisation", "shrink"]):
        runs = part.groupby(settings)
        reached = part[part["val_loss"] <= part["target"]].groupby(settings)["tokens_seen"].min()
        budget = runs["budget"].first().reindex(reached.index)
        share = float((1 - reached / budget).median()) if len(reached) else 0.0
        yield (
            f"tokens saved, {name}, {_start(shrink)}: {len(reached)} of {len(runs)} settings "
            f"reach the loss that their cold run ends with, half of them with {share:.0%} of the "
            "tokens or more left, by the checkpoints, the smaller model's own not counted"
        )


def _start(shrink: Hashable) -> str:
    return f"warm with shrink {shrink}" if shrink else "cold"


def _listed(values: "pd.Series[float] | list[float]") -> str:
    return ", ".join(f"{value:g}" for value in values)
