"""A fitted surrogate, and how it lies on disk.

`surrogate.json` names every other file with its SHA-256 and closes with a sum over itself: the
models (`model-<n>.npz`, NumPy archives without pickle, or `model-<n>-<target>.txt`, LightGBM's
text), `noise.npz`, `quality.json` and `CARD.md`, which says the same for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpobench_llm.artefacts import (
    canonical_json,
    read_json,
    sha256_of_bytes,
    sha256_of_text,
    write_atomically,
    write_json,
)
from hpobench_llm.errors import IntegrityError, PoorSurrogateError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.surrogates.card import card
from hpobench_llm.surrogates.compare import Fitted
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.noise import Noise
from hpobench_llm.surrogates.resources import Shape
from hpobench_llm.surrogates.rows import Target

FORMAT = 2
SURROGATE_FILE, QUALITY_FILE, NOISE_FILE = "surrogate.json", "quality.json", "noise.npz"
CARD_FILE = "CARD.md"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """Models of metrics, statuses, costs and noise, with what they were fitted on.

    `targets` are the metrics, then the probabilities of statuses that are not `ok`; the columns
    of `models` count them. `noise` covers the metrics. The columns of `rates` count `shapes`.
    """

    name: str
    table: str
    table_version: str
    table_sha256: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    targets: tuple[Target, ...]
    models: tuple[Fitted, ...]
    shapes: tuple[Shape, ...]
    rates: tuple[Fitted, ...]
    noise: Noise
    quality: dict[str, Any]
    provenance: dict[str, Any]

    def with_ranking_check(self, outcome: dict[str, Any]) -> "Surrogate":
        """Return the surrogate with the outcome of its ranking check in its quality."""
        return replace(self, quality=self.quality | {"ranking_check": outcome})

    def refuse_if_poor(self) -> None:
        """Refuse a surrogate on which optimizers may rank unlike on its table, or by chance.

        Raises:
            PoorSurrogateError: it did not pass its ranking check, was never put to it, or predicts
                held-out values of the check's objective no better than their mean does.
        """
        check = self.quality.get("ranking_check")
        if not check:
            problem = "was never put to the ranking check (`hpobench-llm fit` ends with it)"
        elif not check["passed"]:
            problem = f"did not pass its ranking check: {check['verdict']}"
        else:
            objective = check["objective"]
            r2 = self.quality["targets"][objective]["all"]["r2"]
            if r2 is None or r2 > 0:  # None: all of its values are equal
                return
            problem = (
                f"predicts {objective} of configurations that it has not seen worse than their "
                f"mean would: R² {r2:.2f}"
            )
        raise PoorSurrogateError(
            f"surrogate {self.name}: {problem}; load(..., allow_poor=True) opens it all the same"
        )

    def write(self, folder: Path) -> Path:
        """Write all files; the one that names the others comes last."""
        contents: dict[str, bytes] = {}
        parts: dict[str, list[dict[str, Any]]] = {}
        number = 0
        for key, models in (("models", self.models), ("rates", self.rates)):
            parts[key] = []
            for fitted in models:
                files = {
                    suffix: f"model-{number}{'.' if suffix == 'npz' else '-'}{suffix}"
                    for suffix in fitted.model.files()
                }
                for suffix, content in fitted.model.files().items():
                    contents[files[suffix]] = content
                parts[key].append(
                    {
                        "family": fitted.family,
                        "columns": list(fitted.columns),
                        "kept": fitted.kept.tolist(),
                        "offset": fitted.offset.tolist(),
                        "scale": fitted.scale.tolist(),
                        "files": files,
                    }
                )
                number += 1
        contents[NOISE_FILE] = self.noise.files()["npz"]
        quality = canonical_json(self.quality)  # refuses what JSON cannot hold before any write
        for name, content in contents.items():
            write_atomically(folder / name, content)
        write_json(folder / QUALITY_FILE, self.quality)
        write_atomically(folder / CARD_FILE, card(self.name, self.metrics, self.quality))
        body = {
            "format": FORMAT,
            "name": self.name,
            "table": self.table,
            "table_version": self.table_version,
            "table_sha256": self.table_sha256,
            "space": self.space.to_json(),
            "fidelities": [fidelity.to_json() for fidelity in self.fidelities],
            "metrics": [metric.to_json() for metric in self.metrics.values()],
            "targets": [target.to_json() for target in self.targets],
            "shapes": [shape.to_json() for shape in self.shapes],
            **parts,
            "quality_sha256": sha256_of_text(quality),
            "sha256": {name: sha256_of_bytes(content) for name, content in contents.items()},
            "provenance": self.provenance,
        }
        write_json(folder / SURROGATE_FILE, body | {"sum": sha256_of_text(canonical_json(body))})
        return folder

    @staticmethod
    def load(folder: str | Path) -> "Surrogate":
        """Read and verify a surrogate.

        Raises:
            IntegrityError: a file is missing, damaged, or of another format.
            MissingDependencyError: the library of one of its models is not installed.
        """
        folder = Path(folder)
        where = folder / SURROGATE_FILE
        raw = read_json(where)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else raw
            raise IntegrityError(
                f"{where}: not a surrogate of format {FORMAT} (found {found!r}); fit it again"
            )
        body = {key: value for key, value in raw.items() if key != "sum"}
        if raw.get("sum") != sha256_of_text(canonical_json(body)):
            raise IntegrityError(f"{where}: was changed after it was written: its sum differs")
        quality = read_json(folder / QUALITY_FILE)
        try:
            if sha256_of_text(canonical_json(quality)) != raw["quality_sha256"]:
                raise IntegrityError(
                    f"{folder / QUALITY_FILE}: was changed after it was written: sha256 differs "
                    f"from {SURROGATE_FILE}"
                )
            contents = {
                name: _verified(folder, name, digest) for name, digest in raw["sha256"].items()
            }
            metrics = [Metric.from_json(metric) for metric in raw["metrics"]]
            return Surrogate(
                name=raw["name"],
                table=raw["table"],
                table_version=raw["table_version"],
                table_sha256=raw["table_sha256"],
                space=Space.from_json(raw["space"]),
                fidelities=tuple(Fidelity.from_json(f) for f in raw["fidelities"]),
                metrics={metric.name: metric for metric in metrics},
                targets=tuple(Target.from_json(target) for target in raw["targets"]),
                models=tuple(_read(entry, contents, folder) for entry in raw["models"]),
                shapes=tuple(Shape.from_json(shape) for shape in raw["shapes"]),
                rates=tuple(_read(entry, contents, folder) for entry in raw["rates"]),
                noise=_read_noise(contents, folder),
                quality=quality,
                provenance=raw["provenance"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(f"{where}: not complete: {error!r}") from None


def _verified(folder: Path, name: str, expected: str) -> bytes:
    path = folder / name
    if Path(name).name != name:
        raise IntegrityError(f"{path}: not the name of a file beside {SURROGATE_FILE}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    digest = sha256_of_bytes(content)
    if digest != expected:
        raise IntegrityError(f"{path}: sha256 is {digest}, but {SURROGATE_FILE} says {expected}")
    return content


def _read(entry: dict[str, Any], contents: dict[str, bytes], folder: Path) -> Fitted:
    files: dict[str, str] = entry["files"]
    family = FAMILIES.get(entry["family"])
    if family is None:
        raise IntegrityError(
            f"{folder / SURROGATE_FILE}: unknown model family {entry['family']!r}; "
            f"known: {', '.join(FAMILIES)}"
        )
    try:
        model = family.read({suffix: contents[name] for suffix, name in files.items()})
    except IntegrityError as error:
        raise IntegrityError(f"{folder / next(iter(files.values()))}: {error}") from None
    return Fitted(
        family.name,
        tuple(entry["columns"]),
        model,
        np.array(entry["kept"], dtype=np.intp),
        _floats(entry["offset"]),
        _floats(entry["scale"]),
    )


def _read_noise(contents: dict[str, bytes], folder: Path) -> Noise:
    try:
        return Noise.read({"npz": contents[NOISE_FILE]})
    except IntegrityError as error:
        raise IntegrityError(f"{folder / NOISE_FILE}: {error}") from None


def _floats(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)
