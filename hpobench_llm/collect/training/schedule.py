"""The learning rate over a run."""

import math


def schedule(update: int, updates: int, warmup_fraction: float) -> float:
    """Return the factor on the peak rate at an update: linear warm-up, then a cosine to zero."""
    warm = math.ceil(updates * warmup_fraction)
    if update < warm:
        return (update + 1) / (warm + 1)  # above 0 from the first update on
    return 0.5 * (1.0 + math.cos(math.pi * (update - warm) / max(1, updates - warm)))
