"""What a table on disk looks like: the columns of `table.parquet` and the keys of `table.json`."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hpobench_llm.artefacts import canonical_json, sha256_of_text
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.tables.json_types import check_imported, check_types

FORMAT = 1
TABLE_FILE, METADATA_FILE, CARD_FILE = "table.parquet", "table.json", "CARD.md"
STEP = "step"
EXAMPLES_FILE = "examples.parquet"
IMPORTED = "imported"  # the key of an imported table's provenance
LICENCE_NOT_STATED = "not stated"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.))*")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a collected table: its Arrow type, unit and meaning.

    Those that are `required` stand in every table, an imported one too.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    required: bool = False


COLUMNS = (
    Column("config_id", pa.string(), "", "hash of the configuration's axes", True),
    Column("seed", pa.int64(), "", "seed of initialisation, data order and dropout", True),
    Column(STEP, pa.int64(), "steps", "forward and backward passes; 0: the untrained base"),
    Column("status", pa.string(), "", "ok, diverged, out_of_memory or failed", True),
    Column("rank", pa.int64(), "", "LoRA rank"),
    Column("alpha_ratio", pa.float64(), "", "LoRA alpha divided by rank"),
    Column("dropout", pa.float64(), "probability", "dropout on the adapter's input"),
    Column("lr", pa.float64(), "", "peak learning rate of AdamW"),
    Column("batch_rows", pa.int64(), "rows", "rows per update of the weights"),
    Column("train_fraction", pa.float64(), "share of rows", "share of the training rows used"),
    Column("warmup_fraction", pa.float64(), "share of steps", "linear warm-up before the cosine"),
    Column("weight_decay", pa.float64(), "", "AdamW's decoupled weight decay"),
    Column("clip_norm", pa.float64(), "", "largest gradient norm"),
    Column("beta1", pa.float64(), "", "AdamW's first moment decay"),
    Column("beta2", pa.float64(), "", "AdamW's second moment decay"),
    Column("epsilon", pa.float64(), "", "AdamW's epsilon"),
    Column("scaling", pa.string(), "", "lora: alpha/rank; rslora: alpha/sqrt(rank)"),
    Column("target_modules", pa.string(), "", "modules that carry an adapter"),
    Column("layer_fraction", pa.float64(), "share of layers", "the last ones carry adapters"),
    Column(
        "train_loss",
        pa.float64(),
        "nats per label token",
        "mean over the training batches since the row before; at step 0 of the untrained base on "
        "as many training rows as there are validation rows",
    ),
    Column("val_loss", pa.float64(), "nats per label token", "loss on the validation rows"),
    Column("test_loss", pa.float64(), "nats per label token", "loss on the test rows"),
    Column(
        "leaked_val_loss",
        pa.float64(),
        "nats per label token",
        "loss on training rows that serve as validation rows leaked into training",
    ),
    Column("grad_norm", pa.float64(), "", "mean norm before clipping since the row before"),
    Column(
        "train_seconds",
        pa.float64(),
        "s",
        "computing of training so far: CPU seconds, on a GPU wall seconds; of a packed run the "
        "mean of the runs of its cost class (rank, batch, dropout or none, modules) that were "
        "trained alone, or its share of the pack where none was",
    ),
    Column("train_wall_seconds", pa.float64(), "s", "wall time of the same"),
    Column("amortised_train_seconds", pa.float64(), "s", "a packed run's share of its pack"),
    Column("solo_train_seconds", pa.float64(), "s", "of this very run, trained alone once more"),
    Column("eval_seconds", pa.float64(), "s", "computing spent on evaluation so far"),
    Column(
        "peak_memory_bytes",
        pa.int64(),
        "bytes",
        "peak of training so far; on a CPU above what the process held when the run began; of a "
        "packed run as for train_seconds",
    ),
    Column("tokens_seen", pa.int64(), "tokens", "tokens trained on so far, without padding"),
    Column("label_tokens_seen", pa.int64(), "tokens", "those of them that the loss saw"),
    Column("trainable_parameters", pa.int64(), "", "LoRA's A and B"),
    Column("engine", pa.string(), "", "which training loop made the row: packed or peft"),
    Column("pack_size", pa.int64(), "runs", "how many runs were trained together"),
    Column("device", pa.string(), "", "processor or GPU"),
    Column("threads", pa.int64(), "", "CPU threads of the process"),
    Column("git_commit", pa.string(), "", "revision of this package that trained the row"),
    Column("git_dirty", pa.bool_(), "", "whether the package differed from that revision"),
    Column("versions", pa.string(), "", "library versions as JSON"),
)
BY_NAME = {column.name: column for column in COLUMNS}
COSTS = ("train_seconds", "eval_seconds")
# What a run has cost so far: these columns are numbers with this meaning in every table.
MEASURES = (
    *COSTS,
    "train_wall_seconds",
    "peak_memory_bytes",
    "tokens_seen",
    "label_tokens_seen",
    "trainable_parameters",
)


def check_name(name: object) -> str:
    """Return a table's name if it can be that of a folder, and of no other than its own.

    Raises:
        ValueError: it is empty or holds a slash, `..` or another odd character.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a table: letters, digits and single . _ + - are allowed, "
            "a letter or digit first"
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """`table.json`: everything about a table that is not a row.

    `fidelities` may be empty: every row is then a run in full. Tables of one `family` measure the
    same space on related tasks; `task` says what this one's is (a model's name and size, say).
    """

    name: str
    version: str
    description: str
    context: str
    licence: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    seeds: tuple[int, ...]
    untrained: dict[str, float]
    provenance: dict[str, Any]
    table_sha256: str
    examples_sha256: str = ""
    family: str = ""
    task: dict[str, str | int | float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, closed by a sum over all the others."""
        body = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "context": self.context,
            "licence": self.licence,
            "space": self.space.to_json(),
            "fidelities": [fidelity.to_json() for fidelity in self.fidelities],
            "metrics": [metric.to_json() for metric in self.metrics.values()],
            "seeds": list(self.seeds),
            "untrained": self.untrained,
            "provenance": self.provenance,
            "sha256": {TABLE_FILE: self.table_sha256}
            | ({EXAMPLES_FILE: self.examples_sha256} if self.examples_sha256 else {}),
        }
        body |= {"family": self.family, "task": self.task} if self.family else {}
        return body | {"metadata_sha256": sha256_of_text(canonical_json(body))}

    @staticmethod
    def from_json(raw: Any, where: object) -> "Metadata":
        """Rebuild and check the metadata that the file `where` holds.

        Raises:
            IntegrityError: it has another format, was changed, or is not complete.
        """
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else raw
            raise IntegrityError(f"{where}: format {found!r}, this version reads {FORMAT}")
        body = {key: value for key, value in raw.items() if key != "metadata_sha256"}
        try:
            digest = sha256_of_text(canonical_json(body))
        except (ValueError, RecursionError) as error:  # NaN, half a surrogate pair, deep nesting
            raise IntegrityError(f"{where}: no JSON that can be summed: {error}") from None
        if raw.get("metadata_sha256") != digest:
            raise IntegrityError(
                f"{where}: was changed after the table was sealed: its own sum says "
                f"{raw.get('metadata_sha256')}, its content gives {digest}"
            )
        try:
            check_types(raw)
            if IMPORTED in raw["provenance"]:
                check_imported(raw["provenance"][IMPORTED])
            metrics = [Metric.from_json(metric) for metric in raw["metrics"]]
            return Metadata(
                name=check_name(raw["name"]),
                version=raw["version"],
                description=raw["description"],
                context=raw["context"],
                licence=raw["licence"],
                space=Space.from_json(raw["space"]),
                fidelities=tuple(Fidelity.from_json(f) for f in raw["fidelities"]),
                metrics={metric.name: metric for metric in metrics},
                seeds=tuple(raw["seeds"]),
                untrained=raw["untrained"],
                provenance=raw["provenance"],
                table_sha256=raw["sha256"][TABLE_FILE],
                examples_sha256=raw["sha256"].get(EXAMPLES_FILE, ""),
                family=raw.get("family", ""),
                task=raw.get("task", {}),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise IntegrityError(f"{where}: not complete: {error!r}") from None
