"""The family `widths`: hyperparameters that survive growing the width, and warm starts by growing.

Widths against learning rate and initialisation scale, in standard parametrisation and muP, from
cold starts and from smaller models that were shrunk, padded and perturbed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.columns import RunColumn
from hpobench_llm.collect.family import Bench, Family
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.trust import Trust
from hpobench_llm.collect.widths.columns import COLUMNS, metrics_of
from hpobench_llm.collect.widths.costs import estimate
from hpobench_llm.collect.widths.findings import coordinate_figure, findings
from hpobench_llm.collect.widths.spec import EQUAL_ODDS, WidthsCampaign
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.figures import FigureRecord
from hpobench_llm.tables.provenance import TableProvenance


class WidthsFamily(Family[WidthsCampaign]):
    """One run after another; the warm starts of a configuration grow from one model, in a task."""

    spec, engines = WidthsCampaign, ("sequential",)

    def open(self, campaign: WidthsCampaign, file: Path, device: str, trust: Trust) -> Bench:
        """Read the text. See `Family.open`."""
        try:
            from hpobench_llm.collect.widths.bench import open_bench
        except ImportError as error:
            raise MissingDependencyError(str(error.name), "collect", "collect-grid") from None
        return open_bench(campaign, file, device)

    def columns(
        self, campaign: WidthsCampaign, untrained: Mapping[str, float]
    ) -> Sequence[RunColumn]:
        """Return hyperparameters, losses, sizes of activations and costs."""
        return COLUMNS

    def metrics(
        self, campaign: WidthsCampaign, header: Header, frame: pd.DataFrame
    ) -> list[Metric]:
        """Return the losses."""
        return metrics_of(campaign)

    def tasks(self, campaign: WidthsCampaign, engine: str, pack_size: int) -> list[Task]:
        """Return a task for each cold run, and after it one for all its warm starts."""
        pairs: dict[object, tuple[list[Run], list[Run]]] = {}
        for run in campaign.runs():
            hyper = campaign.hyperparameters(run.config)
            # Warm starts differ from their cold run in `shrink` alone.
            key = (replace(hyper, shrink=0.0), run.seed)
            cold, warm = pairs.setdefault(key, ([], []))
            runs = warm if hyper.warm else cold
            runs.append(run)
        parts = [runs for pair in pairs.values() for runs in pair if runs]
        return [Task("runs", engine, tuple(runs)) for runs in parts]

    def cost_class(self, campaign: WidthsCampaign, run: Run) -> object:
        """Return width and batch."""
        hyper = campaign.hyperparameters(run.config)
        return hyper.width, hyper.batch_rows

    def provenance(self, campaign: WidthsCampaign) -> TableProvenance:
        """Return the rule of the split and that of diverged runs."""
        return {
            "split": "rows of a shuffled text, cut without overlap; equal paragraphs once",
            "diverged_rule": f"a loss that is not finite, or at the end more than "
            f"{campaign.diverged_factor * EQUAL_ODDS:.4f} nats a byte",
        }

    def notes(self, campaign: WidthsCampaign, frame: pd.DataFrame) -> list[str]:
        """Return coordinate check, drift of the learning rate, and tokens saved."""
        return findings(campaign, frame)

    def figures(self, campaign: WidthsCampaign, frame: pd.DataFrame) -> list[FigureRecord]:
        """Return the coordinate check."""
        return coordinate_figure(campaign, frame)

    def describe(self, campaign: WidthsCampaign) -> list[str]:
        """Return updates, bytes and what grows from what."""
        widths = campaign.extent("width")
        pairs = zip(campaign.warm_from, widths, strict=False)
        grown = ", ".join(f"{small} to {width}" for small, width in pairs) or "none"
        return [
            f"steps      {campaign.checkpoints[-1]} a run, checkpoints "
            f"{list(campaign.checkpoints)}",
            f"tokens     {campaign.model.context_tokens} bytes a row",
            f"warm       {grown}",
        ]

    def estimate(
        self, campaign: WidthsCampaign, file: Path, assumptions: Assumptions, pack_size: int
    ) -> list[str]:
        """Return parameters, FLOPs and hours by formulas."""
        return estimate(campaign, self.tasks(campaign, self.engines[0], pack_size), assumptions)


FAMILY = WidthsFamily()
