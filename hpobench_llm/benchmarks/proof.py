"""The proof of a surrogate that was just written: it is read again and asked."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.errors import HpobenchError, IntegrityError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.tables.table import Table

BATCH, SINGLE, LEVELS = 64, 8, 6


def prove(folder: Path, table: Table) -> None:
    """Read a written surrogate and ask it, alone and in a batch, at several fidelities.

    A batch holds configurations of the table and some from between; an answer alone has to be
    that of the batch to the bit, and every metric that is answered at a fidelity has to be finite
    where the run is ok.

    Raises:
        IntegrityError: it cannot be asked, or not so; then the fit is at fault.
    """
    try:
        problem = _problem(SurrogateBenchmark(Surrogate.load(folder)), table)
    except (HpobenchError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise IntegrityError(
            f"{folder}: the surrogate was written, but cannot be asked ({problem}): a fault of "
            "the fit, please report it with the table"
        )


def _problem(bench: SurrogateBenchmark, table: Table) -> str:
    """Return what is wrong with the answers; empty if nothing is."""
    names = list(bench.space.names)
    rng = np.random.default_rng(0)
    known = table.frame.drop_duplicates("config_id")[names]
    measured = known.iloc[np.unique(np.linspace(0, len(known) - 1, BATCH).astype(int))]
    configs = [
        *(dict(zip(names, row, strict=True)) for row in measured.itertuples(index=False)),
        *bench.space.from_unit(rng.random((SINGLE, len(names)))),
    ]
    singles = rng.permutation(len(configs))[:SINGLE]
    axes = [axis.name for axis in bench.fidelities]
    levels = table.frame[axes].drop_duplicates().tail(LEVELS).to_numpy().tolist() if axes else [[]]
    for level in levels:
        fidelity = dict(zip(axes, level, strict=True))
        for seed in (None, 0):
            frame = bench.query_many(configs, fidelity=fidelity, seed=seed)
            rows = frame[[*bench.metrics, "status", "cost_seconds", "tokens"]].astype(object)
            for place in singles.tolist():
                alone = bench.query(configs[place], fidelity=fidelity, seed=seed)
                if _alone(alone, bench.metrics) != [_plain(v) for v in rows.iloc[place]]:
                    return f"{configs[place]} alone and in a batch differ at {fidelity}"
            answered = bench.answered(fidelity)
            values = frame.loc[frame["status"] == "ok", answered].to_numpy(dtype=np.float64)
            for name, column in zip(answered, values.T, strict=True):
                if not np.isfinite(column).all():
                    return f"{name} is not finite at {fidelity}"
    return ""


def _alone(answer: Evaluation, metrics: Iterable[str]) -> list[object]:
    values = [answer.metrics.get(name, np.nan) for name in metrics]
    return [_plain(v) for v in (*values, answer.status, answer.cost_seconds, answer.tokens)]


def _plain(value: object) -> object:
    """Return a value that is equal to itself: None for NaN."""
    return None if value != value else value
