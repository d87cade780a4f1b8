"""A space as ConfigSpace has it (Lindauer et al., "BOAH", 2019)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hpobench_llm.errors import ConfigurationError, MissingDependencyError
from hpobench_llm.factors import Lattice, Ranges
from hpobench_llm.space import Categorical, Dimension, Float, Integer, Value

try:
    import ConfigSpace
except ModuleNotFoundError as error:  # ConfigSpace, or what it needs
    raise MissingDependencyError(str(error.name), "configspace", "`to_configspace`") from None
from ConfigSpace.forbidden import (
    ForbiddenAndConjunction,
    ForbiddenClause,
    ForbiddenEqualsClause,
    ForbiddenInClause,
)
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Hyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

Points = Sequence[tuple[Value, ...]]


def to_configspace(
    space: Iterable[Dimension], *, seed: int | None = None
) -> ConfigSpace.ConfigurationSpace:
    """Return a space whose configurations a benchmark's `query` takes as they are.

    `seed` seeds its sampling. ConfigSpace spaces the values of an ordinal evenly: whether ours is
    logarithmic is kept in the hyperparameter's `meta`, beside its unit. Combinations of levels of
    proportions that do not sum to one are forbidden.

    Example:
        >>> from hpobench_llm import load
        >>> to_configspace(load("lora-nano").space)["rank"].sequence
        (1, 4, 16, 64)

    Raises:
        ConfigurationError: proportions are ranges, whose sum ConfigSpace has no clause for.
    """
    converted = ConfigSpace.ConfigurationSpace(seed=seed)
    simplexes = [f for f in getattr(space, "factors", ()) if isinstance(f, Ranges | Lattice)]
    defaults: dict[str, Value] = {}
    for factor in simplexes:
        if not isinstance(factor, Lattice):
            raise ConfigurationError(
                f"`{factor.name}`: ConfigSpace knows no ranges that sum to one; convert "
                "`StickSpace.of(space)` of hpobench_llm.sticks, and `decode` what it gives"
            )
        even = [1.0 / len(factor.names)] * len(factor.names)
        defaults |= zip(factor.names, factor.nearest(even), strict=True)
    converted.add([_hyperparameter(dimension, defaults) for dimension in space])
    for factor in simplexes:
        axes = [converted[name] for name in factor.names]
        converted.add(list(_forbidden(axes, [], factor.points or ())))
    return converted


def _forbidden(
    axes: Sequence[Hyperparameter], fixed: list[ForbiddenEqualsClause], points: Points
) -> Iterator[ForbiddenClause]:
    """Yield clauses for all values of the axes but those of `points`, earlier axes `fixed`."""
    axis, *rest = axes
    allowed = {point[0] for point in points}
    others = [value for value in axis.sequence if value not in allowed]
    if others:
        yield ForbiddenAndConjunction(*fixed, ForbiddenInClause(axis, others))
    if rest:
        for value in sorted(allowed):
            remaining = [point[1:] for point in points if point[0] == value]
            yield from _forbidden(rest, [*fixed, ForbiddenEqualsClause(axis, value)], remaining)


def _hyperparameter(d: Dimension, defaults: Mapping[str, Value]) -> Hyperparameter:
    meta = {"unit": d.unit}
    match d:
        case Float():
            return UniformFloatHyperparameter(d.name, d.low, d.high, log=d.log, meta=meta)
        case Integer():
            return UniformIntegerHyperparameter(d.name, d.low, d.high, log=d.log, meta=meta)
        case Categorical():
            return CategoricalHyperparameter(d.name, d.values, meta=meta)
        case _:
            default = {"default_value": defaults[d.name]} if d.name in defaults else {}
            return OrdinalHyperparameter(d.name, d.values, meta=meta | {"log": d.log}, **default)
