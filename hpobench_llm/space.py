"""The search space: ordered dimensions, one canonical form and one id for each configuration.

Three encodings matter. A *configuration* is a dict of values in a dimension's own units. Its
*unit* encoding is a float array in [0, 1] (logarithmic where the dimension says so), for
surrogates, distances and samplers. An axis that is no interval has *levels*, its values in order;
their numbers, from 0 up, are how integer optimizers see it.

Axes of a *simplex* are proportions: they sum to one. Optimizers see other axes in their place, see
`sticks`, so that each of their points is a configuration.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, product
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Required, TypedDict, cast

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
    is_finite,
    is_number,
)
from hpobench_llm.errors import ConfigurationError, nearest, shown
from hpobench_llm.factors import Axis, Factor, Lattice, Ranges, Simplex, check_sum, proportions_of

__all__ = [
    "ID",
    "Categorical",
    "Configuration",
    "Dimension",
    "Float",
    "Integer",
    "Ordinal",
    "Simplex",
    "Space",
    "Value",
    "check_seed",
    "config_id",
    "is_finite",
    "is_number",
]

Configuration = dict[str, Value]


class AxisRecord(TypedDict, total=False):
    """An axis or a simplex as plain JSON: `kind` says which, and with it which keys there are."""

    kind: Required[str]
    name: Required[str]
    unit: str
    values: list[Value]
    low: int | float
    high: int | float
    log: bool
    axes: list[str]  # of a simplex


ID = "config_id"  # the one further key that a configuration may have
_KINDS: dict[str, type[Dimension]] = {
    kind.__name__.lower(): kind for kind in (Float, Integer, Ordinal, Categorical)
}


@dataclass(frozen=True, slots=True)
class Space:
    """An ordered, immutable product of dimensions, some of which may be bound to sum to one.

    `factors` are each simplex, and each axis that is in none.

    Example:
        >>> space = Space((Float("lr", 1e-5, 1e-1, log=True), Ordinal("rank", (4, 16))))
        >>> space.canonical({"rank": 16.0, "lr": 1e-3})
        {'lr': 0.001, 'rank': 16}
        >>> space.to_unit([{"lr": 1e-3, "rank": 16}]).round(3).tolist()
        [[0.5, 1.0]]
    """

    dimensions: tuple[Dimension, ...]
    simplexes: tuple[Simplex, ...] = ()
    factors: tuple[Factor, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise ValueError("a space needs at least one dimension")
        if len(set(self.names)) < len(self.dimensions):
            raise ValueError(f"two dimensions have one name: {list(self.names)}")
        object.__setattr__(self, "factors", self._factors())

    def _factors(self) -> tuple[Factor, ...]:
        factors: list[Factor] = []
        bound = {simplex.axes[:1]: simplex for simplex in self.simplexes}
        rest = list(self.dimensions)
        while rest:
            simplex = bound.pop((rest[0].name,), None)
            width = len(simplex.axes) if simplex else 1
            axes, rest = tuple(rest[:width]), rest[width:]
            if simplex is None:
                factors.append(Axis(axes[0]))
            elif tuple(axis.name for axis in axes) == simplex.axes:
                factors.append(proportions_of(simplex, axes))
            else:
                bound[simplex.axes[:1]] = simplex
                break
        for simplex in bound.values():
            raise ValueError(
                f"simplex `{simplex.name}`: its axes {list(simplex.axes)} have to follow each "
                f"other in this order, each in one simplex; the space has {list(self.names)}"
            )
        return tuple(factors)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the dimensions, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def finite(self) -> bool:
        """Whether every configuration can be listed."""
        return all(factor.points is not None for factor in self.factors)

    @property
    def size(self) -> int | None:
        """How many configurations there are; None: one of the axes is a range."""
        if not self.finite:
            return None
        return math.prod(len(factor.points or ()) for factor in self.factors)

    def __len__(self) -> int:
        return len(self.dimensions)

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def canonical(self, config: Mapping[str, object]) -> Configuration:
        """Return the one canonical form of a configuration, keys in the space's order.

        Beside the hyperparameters it may hold its own `config_id`, as a row of
        `Benchmark.configurations()` does (a pandas Series too).

        Raises:
            ConfigurationError: a key is missing or unknown, a value is off its dimension,
                proportions do not sum to one, or `config_id` is that of another configuration.
        """
        if not hasattr(config, "keys"):
            raise ConfigurationError(
                f"a configuration is a value by name of {', '.join(self.names)}, got "
                f"{shown(config)}"
            )
        if len(config) != len(self.dimensions) or any(n not in config for n in self.names):
            self._check_keys(config)
        canonical = {d.name: d.canonical(config[d.name]) for d in self.dimensions}
        if self.simplexes:
            self._check_sums(canonical)
        if len(config) > len(canonical) and config[ID] != config_id(canonical):
            raise ConfigurationError(
                f"`{ID}` is {shown(config[ID])}, and these hyperparameters have "
                f"{config_id(canonical)!r}: leave it out"
            )
        return canonical

    def canonical_rows(self, columns: Mapping[str, Sequence[Value]]) -> list[Configuration]:
        """Return the canonical form of `n` configurations, given as columns of one type each.

        The result is that of `canonical` for each row, but a value of many rows in a column is
        converted once.

        Raises:
            ConfigurationError: as `canonical`, naming the first row that is none.
        """
        names = self.names
        ordered = [columns[name] for name in names]
        try:
            spelled = [list(map(_spelling(d, c), c)) for d, c in zip(self, ordered, strict=True)]
            configs = [dict(zip(names, row, strict=True)) for row in zip(*spelled, strict=True)]
            for config in configs if self.simplexes else ():
                self._check_sums(config)
        except ConfigurationError:
            for row in zip(*ordered, strict=True):
                self._canonical_row(dict(zip(names, row, strict=True)))
            raise
        return configs

    def _canonical_row(self, row: Mapping[str, object]) -> None:
        try:
            self.canonical(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"{row}: {error}") from None

    def _check_sums(self, canonical: Configuration) -> None:
        for factor in self.factors:
            if isinstance(factor, Ranges | Lattice):
                check_sum(factor, [canonical[name] for name in factor.names])

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
        points = [factor.points for factor in self.factors if factor.points is not None]
        if not self.finite:
            raise ConfigurationError("a space with a continuous dimension cannot be listed")
        for values in product(*points):
            yield dict(zip(self.names, chain.from_iterable(values), strict=True))

    def to_unit(self, configs: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Encode canonical configurations as an array `(n, d)` in [0, 1]."""
        rows = [[d.to_unit(config[d.name]) for d in self.dimensions] for config in configs]
        return np.array(rows, dtype=np.float64).reshape(len(configs), len(self.dimensions))

    def from_unit(self, array: NDArray[np.float64]) -> list[Configuration]:
        """Decode an array `(n, d)`: values are clipped to [0, 1] and snapped to finite axes.

        Proportions become the nearest that sum to one.
        """
        clipped = np.clip(np.atleast_2d(array), 0.0, 1.0)
        configs: list[Configuration] = [
            {d.name: d.from_unit(float(u)) for d, u in zip(self.dimensions, row, strict=True)}
            for row in clipped
        ]
        for factor in self.factors if self.simplexes else ():
            if isinstance(factor, Ranges | Lattice):
                for config in configs:
                    values = [float(config[name]) for name in factor.names]
                    config |= zip(factor.names, factor.nearest(values), strict=True)
        return configs

    def sample(self, rng: np.random.Generator | int) -> Configuration:
        """Draw one configuration: uniform on an axis's levels, on the unit encoding elsewhere.

        Proportions are uniform on their simplex: Dirichlet(1, ..., 1), or each combination of
        levels alike. An integer is the seed of a generator of its own.

        Raises:
            ConfigurationError: `rng` is neither.
        """
        if not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(check_seed(rng, "rng"))
        values = chain.from_iterable(factor.draw(rng) for factor in self.factors)
        return dict(zip(self.names, values, strict=True))

    def to_json(self) -> list[AxisRecord]:
        """Return the space as plain JSON values."""
        axes: list[dict[str, object]] = []
        for dimension in self.dimensions:
            axis: dict[str, object] = {"kind": type(dimension).__name__.lower()}
            for slot in type(dimension).__slots__:
                value = getattr(dimension, slot)
                axis[slot] = list(value) if isinstance(value, tuple) else value
            axes.append(axis)
        axes.extend(
            {"kind": "simplex", "name": s.name, "axes": list(s.axes)} for s in self.simplexes
        )
        return cast("list[AxisRecord]", axes)

    @staticmethod
    def from_json(raw: Sequence[AxisRecord]) -> "Space":
        """Rebuild a space from `to_json`.

        Raises:
            ValueError: the value is not what `to_json` writes.
        """
        dimensions: list[Dimension] = []
        simplexes: list[Simplex] = []
        for entry in raw:
            if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
                raise ValueError(f"a dimension with a name is expected, got {shown(entry)}")
            fields: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
            }
            name = str(fields.pop("kind", None))
            if name not in _KINDS and name != "simplex":
                raise ValueError(f"unknown kind of dimension in {shown(entry)}")
            try:
                if name == "simplex":
                    simplexes.append(Simplex(**fields))
                else:
                    dimensions.append(_KINDS[name](**fields))
            except TypeError as error:
                raise ValueError(f"{shown(entry)}: {error}") from None
        return Space(tuple(dimensions), tuple(simplexes))


def _spelling(dimension: Dimension, column: Sequence[Value]) -> Callable[[Value], Value]:
    """Return a function that makes each value of a column canonical."""
    return {value: dimension.canonical(value) for value in set(column)}.__getitem__


def config_id(canonical: Mapping[str, Value]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a canonical configuration.

    Numbers are spelled as floats and keys sorted, so that neither order nor `2` against `2.0`
    gives another id.
    """
    # As `json.dumps(sort_keys=True)` writes it, but faster: ids are half of the time of a table's
    # checks.
    pairs = [
        f"{_quoted(name)}:{_quoted(value) if isinstance(value, str) else repr(float(value))}"
        for name, value in sorted(canonical.items())
    ]
    return sha256(f"{{{','.join(pairs)}}}".encode()).hexdigest()[:16]
