"""A fitted surrogate, and how it lies on disk.

`surrogate.json` names every other file with its SHA-256 and closes with a sum over itself: the
models (`model-<n>.npz`, NumPy archives without pickle), `noise.npz`, `quality.json` and `CARD.md`,
which says the same for people. Format 2 is still read: its draws are wider, its trees LightGBM's
text (`model-<n>-<target>.txt`).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, cast

from hpobench_llm.artefacts import (
    canonical_json,
    read_json,
    sha256_of_bytes,
    sha256_of_text,
    write_atomically,
    write_json,
)
from hpobench_llm.errors import HpobenchError, IntegrityError, PoorSurrogateError
from hpobench_llm.metrics import Fidelity, FidelityRecord, Metric, MetricRecord
from hpobench_llm.provenance import Revision
from hpobench_llm.space import AxisRecord, Space
from hpobench_llm.surrogates.card import card
from hpobench_llm.surrogates.compare import FittedModel
from hpobench_llm.surrogates.encoding import ConfigEncoder
from hpobench_llm.surrogates.files import (
    ModelRecord,
    model_files,
    noise_file,
    read_models,
    read_noise,
    verified,
)
from hpobench_llm.surrogates.gate import why_poor
from hpobench_llm.surrogates.noise import SeedNoise
from hpobench_llm.surrogates.record import DrawsRecord, Quality, RankingCheck
from hpobench_llm.surrogates.resources import ResourceShape, ShapeRecord
from hpobench_llm.surrogates.rows import FittedRecord, Target, check_targets
from hpobench_llm.surrogates.spread import Spread

FORMAT, READABLE = 3, (2, 3)
SURROGATE_FILE, QUALITY_FILE, NOISE_FILE = "surrogate.json", "quality.json", "noise.npz"
CARD_FILE = "CARD.md"


class AnswersRecord(TypedDict):
    """What a surrogate's answers follow from, as plain JSON."""

    format: int
    name: str
    table: str
    table_version: str
    table_sha256: str
    space: list[AxisRecord]
    fidelities: list[FidelityRecord]
    metrics: list[MetricRecord]
    targets: list[FittedRecord]
    shapes: list[ShapeRecord]
    models: list[ModelRecord]
    rates: list[ModelRecord]
    sha256: dict[str, str]


class FitProvenance(TypedDict):
    """How a surrogate was fitted."""

    seed: int
    folds: int
    versions: dict[str, str]
    code: Revision


class SurrogateRecord(AnswersRecord):
    """`surrogate.json`, without the sum over all of it."""

    quality_sha256: str
    provenance: FitProvenance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """Models of metrics, statuses, costs and noise, with what they were fitted on.

    `targets` are the metrics, then the probabilities of statuses that are not `ok`; the columns
    of `models` count them. `spread` (where a run lies) and `noise` (what a seed draws) cover the
    metrics. The columns of `rates` count `shapes`.
    """

    name: str
    table: str
    table_version: str
    table_sha256: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    targets: tuple[Target, ...]
    models: tuple[FittedModel, ...]
    shapes: tuple[ResourceShape, ...]
    rates: tuple[FittedModel, ...]
    spread: Spread
    noise: SeedNoise
    quality: Quality
    provenance: FitProvenance

    def with_ranking_check(self, outcome: RankingCheck | None) -> "Surrogate":
        """Return the surrogate with the outcome of its ranking check in its quality."""
        return replace(self, quality=self.quality | {"ranking_check": outcome})

    def with_draws(self, draws: dict[str, DrawsRecord]) -> "Surrogate":
        """Return the surrogate with what its draws are beside real runs in its quality."""
        return replace(self, quality=self.quality | {"draws": draws})

    def refuse_if_poor(self) -> None:
        """Refuse a surrogate on which a comparison of optimizers may mean nothing (`gate.py`).

        Raises:
            PoorSurrogateError: saying what is wrong with it.
        """
        try:
            problem = why_poor(self.quality, self.fidelities)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # The record of an older version may lack what the gate looks at.
            problem = f"has no complete {QUALITY_FILE}: {error!r}"
        if problem:
            raise PoorSurrogateError(
                f"surrogate {self.name}: {problem}; load(..., allow_poor=True) opens it all the "
                "same"
            )

    def write(self, folder: Path) -> Path:
        """Write all files; the one that names the others comes last."""
        answers, contents = self._answers()
        quality = canonical_json(self.quality)  # refuses what JSON cannot hold before any write
        # The index comes last: a writer that is killed leaves no surrogate that looks complete.
        for name, content in contents.items():
            write_atomically(folder / name, content)
        write_json(folder / QUALITY_FILE, self.quality)
        write_atomically(folder / CARD_FILE, card(self.name, self.metrics, self.quality))
        body: SurrogateRecord = {
            **answers,
            "quality_sha256": sha256_of_text(quality),
            "provenance": self.provenance,
        }
        write_json(folder / SURROGATE_FILE, {**body, "sum": sha256_of_text(canonical_json(body))})
        return folder

    @property
    def sha256(self) -> str:
        """The sum over all that its answers follow from, which its quality record is not."""
        answers, _ = self._answers()
        return sha256_of_text(canonical_json(answers))

    def _answers(self) -> tuple[AnswersRecord, dict[str, bytes]]:
        """Return what answers follow from, as JSON, and the files that it names."""
        models, contents = model_files(self.models, 0)
        rates, more = model_files(self.rates, len(models))
        contents |= more | {NOISE_FILE: noise_file(self.spread, self.noise)}
        answers: AnswersRecord = {
            "format": FORMAT if self.noise.regions is not None else READABLE[0],
            "name": self.name,
            "table": self.table,
            "table_version": self.table_version,
            "table_sha256": self.table_sha256,
            "space": self.space.to_json(),
            "fidelities": [fidelity.to_json() for fidelity in self.fidelities],
            "metrics": [metric.to_json() for metric in self.metrics.values()],
            "targets": [target.to_json() for target in self.targets],
            "shapes": [shape.to_json() for shape in self.shapes],
            "models": models,
            "rates": rates,
            "sha256": {name: sha256_of_bytes(content) for name, content in contents.items()},
        }
        return answers, contents

    @staticmethod
    def load(folder: str | Path) -> "Surrogate":
        """Read and verify a surrogate.

        Raises:
            IntegrityError: a file is missing, damaged, or of another format.
            MissingDependencyError: the library of one of its models is not installed.
        """
        folder = Path(folder)
        path = folder / SURROGATE_FILE
        raw = read_json(path)
        if not isinstance(raw, dict) or raw.get("format") not in READABLE:
            stated = raw.get("format") if isinstance(raw, dict) else raw
            raise IntegrityError(
                f"{path}: not a surrogate of format {FORMAT} (found {str(stated)[:60]}); "
                "fit it again"
            )
        quality = read_json(folder / QUALITY_FILE)
        try:
            body = {key: value for key, value in raw.items() if key != "sum"}
            if raw.get("sum") != sha256_of_text(canonical_json(body)):
                raise IntegrityError("was changed after it was written: its sum differs")
            if sha256_of_text(canonical_json(quality)) != raw["quality_sha256"]:
                raise IntegrityError(
                    f"{QUALITY_FILE} was changed after it was written: sha256 differs"
                )
            return _checked(cast("SurrogateRecord", raw), quality, folder)
        except HpobenchError as error:
            raise IntegrityError(f"{path}: {error}") from None
        # Anything may stand in a forged file: reading it ends with one kind of error.
        except (
            *(KeyError, TypeError, ValueError, AttributeError),
            *(IndexError, OverflowError, RecursionError),
        ) as error:
            raise IntegrityError(f"{path}: not complete: {error!r}") from None


def _checked(raw: SurrogateRecord, quality: Any, folder: Path) -> Surrogate:
    """Return the surrogate of a body whose sums are right; what else is wrong raises an error."""
    contents = {
        name: verified(folder, name, digest, SURROGATE_FILE)
        for name, digest in raw["sha256"].items()
    }
    # A sum proves that a file is whole, not that a fit wrote it: types are checked too.
    texts = (raw["name"], raw["table"], raw["table_version"], raw["table_sha256"])
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("name, table, table_version, table_sha256: texts are expected")
    if not isinstance(quality, dict) or not isinstance(raw["provenance"], dict):
        raise TypeError(f"{QUALITY_FILE} and `provenance`: mappings are expected")
    space = Space.from_json(raw["space"])
    if not all(isinstance(name, str) for name in space.names):
        raise TypeError(f"names of hyperparameters: texts are expected, got {space.names}")
    fidelities = tuple(Fidelity.from_json(f) for f in raw["fidelities"])
    metrics = {m.name: m for m in (Metric.from_json(metric) for metric in raw["metrics"])}
    targets = tuple(Target.from_json(target) for target in raw["targets"])
    shapes = tuple(ResourceShape.from_json(shape) for shape in raw["shapes"])
    check_targets(targets, metrics, fidelities)
    for shape in shapes:
        shape.check(fidelities)
    units, axes = ConfigEncoder(space).width, len(fidelities)
    spread, noise = read_noise(
        contents[NOISE_FILE],
        regional=raw["format"] == FORMAT,
        units=units,
        axes=axes,
        metrics=sum(target.kind == "metric" for target in targets),
    )
    return Surrogate(
        name=raw["name"],
        table=raw["table"],
        table_version=raw["table_version"],
        table_sha256=raw["table_sha256"],
        space=space,
        fidelities=fidelities,
        metrics=metrics,
        targets=targets,
        models=read_models(raw["models"], contents, units + axes, len(targets)),
        shapes=shapes,
        rates=read_models(raw["rates"], contents, units, len(shapes)),
        spread=spread,
        noise=noise,
        quality=cast("Quality", quality),
        provenance=raw["provenance"],
    )
