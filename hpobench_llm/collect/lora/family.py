"""The family `lora`: fine-tunes of a frozen language model with LoRA."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.columns import RunColumn
from hpobench_llm.collect.family import Bench, Family
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.columns import columns_of, metrics_of, split_rule
from hpobench_llm.collect.lora.costs.estimate import describe
from hpobench_llm.collect.lora.costs.packing import pack_size
from hpobench_llm.collect.lora.examine import examine
from hpobench_llm.collect.lora.mixture import shares_of
from hpobench_llm.collect.lora.packs import ENGINES, cost_class, plan
from hpobench_llm.collect.lora.scores.task_files import check_scores
from hpobench_llm.collect.lora.sealable import check_sealable
from hpobench_llm.collect.lora.solo import SoloCosts
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.lora.words import data_notes, retraining
from hpobench_llm.collect.record import Row, RunRecord
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.provenance import TableProvenance
from hpobench_llm.tables.publication import DATA_NOTES, RETRAINING


class LoraFamily(Family[LoraCampaign]):
    """Packs of runs on one frozen base, or one run after another with peft."""

    spec = LoraCampaign
    engines = ENGINES

    def open(self, campaign: LoraCampaign, file: Path, device: str, trust: Trust) -> Bench:
        """Load base, data and scores. See `Family.open`."""
        try:  # here, since all else that a family does must work without torch
            from hpobench_llm.collect.lora.engines.registry import LoraBench
            from hpobench_llm.collect.lora.opening import open_bench
        except ImportError as error:
            raise MissingDependencyError(str(error.name), "collect", "collect-grid") from None
        return LoraBench(open_bench(campaign, file, device, trust))

    def columns(
        self, campaign: LoraCampaign, untrained: Mapping[str, float]
    ) -> Sequence[RunColumn]:
        """Return hyperparameters, losses, scores and costs."""
        return columns_of(campaign, untrained)

    def metrics(self, campaign: LoraCampaign, header: Header, frame: pd.DataFrame) -> list[Metric]:
        """Return losses and scores."""
        return list(metrics_of(campaign, header, frame).values())

    def tasks(self, campaign: LoraCampaign, engine: str, pack_size: int) -> list[Task]:
        """Return packs of runs that can train together."""
        return plan(campaign, engine, pack_size)

    def pack_size(self, campaign: LoraCampaign, file: Path, device: str, workers: int) -> int:
        """Return how many runs fit and gain by it."""
        return pack_size(campaign, file, device, workers)

    def cost_class(self, campaign: LoraCampaign, run: Run) -> object:
        """Return rank, batch, dropout or none, modules, layers, shares of sources."""
        return cost_class(campaign.hyperparameters(run.config), shares_of(run.config))

    def priced(self, solo: Mapping[str, RunRecord]) -> Callable[[RunRecord], Iterable[Row]]:
        """Price packed runs as if they had been alone."""
        return SoloCosts(solo).priced

    def provenance(self, campaign: LoraCampaign) -> TableProvenance:
        """Return the rule of the split and that of diverged runs."""
        return {
            "split": split_rule(campaign.data, mixture=bool(campaign.mixture)),
            "diverged_factor": campaign.diverged_factor,
        }

    def prose(self, campaign: LoraCampaign) -> TableProvenance:
        """Return what a retrainer must know, and what must be known of the sources."""
        return {RETRAINING: retraining(campaign), DATA_NOTES: data_notes(campaign.data)}

    def check(
        self,
        campaign: LoraCampaign,
        where: str | Path,
        untrained: Mapping[str, float] | None = None,
    ) -> None:
        """Check columns, factor, and what the untrained base scores."""
        check_sealable(campaign, where, untrained)

    def check_trust(self, campaign: LoraCampaign, file: Path, trust: Trust) -> None:
        """Check the scores that run code."""
        check_scores(campaign, file, trust)

    def describe(self, campaign: LoraCampaign) -> list[str]:
        """Return steps and rows."""
        return [
            f"steps      {campaign.checkpoints[-1]} a run, checkpoints "
            f"{list(campaign.checkpoints)}",
            f"rows       {campaign.step_rows} a step and run, of at most "
            f"{campaign.data.max_tokens} tokens",
        ]

    def estimate(
        self, campaign: LoraCampaign, file: Path, assumptions: Assumptions, pack_size: int
    ) -> list[str]:
        """Return tokens, FLOPs, memory and hours by formulas."""
        return describe(campaign, file, assumptions=assumptions, pack_size=pack_size)

    def examine(
        self,
        campaign: LoraCampaign,
        file: Path,
        device: str,
        trust: Trust = NONE,
        used: Collection[str] = (),
    ) -> list[str]:
        """Read data and base. See `Family.examine`."""
        return examine(campaign, file, device, trust, used)


FAMILY = LoraFamily()
