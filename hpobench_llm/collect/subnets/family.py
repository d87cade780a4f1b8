"""The family `subnets`: sub-networks of a fine-tuned LLaMA, measured in its super-network.

The method is that of Klein et al. (2024, arXiv 2405.02267) and Sukthanker et al. (2024, arXiv
2410.06479).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.columns import PROVENANCE, RunColumn, names_of
from hpobench_llm.collect.family import Bench, Family
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.columns import split_rule
from hpobench_llm.collect.lora.examine import data_lines
from hpobench_llm.collect.lora.scores.task_files import check_scores
from hpobench_llm.collect.lora.sealable import check_score_columns
from hpobench_llm.collect.lora.words import data_notes
from hpobench_llm.collect.subnets.columns import columns_of, metrics_of
from hpobench_llm.collect.subnets.findings import findings
from hpobench_llm.collect.subnets.pruning import by_bins
from hpobench_llm.collect.subnets.spec import SubnetsCampaign
from hpobench_llm.collect.subnets.subnet import parameters, subnet_of
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.metrics import Metric
from hpobench_llm.tables.provenance import TableProvenance
from hpobench_llm.tables.publication import DATA_NOTES


class SubnetsFamily(Family[SubnetsCampaign]):
    """One run is one sub-network of the super-network of one seed."""

    spec, engines = SubnetsCampaign, ("supernet",)

    def open(self, campaign: SubnetsCampaign, file: Path, device: str, trust: Trust) -> Bench:
        """Load base, rows and scores. See `Family.open`."""
        try:
            from hpobench_llm.collect.subnets.bench import open_bench
        except ImportError as error:
            raise MissingDependencyError(str(error.name), "collect", "collect-grid") from None
        return open_bench(campaign, file, device, trust)

    def columns(
        self, campaign: SubnetsCampaign, untrained: Mapping[str, float]
    ) -> Sequence[RunColumn]:
        """Return axes, losses, sizes, latency and scores."""
        return columns_of(campaign, untrained)

    def metrics(
        self, campaign: SubnetsCampaign, header: Header, frame: pd.DataFrame
    ) -> list[Metric]:
        """Return losses, parameters, FLOPs, latency and scores."""
        return metrics_of(campaign, header, frame)

    def cost_class(self, campaign: SubnetsCampaign, run: Run) -> object:
        """Return the parameter count: a larger sub-network is measured longer."""
        return parameters(subnet_of(run.config, campaign.whole), campaign.whole)

    def provenance(self, campaign: SubnetsCampaign) -> TableProvenance:
        """Return the rule of the split, the training, and how sub-networks were chosen."""
        selection = f"{campaign.sample} by {campaign.bins} bins of parameter counts"
        return {
            "split": split_rule(campaign.data),
            "training": asdict(campaign.training) | {"importance": campaign.importance},
            "sub_networks": selection if campaign.sample else "all of the grid",
            "latency": f"{campaign.latency_rows} rows of {campaign.data.max_tokens} tokens, "
            f"{campaign.latency_repeats} repeats",
        }

    def prose(self, campaign: SubnetsCampaign) -> TableProvenance:
        """Return what must be known of the sources."""
        return {DATA_NOTES: data_notes(campaign.data)}

    def notes(self, campaign: SubnetsCampaign, frame: pd.DataFrame) -> list[str]:
        """Return how well super-networks rank sub-networks."""
        return findings(campaign, frame)

    def check(
        self,
        campaign: SubnetsCampaign,
        where: str | Path,
        untrained: Mapping[str, float] | None = None,
    ) -> None:
        """Check that no score takes another's column."""
        check_score_columns(campaign, names_of([*columns_of(campaign, {}), *PROVENANCE]), where)

    def check_trust(self, campaign: SubnetsCampaign, file: Path, trust: Trust) -> None:
        """Check the scores that run code."""
        check_scores(campaign, file, trust)

    def describe(self, campaign: SubnetsCampaign) -> list[str]:
        """Return sizes, passes, baselines and how many are trained alone."""
        whole, training = campaign.whole, campaign.training
        smallest = parameters(subnet_of(campaign.smallest(), whole), whole)
        seeds = {run.seed for run in campaign.runs()}
        runs_alone = _runs_alone(campaign)
        return [
            f"sizes      {smallest:,} to {parameters(whole.subnet, whole):,} parameters",
            f"training   {training.finetune_steps} steps of the whole, then "
            f"{campaign.checkpoints[-1]} of {2 + training.random_subnets} passes for each of "
            f"{len(seeds)} super-networks, {training.batch_rows} rows a pass "
            f"({training.weights} weights); shared by all sub-networks of a seed",
            f"baselines  {len(by_bins(campaign))} by magnitude, {2 * max(0, whole.layers - 1)} by "
            "depth, cut from the fine-tuned network without training",
            f"alone      {runs_alone} runs also train their sub-network alone",
        ]

    def estimate(
        self,
        campaign: SubnetsCampaign,
        file: Path,
        assumptions: Assumptions,
        pack_size: int,
    ) -> list[str]:
        """Return the FLOPs and hours of all training, by 6 FLOPs a parameter and token."""
        whole, training = campaign.whole, campaign.training
        tokens = training.batch_rows * campaign.data.max_tokens * assumptions.row_fill
        most = 6.0 * parameters(whole.subnet, whole) * tokens
        seeds, steps = len({run.seed for run in campaign.runs()}), campaign.checkpoints[-1]
        passes = training.finetune_steps + seeds * steps * (2 + training.random_subnets)
        passes += steps * _runs_alone(campaign)
        seconds = assumptions.seconds(
            most * passes, float(passes * whole.layers), campaign.base.precision
        )
        return [
            f"estimate   at most {most * passes:.2g} FLOPs of training, as if all passes were of "
            f"the whole network: {seconds / 3600:.2f} hours; measuring comes on top of it"
        ]

    def examine(
        self,
        campaign: SubnetsCampaign,
        file: Path,
        device: str,
        trust: Trust = NONE,
        used: Collection[str] = (),
    ) -> list[str]:
        """Read base, data and scores as a start does; nothing is trained."""
        try:
            from hpobench_llm.collect.lora.bases.model import is_here
            from hpobench_llm.collect.subnets.bench import open_bench
        except ImportError as error:
            return [f"not read   base and data: {error.name} is not installed"]
        if not is_here(campaign.base):
            return [f"not read   base and data: {campaign.base.hub} is not on this machine yet"]
        # A plan for a GPU may be examined on a machine without one.
        bench = open_bench(campaign, file, "cpu" if device == "cuda" else device, trust)
        return [
            *data_lines(bench.workbench.split, campaign.data.max_tokens),
            f"calibrated {campaign.calibration.rows} rows",
            *(f"untrained  {name} {value:.4f}" for name, value in bench.untrained.items()),
        ]


def _runs_alone(campaign: SubnetsCampaign) -> int:
    """Return how many runs train their sub-network alone too."""
    runs = campaign.runs()
    configs = {run.config_id for run in runs[: campaign.alone]}
    return sum(run.config_id in configs for run in runs)


FAMILY = SubnetsFamily()
