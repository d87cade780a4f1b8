"""The names of trials' columns: a benchmark's names never clash with ours.

A name that a benchmark brings stands behind its kind and a dot: `config.lr`, `fidelity.step`,
`metric.val_loss`. `constraint_<name>` is as in a benchmark's answers. All other columns are ours:
none has a dot or begins with `constraint_`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import IntegrityError

CONFIG, FIDELITY, METRIC = "config.", "fidelity.", "metric."
KINDS = (CONFIG, FIDELITY, METRIC)
# Ours; the optimizers' measured seconds lie in a file of their own.
TEXTS = ("benchmark", "optimizer", "config_id", "status", "liar", "seeding", "optimizer_version")
NUMBERS = (
    *("seed", "trial", "resumes", "worker", "cost_seconds", "tokens", "started_seconds"),
    *("finished_seconds", "duplicate", "startup_trials"),
)


def column(rows: pd.DataFrame, kind: str, name: str) -> str:
    """Return the column of a name: `<kind><name>` in trials, `name` in a benchmark's answers."""
    return f"{kind}{name}" if f"{kind}{name}" in rows.columns else name


def short_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns' names without their kinds, where no two would then be equal."""
    short = {name: name.partition(".")[2] if name.startswith(KINDS) else name for name in columns}
    counts = Counter(short.values())
    return {name: bare if counts[bare] == 1 else name for name, bare in short.items()}


def with_kinds(
    frame: pd.DataFrame, benchmarks: Iterable[Benchmark], objectives: Sequence[str], where: object
) -> pd.DataFrame:
    """Return trials of format 2, whose columns had no kinds, with the names of today.

    Raises:
        IntegrityError: two columns had one name, so that one of them was overwritten.
    """
    named = {(METRIC, name) for name in objectives}
    for benchmark in benchmarks:
        named |= {(CONFIG, name) for name in benchmark.space.names}
        named |= {(FIDELITY, axis.name) for axis in benchmark.fidelities}
    counts = Counter([*TEXTS, *NUMBERS, *(name for _, name in named)])
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise IntegrityError(
            f"{where}: `{name}` stood for {count} things in the version that wrote it, which kept "
            "one of them; replay the study again"
        )
    return frame.rename(columns={name: f"{kind}{name}" for kind, name in named})
