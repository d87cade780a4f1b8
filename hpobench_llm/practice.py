"""Common practice without a search: the libraries' defaults, and a sweep of one axis.

Axes are recognized by their names. The values are the defaults of PEFT 0.18's `LoraConfig` (r 8,
lora_alpha 8, lora_dropout 0) and of the `TrainingArguments` of transformers 5 (learning_rate 5e-5,
batches of 8).
"""

from collections.abc import Mapping

from hpobench_llm.factors import Lattice, Ranges
from hpobench_llm.space import Categorical, Configuration, Dimension, Ordinal, Space, Value
from hpobench_llm.sticks import StickSpace

RATES = ("lr", "learning_rate")
RANKS = ("rank", "r", "lora_r")
BATCHES = ("batch_rows", "batch_size", "batch")
ALPHAS = ("alpha", "lora_alpha")
DROPOUTS = ("dropout", "lora_dropout")
DEFAULTS: dict[str, Value] = {
    **dict.fromkeys(RANKS, 8),
    **dict.fromkeys(RATES, 5e-5),
    **dict.fromkeys(BATCHES, 8),
    **dict.fromkeys(ALPHAS, 8),
    "alpha_ratio": 1.0,
    **dict.fromkeys(DROPOUTS, 0.0),
    **dict.fromkeys(("warmup_fraction", "warmup_ratio"), 0.0),
    "weight_decay": 0.0,
    "clip_norm": 1.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "train_fraction": 1.0,
    "layer_fraction": 1.0,
}
# PEFT adapts these two modules of LLaMA; if no axis has them alone, attention's come nearest.
NAMES = {"target_modules": ("q_proj,v_proj", "attention"), "scaling": ("lora",)}


def default_configuration(space: Space) -> Configuration:
    """Return the libraries' defaults, each as the nearest value that its axis has.

    An axis that they do not know is set to its middle, or to its first name; proportions are
    equal, or nearly so.
    """
    return nearest_configuration(space, {})


def nearest_configuration(space: Space, wanted: Mapping[str, Value]) -> Configuration:
    """Return the values of `wanted`, by axis, and the defaults for other axes, as these have them.

    See `default_configuration`.
    """
    if isinstance(space, StickSpace):
        return space.encode(nearest_configuration(space.whole, wanted))
    values = {**DEFAULTS, **wanted}
    config = {dimension.name: _nearest(dimension, values) for dimension in space}
    for factor in space.factors:
        if isinstance(factor, Ranges | Lattice):
            equal = [1.0 / len(factor.names)] * len(factor.names)
            config |= zip(factor.names, factor.nearest(equal), strict=True)
    return config


def strong_configuration(space: Space) -> Configuration:
    """Return the defaults, but with the largest rank and the smallest batch of their axes."""
    config = default_configuration(space)
    for dimension in space:
        if dimension.name in RANKS:
            config[dimension.name] = dimension.from_unit(1.0)
        elif dimension.name in BATCHES:
            config[dimension.name] = dimension.from_unit(0.0)
    return config


def swept_axis(space: Space) -> Dimension:
    """Return the axis that a practitioner sweeps: the learning rate.

    Without an axis of that name it is the first logarithmic one, or else the first; a proportion,
    which cannot change alone, comes last.
    """
    bound = {name for simplex in space.simplexes for name in simplex.axes}
    named = [dimension for dimension in space if dimension.name in RATES]
    logarithmic = [d for d in space if not isinstance(d, Categorical) and d.log]
    best_first: list[Dimension] = [
        *named,
        *logarithmic,
        *(dimension for dimension in space if dimension.name not in bound),
        *space,
    ]
    return best_first[0]


def _nearest(dimension: Dimension, values: Mapping[str, Value]) -> Value:
    value = values.get(dimension.name)
    if isinstance(dimension, Categorical):
        wanted = NAMES.get(dimension.name, ()) if value is None else (value,)
        return next((name for name in wanted if name in dimension.values), dimension.values[0])
    if not isinstance(value, int | float):
        return dimension.from_unit(0.5)
    low = dimension.values[0] if isinstance(dimension, Ordinal) else dimension.low
    high = dimension.values[-1] if isinstance(dimension, Ordinal) else dimension.high
    return dimension.from_unit(dimension.to_unit(min(max(float(value), low), high)))
