"""The search space: ordered dimensions, one canonical form and one id for each configuration.

Three encodings matter. A *configuration* is a dict of values in a dimension's own units. Its
*unit* encoding is a float array in [0, 1] (logarithmic where the dimension says so), for
surrogates, distances and samplers. Its *levels* are the indices on the axes of a finite space,
which is how integer optimizers see an ordinal axis.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError, nearest

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Value = int | float | str
Configuration = dict[str, Value]
_NUMBERS = (int, float, np.integer, np.floating)


@dataclass(frozen=True, slots=True)
class Float:
    """A real interval `[low, high]`."""

    name: str
    low: float
    high: float
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, log=self.log)

    def canonical(self, value: object) -> float:
        """Return the value as a float inside the bounds."""
        number = _number(self.name, value)
        if not self.low <= number <= self.high:
            raise _outside(self.name, value, f"[{self.low}, {self.high}]")
        return number

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, log=self.log)

    def from_unit(self, unit: float) -> float:
        """Map [0, 1] to a value."""
        return min(max(_from_unit(unit, self.low, self.high, log=self.log), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Integer:
    """The integers from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, log=self.log)

    def canonical(self, value: object) -> int:
        """Return the value as an int inside the bounds."""
        number = _number(self.name, value)
        if number != int(number):
            raise ConfigurationError(f"`{self.name}`: an integer is expected, got {value!r}")
        if not self.low <= number <= self.high:
            raise _outside(self.name, value, f"[{self.low}, {self.high}]")
        return int(number)

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, log=self.log)

    def from_unit(self, unit: float) -> int:
        """Map [0, 1] to the nearest integer."""
        number = round(_from_unit(unit, self.low, self.high, log=self.log))
        return min(max(number, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Ordinal:
    """A finite, increasing list of numbers; `log` spaces the unit encoding by their logarithm."""

    name: str
    values: tuple[int | float, ...]
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"`{self.name}`: the list of values is empty")
        if any(not math.isfinite(v) for v in self.values):
            raise ValueError(f"`{self.name}`: values must be finite: {list(self.values)}")
        if any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError(f"`{self.name}`: values must increase: {list(self.values)}")
        if self.log and self.values[0] <= 0:
            raise ValueError(f"`{self.name}`: log needs positive values, got {self.values[0]}")

    def canonical(self, value: object) -> int | float:
        """Return the value as the axis spells it."""
        return self.values[self.level(value)]

    def level(self, value: object) -> int:
        """Return the index of a value; 1e-12 of relative slack forgives another spelling."""
        number = _number(self.name, value)
        for index, known in enumerate(self.values):
            if math.isclose(number, known, rel_tol=1e-12):
                return index
        close = min(self.values, key=lambda known: abs(known - number))
        raise ConfigurationError(
            f"`{self.name}`: {value!r} is not on its axis {list(self.values)}; nearest: {close}"
        )

    def to_unit(self, value: Value) -> float:
        """Map a value of the axis to [0, 1]."""
        return _to_unit(float(value), self.values[0], self.values[-1], log=self.log)

    def from_unit(self, unit: float) -> int | float:
        """Map [0, 1] to the value nearest in the unit encoding."""
        return min(self.values, key=lambda known: abs(self.to_unit(known) - unit))


@dataclass(frozen=True, slots=True)
class Categorical:
    """A finite list of names without an order."""

    name: str
    values: tuple[str, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"`{self.name}`: the list of values is empty")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"`{self.name}`: a value stands twice: {list(self.values)}")

    def canonical(self, value: object) -> str:
        """Return the value if it is one of the names."""
        return self.values[self.level(value)]

    def level(self, value: object) -> int:
        """Return the index of a value."""
        if value not in self.values:
            raise ConfigurationError(
                f"`{self.name}`: unknown value {value!r}{nearest(value, self.values)}"
            )
        return self.values.index(str(value))

    def to_unit(self, value: Value) -> float:
        """Map a name to its place in [0, 1]."""
        return _to_unit(self.values.index(str(value)), 0, len(self.values) - 1, log=False)

    def from_unit(self, unit: float) -> str:
        """Map [0, 1] to a name."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]


Dimension = Float | Integer | Ordinal | Categorical
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

    def __len__(self) -> int:
        return len(self.dimensions)

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def canonical(self, config: Mapping[str, object]) -> Configuration:
        """Return the one canonical form of a configuration, keys in the space's order.

        Raises:
            ConfigurationError: a key is missing or unknown, or a value is off its dimension.
        """
        if len(config) != len(self.dimensions) or any(n not in config for n in self.names):
            self._refuse_keys(config)
        return {d.name: d.canonical(config[d.name]) for d in self.dimensions}

    def _refuse_keys(self, config: Mapping[str, object]) -> None:
        for name in config:
            if name not in self.names:
                raise ConfigurationError(
                    f"unknown hyperparameter {name!r}{nearest(name, self.names)}"
                )
        missing = [name for name in self.names if name not in config]
        raise ConfigurationError(f"hyperparameters missing: {', '.join(missing)}")

    def config_id(self, config: Mapping[str, object]) -> str:
        """Return 16 hexadecimal digits that name a configuration, whatever its spelling."""
        return config_id(self.canonical(config))

    def configurations(self) -> Iterator[Configuration]:
        """Yield every configuration of a finite space, the last dimension fastest."""
        axes = [d.values for d in self.dimensions if isinstance(d, Ordinal | Categorical)]
        if len(axes) < len(self.dimensions):
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

    def sample(self, rng: np.random.Generator) -> Configuration:
        """Draw one configuration: uniform on an axis's levels, on the unit encoding elsewhere."""
        config: Configuration = {}
        for d in self.dimensions:
            if isinstance(d, Ordinal | Categorical):
                config[d.name] = d.values[int(rng.integers(len(d.values)))]
            else:
                config[d.name] = d.from_unit(float(rng.random()))
        return config

    def to_configspace(self, *, seed: int | None = None) -> "ConfigurationSpace":
        """Return this space as ConfigSpace has it; its configurations can be queried as they are.

        Raises:
            MissingDependencyError: ConfigSpace is not installed.
        """
        from hpobench_llm.adapters.configspace import to_configspace

        return to_configspace(self, seed=seed)

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
            fields: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
            }
            kind = _KINDS.get(str(fields.pop("kind", None)))
            if kind is None:
                raise ValueError(f"unknown kind of dimension in {dict(entry)}")
            try:
                dimensions.append(kind(**fields))
            except TypeError as error:
                raise ValueError(f"{dict(entry)}: {error}") from None
        return Space(tuple(dimensions))


def config_id(canonical: Mapping[str, Value]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a canonical configuration.

    Numbers are spelled as floats and keys sorted, so that neither order nor `2` against `2.0`
    gives another id.
    """
    plain = {k: v if isinstance(v, str) else float(v) for k, v in canonical.items()}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number of Python or numpy; a truth value is none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _number(name: str, value: object) -> float:
    if not is_number(value):
        raise ConfigurationError(f"`{name}`: a number is expected, got {value!r}")
    if not math.isfinite(value):
        raise ConfigurationError(f"`{name}`: a finite number is expected, got {value!r}")
    return float(value)


def _outside(name: str, value: object, bounds: str) -> ConfigurationError:
    return ConfigurationError(f"`{name}`: {value!r} is outside its range {bounds}")


def _check_bounds(name: str, low: float, high: float, *, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"`{name}`: low must be below high, both finite; got [{low}, {high}]")
    if log and low <= 0:
        raise ValueError(f"`{name}`: log needs positive bounds, got low = {low}")


def _to_unit(value: float, low: float, high: float, *, log: bool) -> float:
    if high == low:
        return 0.0
    if log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def _from_unit(unit: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    return low + unit * (high - low)
