"""Tables of format 1, which had no units and meanings of collected columns.

All of these were collected by LoRA campaigns: the list below has the meaning of their columns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from hpobench_llm.metrics import Metric
from hpobench_llm.tables.columns import MEASURES, Column, ColumnRecord, described
from hpobench_llm.tables.schema import IMPORTED, Metadata

_COLUMNS = {
    "config_id": ("", "hash of the configuration's axes"),
    "seed": ("", "seed of initialisation, data order and dropout"),
    "step": ("steps", "forward and backward passes; 0: the untrained base"),
    "status": ("", "ok, diverged, out_of_memory or failed"),
    "rank": ("", "LoRA rank"),
    "alpha_ratio": ("", "LoRA alpha divided by rank"),
    "dropout": ("probability", "dropout on the adapter's input"),
    "lr": ("", "peak learning rate of AdamW"),
    "batch_rows": ("rows", "rows per update of the weights"),
    "train_fraction": ("share of rows", "share of the training rows used"),
    "warmup_fraction": ("share of steps", "linear warm-up before the cosine"),
    "weight_decay": ("", "AdamW's decoupled weight decay"),
    "clip_norm": ("", "largest gradient norm"),
    "beta1": ("", "AdamW's first moment decay"),
    "beta2": ("", "AdamW's second moment decay"),
    "epsilon": ("", "AdamW's epsilon"),
    "scaling": ("", "lora: alpha/rank; rslora: alpha/sqrt(rank)"),
    "target_modules": ("", "modules that carry an adapter"),
    "layer_fraction": ("share of layers", "the last ones carry adapters"),
    "train_loss": (
        "nats per label token",
        "mean over the training batches since the row before; at step 0 of the untrained "
        "base on as many training rows as there are validation rows",
    ),
    "val_loss": ("nats per label token", "loss on the validation rows"),
    "test_loss": ("nats per label token", "loss on the test rows"),
    "leaked_val_loss": (
        "nats per label token",
        "loss on training rows that serve as validation rows leaked into training",
    ),
    "grad_norm": ("", "mean norm before clipping since the row before"),
    "train_seconds": (
        "s",
        "computing of training so far: CPU seconds, on a GPU wall seconds; of a packed "
        "run the mean of the runs of its cost class (rank, batch, dropout or none, "
        "modules) that were trained alone, or its share of the pack where none was",
    ),
    "train_wall_seconds": ("s", "wall time of the same"),
    "amortised_train_seconds": ("s", "a packed run's share of its pack"),
    "solo_train_seconds": ("s", "of this very run, trained alone once more"),
    "eval_seconds": ("s", "computing spent on evaluation so far"),
    "peak_memory_bytes": (
        "bytes",
        "peak of training so far; on a CPU above what the process held when the run "
        "began; of a packed run as for train_seconds",
    ),
    "tokens_seen": ("tokens", "tokens trained on so far, without padding"),
    "label_tokens_seen": ("tokens", "those of them that the loss saw"),
    "trainable_parameters": ("", "LoRA's A and B"),
    "engine": ("", "which training loop made the row: packed or peft"),
    "pack_size": ("runs", "how many runs were trained together"),
    "device": ("", "processor or GPU"),
    "threads": ("", "CPU threads of the process"),
    "git_commit": ("", "revision of this package that trained the row"),
    "git_dirty": ("", "whether the package differed from that revision"),
    "versions": ("", "library versions as JSON"),
}


def with_columns(metadata: Metadata, frame: pd.DataFrame) -> Metadata:
    """Return the metadata of a table of format 1, with unit and meaning of its columns."""
    imported = metadata.provenance.get(IMPORTED)
    metrics = metadata.metrics.values()
    stated = _collected(metrics) if imported is None else _imported(imported["columns"])
    names = map(str, frame.columns)
    columns = described(names, metadata.space, metadata.fidelities, metrics, stated)
    return replace(metadata, columns=columns)


def examples(frame: pd.DataFrame) -> pd.DataFrame:
    """Return single items in today's columns; in format 1 all of them were validation rows."""
    if "row_id" not in frame.columns:
        return frame
    names = {"row_id": "item_id", "loss_nats": "value", "label_tokens": "tokens"}
    renamed = frame.rename(columns=names)
    renamed.insert(2, "column", "val_loss")
    return renamed


def _imported(columns: Mapping[str, ColumnRecord]) -> dict[str, Column]:
    return {
        name: Column(about["unit"], about["meaning"], name in MEASURES)
        for name, about in columns.items()
    }


def _collected(metrics: Iterable[Metric]) -> dict[str, Column]:
    columns = {n: Column(unit, text, n in MEASURES) for n, (unit, text) in _COLUMNS.items()}
    for metric in metrics:
        error = f"standard error of {metric.name} over the benchmark's items"
        columns.setdefault(metric.name, Column(metric.unit, _meaning(metric.name)))
        columns.setdefault(metric.stderr, Column(metric.unit, error))
    return columns


def _meaning(metric: str) -> str:
    if metric.startswith("val_loss_"):
        return f"loss on the first {metric.removeprefix('val_loss_')} of the validation rows"
    if metric.endswith("_margin"):
        return (
            "log-likelihood of the right answer, less the best wrong one's where there are choices"
        )
    return "benchmark score, empty where it was not measured"
