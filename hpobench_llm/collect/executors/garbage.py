"""Collections of garbage that need not look at what outlives all runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """Exempt what is there from collections of garbage inside: libraries, the base, the data.

    A run begins with one, for the sake of its peak of memory; with torch, transformers and peft
    loaded it takes 0.4 s. Nothing changes where something is exempt already.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
