"""The proof of a surrogate that was just written: read it again and ask it."""

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

    A batch has configurations of the table and some between them. An answer alone has to equal
    that of the batch to the bit, and every metric that is answered at a fidelity has to be finite
    if the run is ok.

    Raises:
        IntegrityError: an answer fails or breaks a rule; then the fit is at fault.
    """
    try:
        fault = _fault(SurrogateBenchmark(Surrogate.load(folder)), table)
    except (HpobenchError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise IntegrityError(
            f"{folder}: the surrogate was written, but cannot be asked ({fault}): a fault of "
            "the fit, please report it with the table"
        )


def _fault(bench: SurrogateBenchmark, table: Table) -> str:
    """Return a fault of the answers; empty if there is none."""
    names = list(bench.space.names)
    rng = np.random.default_rng(0)
    distinct = table.frame.drop_duplicates("config_id")[names]
    evenly = np.unique(np.linspace(0, len(distinct) - 1, BATCH).astype(int))
    measured = distinct.iloc[evenly]
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
            for row in singles.tolist():
                alone = bench.query(configs[row], fidelity=fidelity, seed=seed)
                if _alone(alone, bench.metrics) != [_plain(v) for v in rows.iloc[row]]:
                    return f"{configs[row]} alone and in a batch differ at {fidelity}"
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
    """Return a value that equals itself: None for NaN, which does not."""
    return None if isinstance(value, float) and np.isnan(value) else value
