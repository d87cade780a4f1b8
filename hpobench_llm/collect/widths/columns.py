"""The columns and metrics of a table of widths."""

import pyarrow as pa

from hpobench_llm.collect.columns import RunColumn, number
from hpobench_llm.collect.widths.spec import EQUAL_ODDS, WidthsCampaign
from hpobench_llm.metrics import Metric

NATS = "nats per byte"
LOSSES = ("val_loss", "test_loss", "train_loss")
# What a run has cost, which a failed one keeps.
COUNTERS = (
    "tokens_seen",
    "train_flops",
    "train_seconds",
    "train_wall_seconds",
    "eval_seconds",
    "peak_memory_bytes",
)

COLUMNS = (
    RunColumn("seed", pa.int64(), "", "seed of the first weights and of the order of the rows"),
    RunColumn("step", pa.int64(), "updates", "updates so far; 0: the first weights"),
    RunColumn("width", pa.int64(), "", "size of the residual stream"),
    RunColumn("parametrisation", pa.string(), "", "sp: standard; mup: muP for Adam"),
    number("lr", "", "peak learning rate of Adam at the base width"),
    number("init_std", "", "standard deviation of the first weights at the base width"),
    number("shrink", "", "factor on the smaller model's weights in a warm start; 0: a cold start"),
    RunColumn("batch_rows", pa.int64(), "rows", "rows per update of the weights"),
    number("warmup_fraction", "share of updates", "linear warm-up before the cosine"),
    number("clip_norm", "", "largest gradient norm"),
    number("beta1", "", "Adam's first moment decay"),
    number("beta2", "", "Adam's second moment decay"),
    number("epsilon", "", "Adam's epsilon at the base width"),
    number("train_loss", NATS, "mean over the training batches since the row before"),
    number("val_loss", NATS, "loss on the validation rows"),
    number("test_loss", NATS, "loss on the test rows"),
    number("grad_norm", "", "mean norm before clipping since the row before"),
    number("attention_size", "", "mean absolute coordinate of what the last attention adds"),
    number("mlp_size", "", "the same of what the last MLP adds"),
    number("residual_size", "", "the same of the residual stream after the last layer"),
    number("logit_size", "", "the same of the logits"),
    RunColumn(
        "tokens_seen", pa.int64(), "tokens", "bytes trained on so far; the source's are not"
    ),
    number("train_flops", "FLOPs", "of training so far, by formula, without the source's"),
    number(
        "train_seconds",
        "s",
        "computing of training so far: CPU seconds, on a GPU wall seconds; without the source's",
    ),
    number("train_wall_seconds", "s", "wall time of the same"),
    number("eval_seconds", "s", "computing spent on evaluation so far"),
    RunColumn(
        "peak_memory_bytes",
        pa.int64(),
        "bytes",
        "peak of training so far; on a CPU above what the process held when the run began",
    ),
    RunColumn("trainable_parameters", pa.int64(), "", "all of the model's"),
    RunColumn("source_width", pa.int64(), "", "width of the model that a warm start grew from"),
    number("source_flops", "FLOPs", "that this model was trained with, once for all its factors"),
    number("source_seconds", "s", "computing that this model was trained with"),
)


def metrics_of(campaign: WidthsCampaign) -> list[Metric]:
    """Return the losses; a failed run counts as one that is just diverged."""
    # The limit above which a run counts as diverged.
    worst = campaign.diverged_factor * EQUAL_ODDS
    return [
        Metric(
            name=name,
            unit=NATS,
            direction="minimize",
            worst=worst,
            low=0.0,
            role="objective" if name == "val_loss" else "diagnostic",
        )
        for name in LOSSES
    ]
