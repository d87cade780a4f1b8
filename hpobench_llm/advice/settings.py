"""Settings: a configuration in names that all tables share, so that it can be read on another.

A learning rate is `lr`, a rank `rank`, a batch `batch_rows`, and alpha is given by its ratio to
the rank; any other axis keeps its name.
"""

from collections.abc import Mapping

from hpobench_llm.practice import (
    ALPHAS,
    BATCHES,
    DEFAULTS,
    DROPOUTS,
    RANKS,
    RATES,
    nearest_configuration,
)
from hpobench_llm.space import Configuration, Space, Value

Settings = dict[str, Value]

RATE, RANK, BATCH, DROPOUT, ALPHA = RATES[0], RANKS[0], BATCHES[0], DROPOUTS[0], ALPHAS[0]
RATIO = "alpha_ratio"
_SHARED = {
    alias: names[0] for names in (RATES, RANKS, BATCHES, DROPOUTS, ALPHAS) for alias in names
}


def shared_name(axis: str) -> str:
    """Return the name that all tables share for an axis."""
    return _SHARED.get(axis, axis)


def settings_of(config: Mapping[str, Value]) -> Settings:
    """Return a configuration as settings."""
    settings = {shared_name(name): value for name, value in config.items()}
    alpha, rank = settings.get(ALPHA), settings.get(RANK)
    if isinstance(alpha, int | float) and isinstance(rank, int | float) and rank > 0:
        # What an adapter adds is scaled by the ratio, so that is what carries to another rank.
        del settings[ALPHA]
        settings[RATIO] = alpha / rank
    return settings


def configuration_of(settings: Mapping[str, Value], space: Space) -> Configuration:
    """Return settings as a space has them: each axis's nearest value, or the default's."""
    complete = {**DEFAULTS, **settings}
    rank, ratio = complete[RANK], complete[RATIO]
    if ALPHA not in settings and isinstance(rank, int | float) and isinstance(ratio, int | float):
        complete[ALPHA] = rank * ratio
    shared = {axis: shared_name(axis) for axis in space.names}
    wanted = {axis: complete[name] for axis, name in shared.items() if name in complete}
    return nearest_configuration(space, wanted)


def shown(settings: Mapping[str, Value]) -> str:
    """Return settings in a line: learning rate and rank first."""
    first = [name for name in (RATE, RANK, RATIO, BATCH, DROPOUT) if name in settings]
    rest = [name for name in settings if name not in first]
    values = {n: v if isinstance(v, str) else f"{v:.3g}" for n, v in settings.items()}
    return ", ".join(f"{name} {values[name]}" for name in [*first, *rest])
