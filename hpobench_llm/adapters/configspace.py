"""A space as ConfigSpace has it (Lindauer et al., "BOAH", 2019)."""

from collections.abc import Iterable

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.space import Categorical, Dimension, Float, Integer

try:
    import ConfigSpace
except ModuleNotFoundError as error:  # ConfigSpace, or what it needs
    raise MissingDependencyError(str(error.name), "configspace", "`to_configspace`") from None
from ConfigSpace.hyperparameters import (
    CategoricalHyperparameter,
    Hyperparameter,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)


def to_configspace(
    space: Iterable[Dimension], *, seed: int | None = None
) -> ConfigSpace.ConfigurationSpace:
    """Return a space whose configurations a benchmark's `query` takes as they are.

    `seed` seeds its sampling. ConfigSpace spaces the values of an ordinal evenly: whether ours is
    logarithmic is kept in the hyperparameter's `meta`, beside its unit.
    """
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    made.add([_hyperparameter(dimension) for dimension in space])
    return made


def _hyperparameter(d: Dimension) -> Hyperparameter:
    meta = {"unit": d.unit}
    match d:
        case Float():
            return UniformFloatHyperparameter(d.name, d.low, d.high, log=d.log, meta=meta)
        case Integer():
            return UniformIntegerHyperparameter(d.name, d.low, d.high, log=d.log, meta=meta)
        case Categorical():
            return CategoricalHyperparameter(d.name, d.values, meta=meta)
        case _:
            return OrdinalHyperparameter(d.name, d.values, meta=meta | {"log": d.log})
