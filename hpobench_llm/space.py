"""The search space: ordered dimensions, one canonical form and one id for each configuration.

Three encodings matter. A *configuration* is a dict of values in a dimension's own units. Its
*unit* encoding is a float array in [0, 1] (logarithmic where the dimension says so), for
surrogates, distances and samplers. An axis that is no interval has *levels*, its values in order;
their numbers, from 0 up, are how integer optimizers see it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.dimensions import (
    Categorical,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Value,
    check_seed,
    is_number,
)
from hpobench_llm.errors import ConfigurationError, nearest, shown

__all__ = [
    "ID",
    "Categorical",
    "Configuration",
    "Dimension",
    "Float",
    "Integer",
    "Ordinal",
    "Space",
    "Value",
    "check_seed",
    "config_id",
    "is_number",
]

Configuration = dict[str, Value]
ID = "config_id"  # what a configuration may hold beside its hyperparameters
_KINDS: dict[str, type[Dimension]] = {
    kind.__name__.lower(): kind for kind in (Float, Integer, Ordinal, Categorical)
}


@dataclass(frozen=True, slots=True)
class Space:
    """An ordered, immutable product of dimensions."""

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise ValueError("a space needs at least one dimension")
        if len(set(self.names)) < len(self.dimensions):
            raise ValueError(f"a dimension stands twice: {list(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the dimensions, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def finite(self) -> bool:
        """Whether every configuration can be listed."""
        return all(dimension.levels is not None for dimension in self.dimensions)

    def __len__(self) -> int:
        return len(self.dimensions)

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def canonical(self, config: Mapping[str, object]) -> Configuration:
        """Return the one canonical form of a configuration, keys in the space's order.

        Beside the hyperparameters it may hold its own `config_id`, as a row of
        `Benchmark.configurations()` does (a pandas Series too).

        Raises:
            ConfigurationError: a key is missing or unknown, a value is off its dimension, or
                `config_id` is that of another configuration.
        """
        if not hasattr(config, "keys"):
            raise ConfigurationError(
                f"a configuration is a value by name of {', '.join(self.names)}, got "
                f"{shown(config)}"
            )
        if len(config) != len(self.dimensions) or any(n not in config for n in self.names):
            self._check_keys(config)
        canonical = {d.name: d.canonical(config[d.name]) for d in self.dimensions}
        if len(config) > len(canonical) and config[ID] != config_id(canonical):
            raise ConfigurationError(
                f"`{ID}` is {shown(config[ID])}, and these hyperparameters have "
                f"{config_id(canonical)!r}: leave it out"
            )
        return canonical

    def _check_keys(self, config: Mapping[str, object]) -> None:
        for name in config.keys():  # noqa: SIM118 - a Series iterates over its values
            if name not in self.names and name != ID:
                raise ConfigurationError(
                    f"unknown hyperparameter {name!r}{nearest(name, self.names)}"
                )
        missing = [name for name in self.names if name not in config]
        if missing:
            raise ConfigurationError(f"hyperparameters missing: {', '.join(missing)}")

    def config_id(self, config: Mapping[str, object]) -> str:
        """Return 16 hexadecimal digits that name a configuration, whatever its spelling."""
        return config_id(self.canonical(config))

    def configurations(self) -> Iterator[Configuration]:
        """Yield every configuration of a finite space, the last dimension fastest."""
        axes = [d.levels for d in self.dimensions if d.levels is not None]
        if not self.finite:
            raise ConfigurationError("a space with a continuous dimension cannot be listed")
        for values in product(*axes):
            yield dict(zip(self.names, values, strict=True))

    def to_unit(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Encode canonical configurations as an array `(n, d)` in [0, 1]."""
        rows = [[d.to_unit(config[d.name]) for d in self.dimensions] for config in configs]
        return np.array(rows, dtype=np.float64).reshape(len(configs), len(self.dimensions))

    def from_unit(self, array: NDArray[np.float64]) -> list[Configuration]:
        """Decode an array `(n, d)`: values are clipped to [0, 1] and snapped to finite axes."""
        clipped = np.clip(np.atleast_2d(array), 0.0, 1.0)
        return [
            {d.name: d.from_unit(float(u)) for d, u in zip(self.dimensions, row, strict=True)}
            for row in clipped
        ]

    def sample(self, rng: np.random.Generator | int) -> Configuration:
        """Draw one configuration: uniform on an axis's levels, on the unit encoding elsewhere.

        An integer is the seed of a generator of its own.

        Raises:
            ConfigurationError: `rng` is neither.
        """
        if not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(check_seed(rng, "rng"))
        config: Configuration = {}
        for d in self.dimensions:
            if d.levels is not None:
                config[d.name] = d.levels[int(rng.integers(len(d.levels)))]
            else:
                config[d.name] = d.from_unit(float(rng.random()))
        return config

    def to_json(self) -> list[dict[str, Any]]:
        """Return the space as plain JSON values."""
        return [
            {"kind": type(d).__name__.lower()}
            | {
                slot: list(value) if isinstance(value := getattr(d, slot), tuple) else value
                for slot in type(d).__slots__
            }
            for d in self.dimensions
        ]

    @staticmethod
    def from_json(raw: Sequence[Mapping[str, Any]]) -> "Space":
        """Rebuild a space from `to_json`.

        Raises:
            ValueError: the value is not what `to_json` writes.
        """
        dimensions: list[Dimension] = []
        for entry in raw:
            if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
                raise ValueError(f"a dimension with a name is expected, got {shown(entry)}")
            fields: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
            }
            kind = _KINDS.get(str(fields.pop("kind", None)))
            if kind is None:
                raise ValueError(f"unknown kind of dimension in {shown(entry)}")
            try:
                dimensions.append(kind(**fields))
            except TypeError as error:
                raise ValueError(f"{shown(entry)}: {error}") from None
        return Space(tuple(dimensions))


def config_id(canonical: Mapping[str, Value]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a canonical configuration.

    Numbers are spelled as floats and keys sorted, so that neither order nor `2` against `2.0`
    gives another id.
    """
    plain = {k: v if isinstance(v, str) else float(v) for k, v in canonical.items()}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]
