"""The parts of a surrogate as files, and back: all that is read is checked before it is used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from hpobench_llm.artefacts import read_file, sha256_of_bytes
from hpobench_llm.errors import IntegrityError
from hpobench_llm.surrogates.compare import FittedModel
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.models.base import check_shapes, pack, unpack
from hpobench_llm.surrogates.models.ridge import Polynomial
from hpobench_llm.surrogates.noise import WAVES, SeedNoise
from hpobench_llm.surrogates.regions import Regions
from hpobench_llm.surrogates.spread import GRID, Spread

_SPREAD = ("width", "degree", "log_range", "quantiles")
_DRAWS = ("seed_share", "mixing", "waves", "phases")


class ModelRecord(TypedDict):
    """One fitted model as plain JSON; `files` names its arrays by suffix."""

    family: str
    columns: list[int]
    kept: list[int]
    offset: list[float]
    scale: list[float]
    files: dict[str, str]


def model_files(
    models: Sequence[FittedModel], first: int
) -> tuple[list[ModelRecord], dict[str, bytes]]:
    """Return a JSON entry for each model and the files that they name, numbered from `first`."""
    entries: list[ModelRecord] = []
    contents: dict[str, bytes] = {}
    for number, fitted in enumerate(models, first):
        (content,) = fitted.model.files().values()  # every family writes one archive
        name = f"model-{number}.npz"
        contents[name] = content
        entries.append(
            {
                "family": fitted.family,
                "columns": list(fitted.columns),
                "kept": fitted.kept.tolist(),
                "offset": fitted.offset.tolist(),
                "scale": fitted.scale.tolist(),
                "files": {"npz": name},
            }
        )
    return entries, contents


def noise_file(spread: Spread, noise: SeedNoise) -> bytes:
    """Return the predictive distribution and the draws as one NumPy archive."""
    arrays = {name: getattr(noise, name) for name in _DRAWS}
    if noise.regions is not None:  # format 2 has none
        arrays |= noise.regions.files()
    return pack(
        width=spread.width.weights,
        degree=np.array([spread.width.degree], dtype=np.float64),
        log_range=spread.log_range,
        quantiles=spread.quantiles,
        **arrays,
    )["npz"]


def verified(folder: Path, name: str, expected: str, index: str) -> bytes:
    """Return the bytes of a file beside `index`, which names it with its SHA-256.

    Raises:
        IntegrityError: it is missing, or not those bytes.
    """
    path = folder / name
    if Path(name).name != name:  # a forged name must not lead out of the folder
        raise IntegrityError(f"{path}: not the name of a file beside {index}")
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise IntegrityError(f"{path}: cannot be read: {reason}") from None
    digest = sha256_of_bytes(content)
    if digest != expected:
        raise IntegrityError(f"{path}: sha256 is {digest}, but {index} says {expected}")
    return content


def read_models(
    entries: Sequence[ModelRecord], contents: Mapping[str, bytes], inputs: int, columns: int
) -> tuple[FittedModel, ...]:
    """Return the models that together answer `columns` quantities from `inputs` features.

    Raises:
        IntegrityError: naming the file, or the entry, that is not what a fit writes.
        KeyError, TypeError, ValueError: an entry lacks something, or has another type.
    """
    models = tuple(_model(entry, contents, inputs) for entry in entries)
    # Each quantity needs one model: two would overwrite each other's answers.
    answered = sorted(column for model in models for column in model.columns)
    if answered != list(range(columns)):
        raise ValueError(f"models of columns {answered}, expected 0 to {columns - 1}, each once")
    return models


def _model(entry: ModelRecord, contents: Mapping[str, bytes], inputs: int) -> FittedModel:
    files: dict[str, str] = entry["files"]
    family = FAMILIES.get(entry["family"])
    if family is None:
        raise ValueError(f"unknown model family {entry['family']!r}; known: {', '.join(FAMILIES)}")
    try:
        model = family.read({suffix: contents[name] for suffix, name in files.items()})
        targets = model.targets(inputs)
    except IntegrityError as error:
        raise IntegrityError(f"{next(iter(files.values()), 'no file')}: {error}") from None
    columns = tuple(_integer(column) for column in entry["columns"])
    kept = np.array([_integer(index) for index in entry["kept"]], dtype=np.intp)
    offset, scale = (finite_numbers(entry[key]) for key in ("offset", "scale"))
    lengths = {len(columns), len(kept), len(offset), len(scale)}
    if len(lengths) != 1 or not ((kept >= 0) & (kept < targets)).all():
        raise ValueError(f"{list(files.values())}: columns, kept, offset and scale do not agree")
    return FittedModel(family.name, columns, model, kept, offset, scale)


def read_noise(
    content: bytes, *, regional: bool, units: int, axes: int, metrics: int
) -> tuple[Spread, SeedNoise]:
    """Return what `noise_file` gave, of `metrics` from `units` features and `axes` fidelities.

    Raises:
        IntegrityError: it is not that.
    """
    files = {"npz": content}
    width, degree, log_range, quantiles = unpack(files, *_SPREAD)
    share, mixing, waves, phases = unpack(files, *_DRAWS)
    if degree.shape != (1,) or degree[0] not in (0, 1, 2):
        raise IntegrityError(f"`degree`: 0, 1 or 2 is expected, got {degree.tolist()}")
    polynomial = Polynomial(width, int(degree[0]))
    if polynomial.targets(units + axes) != metrics:
        raise IntegrityError(f"widths of {width.shape[1]} metrics, expected {metrics}")
    shapes: dict[str, tuple[int, ...]] = {
        "log_range": (2, metrics),
        "quantiles": (metrics, len(GRID)),
        "seed_share": (metrics,),
        "mixing": (metrics, metrics),
        "waves": (units, WAVES),
        "phases": (WAVES,),
    }
    arrays = (log_range, quantiles, share, mixing, waves, phases)
    check_shapes(dict(zip(shapes, arrays, strict=True)), shapes)
    if not ((share >= 0) & (share <= 1)).all():
        raise IntegrityError("`seed_share` must lie between 0 and 1")
    regions = None
    if regional:
        names = [f"levels_{number}" for number in range(axes)]
        knots, logs, *levels = unpack(files, "knots", "logs", *names)
        regions = Regions(knots, tuple(levels), logs)
        regions.check(metrics, axes)
    return Spread(polynomial, log_range, quantiles), SeedNoise(
        regions, share, mixing, waves, phases
    )


def finite_numbers(values: Sequence[float]) -> FloatArray:
    """Return numbers as an array `(n,)`.

    Raises:
        ValueError, TypeError: they are no list of finite numbers.
    """
    if not all(type(value) in (int, float) for value in values):
        raise TypeError(f"numbers are expected, got {values!r}")
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("finite numbers are expected")
    return array


def _integer(value: object) -> int:
    if type(value) is not int:  # not `isinstance`: a bool is an int to it
        raise TypeError(f"a whole number is expected, got {value!r}")
    return value
