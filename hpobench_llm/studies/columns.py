"""How the columns of trials are called: what a benchmark names can never meet a name of ours.

A name that a benchmark brings stands behind its kind and a dot: `config.lr`, `fidelity.step`,
`metric.val_loss`. `constraint_<name>` is as in a benchmark's answers. All other columns are ours:
none has a dot or begins with `constraint_`.
"""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

CONFIG, FIDELITY, METRIC = "config.", "fidelity.", "metric."
KINDS = (CONFIG, FIDELITY, METRIC)


def column(rows: pd.DataFrame, kind: str, name: str) -> str:
    """Return which column holds a name: of trials `<kind><name>`, of a benchmark's answers it."""
    return f"{kind}{name}" if f"{kind}{name}" in rows.columns else name


def short_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns' names without their kinds, where that leaves each one of its own."""
    short = {name: name.partition(".")[2] if name.startswith(KINDS) else name for name in columns}
    taken = Counter(short.values())
    return {name: bare if taken[bare] == 1 else name for name, bare in short.items()}
