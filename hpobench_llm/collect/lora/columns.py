"""The columns and metrics of a table of LoRA fine-tunes."""

from collections.abc import Mapping, Sequence
from typing import cast

import pandas as pd
import pyarrow as pa

from hpobench_llm.collect.columns import RunColumn, number
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.mixture import axes_of
from hpobench_llm.collect.lora.recipe import Data, Score
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.metrics import Metric

_COLUMNS = (
    RunColumn("seed", pa.int64(), "", "seed of initialisation, data order and dropout"),
    RunColumn("step", pa.int64(), "steps", "forward and backward passes; 0: the untrained base"),
    RunColumn("rank", pa.int64(), "", "LoRA rank"),
    RunColumn("alpha_ratio", pa.float64(), "", "LoRA alpha divided by rank"),
    RunColumn("dropout", pa.float64(), "probability", "dropout on the adapter's input"),
    RunColumn("lr", pa.float64(), "", "peak learning rate of AdamW"),
    RunColumn("batch_rows", pa.int64(), "rows", "rows per update of the weights"),
    RunColumn("train_fraction", pa.float64(), "share of rows", "share of the training rows used"),
    RunColumn(
        "warmup_fraction", pa.float64(), "share of steps", "linear warm-up before the cosine"
    ),
    RunColumn("weight_decay", pa.float64(), "", "AdamW's decoupled weight decay"),
    RunColumn("clip_norm", pa.float64(), "", "largest gradient norm"),
    RunColumn("beta1", pa.float64(), "", "AdamW's first moment decay"),
    RunColumn("beta2", pa.float64(), "", "AdamW's second moment decay"),
    RunColumn("epsilon", pa.float64(), "", "AdamW's epsilon"),
    RunColumn("scaling", pa.string(), "", "lora: alpha/rank; rslora: alpha/sqrt(rank)"),
    RunColumn("target_modules", pa.string(), "", "modules that carry an adapter"),
    RunColumn("layer_fraction", pa.float64(), "share of layers", "the last ones carry adapters"),
    RunColumn(
        "train_loss",
        pa.float64(),
        "nats per label token",
        "mean over the training batches since the row before; at step 0 of the untrained base on "
        "as many training rows as there are validation rows",
    ),
    RunColumn("val_loss", pa.float64(), "nats per label token", "loss on the validation rows"),
    RunColumn("test_loss", pa.float64(), "nats per label token", "loss on the test rows"),
    RunColumn(
        "leaked_val_loss",
        pa.float64(),
        "nats per label token",
        "loss on training rows that serve as validation rows leaked into training",
    ),
    RunColumn("grad_norm", pa.float64(), "", "mean norm before clipping since the row before"),
    RunColumn(
        "train_seconds",
        pa.float64(),
        "s",
        "computing of training so far: CPU seconds, on a GPU wall seconds; of a packed run the "
        "mean of the runs of its cost class (rank, batch, dropout or none, modules) that were "
        "trained alone, or its share of the pack where none was",
    ),
    RunColumn("train_wall_seconds", pa.float64(), "s", "wall time of the same"),
    RunColumn("amortised_train_seconds", pa.float64(), "s", "a packed run's share of its pack"),
    RunColumn(
        "solo_train_seconds", pa.float64(), "s", "of this very run, trained alone once more"
    ),
    RunColumn("eval_seconds", pa.float64(), "s", "computing spent on evaluation so far"),
    RunColumn(
        "peak_memory_bytes",
        pa.int64(),
        "bytes",
        "peak of training so far; on a CPU above what the process held when the run began; of a "
        "packed run as for train_seconds",
    ),
    RunColumn("tokens_seen", pa.int64(), "tokens", "tokens trained on so far, without padding"),
    RunColumn("label_tokens_seen", pa.int64(), "tokens", "those of them that the loss saw"),
    RunColumn("trainable_parameters", pa.int64(), "", "LoRA's A and B"),
    RunColumn("engine", pa.string(), "", "which training loop made the row: packed or peft"),
    RunColumn("pack_size", pa.int64(), "runs", "how many runs were trained together"),
)


def columns_of(campaign: LoraCampaign, untrained: Mapping[str, float]) -> tuple[RunColumn, ...]:
    """Return the columns that the runs of a campaign may fill.

    `untrained` names the smaller validation sets and the scores, with their margins.
    """
    shares = [
        number(axis.name, "share of rows", f"share of {source} among the training rows")
        for source, axis in zip(campaign.mixture, axes_of(campaign.mixture), strict=True)
    ]
    return (*_COLUMNS, *shares, *score_columns_of(untrained))


def score_columns_of(untrained: Mapping[str, float]) -> list[RunColumn]:
    """Return the columns of smaller validation sets and of scores."""
    return [
        number(name, *_meaning(name))
        for name in untrained
        if name.startswith(("val_loss_", "score_"))
    ]


def _meaning(name: str) -> tuple[str, str]:
    if name.startswith("val_loss_"):
        rows = name.removeprefix("val_loss_")
        # A number names a smaller set, anything else a source.
        if not rows.isdecimal():
            return (
                "nats per label token",
                f"loss on those of the validation rows that are {rows}'s",
            )
        return "nats per label token", f"loss on the first {rows} of the validation rows"
    metric = name.removesuffix("_stderr")
    unit = "nats" if metric.endswith("_margin") else "share of items"
    if metric != name:
        return unit, f"standard error of {metric} over the benchmark's items"
    if metric.endswith("_margin"):
        return unit, (
            "log-likelihood of the right answer, less the best wrong one's where there are choices"
        )
    return unit, "benchmark score, empty where it was not measured"


def metrics_of(campaign: LoraCampaign, header: Header, frame: pd.DataFrame) -> dict[str, Metric]:
    """Return a campaign's metrics, from a ledger's header and the rows that there are.

    A failed run counts as one that is just diverged.
    """
    untrained = header.untrained
    # The limit above which a run counts as diverged.
    worst = campaign.diverged_factor * untrained["val_loss"]
    losses = [
        Metric(
            name=name,
            unit="nats per label token",
            direction="minimize",
            worst=worst,
            low=0.0,
            role="objective" if name.startswith("val_loss") else "diagnostic",
        )
        for name in ("val_loss", "test_loss", "train_loss", *untrained)
        if name.endswith("_loss") or name.startswith("val_loss_")
    ]
    scores = score_metrics(campaign.score, header, frame)
    # By name, since `untrained` repeats the three losses that come first.
    return {metric.name: metric for metric in [*losses, *scores]}


def score_metrics(scores: Sequence[Score], header: Header, frame: pd.DataFrame) -> list[Metric]:
    """Return the metrics of scores.

    A failed run counts as chance. A margin has no chance level: there a failed run counts as the
    lowest margin that was measured, or as 0.
    """
    metrics = []
    sources = cast("Mapping[str, Mapping[str, float]]", header.sources.get("scores", {}))
    for score in scores:
        name = f"score_{score.name}"
        metrics.append(
            Metric(
                name=name,
                unit="share of items",
                direction="maximize",
                worst=sources[score.name]["chance"],
                low=0.0,
                high=1.0,
                stderr=f"{name}_stderr",
                role="score",
            )
        )
        if f"{name}_margin" in header.untrained:
            metrics.append(
                Metric(
                    name=f"{name}_margin",
                    unit="nats",
                    direction="maximize",
                    worst=min(0.0, float(frame[f"{name}_margin"].min())),
                    stderr=f"{name}_margin_stderr",
                    role="score",
                )
            )
    return metrics


def split_rule(data: Data, *, mixture: bool = False) -> str:
    """Say how rows are dealt out to training, validation and test."""
    rule = "disjoint by a hash of the normalised question"
    if data.group_words:
        compared = "question or answer" if data.group_answers else "question"
        rule += f"; rows that share a rare run of {data.group_words} words of their {compared} "
        rule += "share a set"
    if mixture:
        rule += "; validation and test rows are equal parts of the sources"
    return rule
