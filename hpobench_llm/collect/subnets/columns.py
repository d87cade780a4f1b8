"""The columns and metrics of a table of sub-networks."""

import math
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from hpobench_llm.collect.columns import RunColumn, number
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.lora.columns import score_columns_of, score_metrics
from hpobench_llm.collect.subnets.spec import STEP, SubnetsCampaign
from hpobench_llm.metrics import Metric

LOSS = "nats per label token"
_AXES = {
    "layers": "most important layers that are kept",
    "depth": "most important layers that are kept",
    "heads": "most important query heads that are kept in each layer",
    "units": "most important units of the MLP that are kept in each layer",
    "width": "most important entries of the embedding that are kept",
    "mlp_ratio": "units of the MLP that are kept in each layer, over the width",
}
_COLUMNS = (
    RunColumn("seed", pa.int64(), "", "seed of the super-network: rows, sub-networks, adapters"),
    RunColumn(STEP, pa.int64(), "steps", "of the super-network; 0: fine-tuned, and cut"),
    number("val_loss", LOSS, "loss of the sub-network on the validation rows"),
    number("test_loss", LOSS, "loss on the test rows"),
    number("leaked_val_loss", LOSS, "loss on training rows"),
    RunColumn("parameters", pa.int64(), "", "of the sub-network, embedding and head too"),
    RunColumn("flops", pa.int64(), "FLOPs", "of a forward pass over a row of data.max_tokens"),
    number("latency_seconds", "s", "wall time of a forward pass: the median of the repeats"),
    number("latency_spread_seconds", "s", "range of the middle half of the repeats"),
    number("train_seconds", "s", "0: a sub-network is not trained; see shared_train_seconds"),
    number("eval_seconds", "s", "computing spent on losses and scores so far"),
    number(
        "shared_train_seconds",
        "s",
        "computing of fine-tuning and super-network so far, shared by all sub-networks of a seed",
    ),
    number("alone_val_loss", LOSS, "validation loss of the same sub-network trained alone"),
    number("alone_test_loss", LOSS, "test loss of the same sub-network trained alone"),
    number("alone_train_seconds", "s", "computing of training it alone"),
    RunColumn("kept_width", pa.int64(), "", "entries of the embedding"),
    RunColumn("kept_heads", pa.int64(), "", "query heads of each layer"),
    RunColumn("kept_units", pa.int64(), "", "units of the MLP of each layer"),
    RunColumn("kept_layers", pa.string(), "", "numbers of the layers that are kept"),
    RunColumn("order_sha256", pa.string(), "", "sum of the parts' orders of importance"),
    RunColumn("supernet_sha256", pa.string(), "", "sum of the super-network's last weights"),
)


def columns_of(campaign: SubnetsCampaign, untrained: Mapping[str, float]) -> list[RunColumn]:
    """Return the columns that the runs of a campaign may fill."""
    axes = [
        RunColumn(
            name,
            pa.float64() if name == "mlp_ratio" else pa.int64(),
            "",
            _AXES.get(name, "whether the layer is kept: 1, or dropped: 0"),
        )
        for name in campaign.grid
    ]
    return [*axes, *_COLUMNS, *score_columns_of(untrained)]


def metrics_of(campaign: SubnetsCampaign, header: Header, frame: pd.DataFrame) -> list[Metric]:
    """Return losses, sizes and scores.

    A run without a loss counts as one that knows nothing, or as the worst one measured.
    """
    ignorance = math.log(campaign.whole.vocabulary)
    losses = ["val_loss", "test_loss"]
    # Smaller validation sets, which the header names.
    losses += [name for name in header.untrained if name.startswith("val_loss_")]
    if campaign.data.leaked_rows:
        losses.append("leaked_val_loss")
    metrics = [
        Metric(
            name=name,
            unit=LOSS,
            direction="minimize",
            worst=max(ignorance, _largest(frame, name)),
            low=0.0,
            role="objective" if name.startswith("val_loss") else "diagnostic",
        )
        for name in losses
    ]
    metrics += [
        Metric(
            name=name,
            unit=unit,
            direction="minimize",
            worst=_largest(frame, name),
            low=0.0,
            role="cost",
        )
        for name, unit in (("parameters", ""), ("flops", "FLOPs"), ("latency_seconds", "s"))
    ]
    return metrics + score_metrics(campaign.score, header, frame)


def _largest(frame: pd.DataFrame, name: str) -> float:
    largest = frame[name].max()
    return 0.0 if pd.isna(largest) else float(largest)
