"""The section of `CARD.md` on baselines: each beside the best configuration that costs no more."""

from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.tables.baselines import Baseline, baselines_of
from hpobench_llm.tables.markdown import plain
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import in_full, judged


def baseline_section(table: Table) -> list[str]:
    """Return the baselines with their metrics, no line where there are none.

    The last column has the best of the objective, by all seeds of a configuration, among those
    with no more of the first cost that baselines have.
    """
    baselines = baselines_of(table.metadata.provenance)
    if not baselines:
        return []
    metrics = table.metadata.metrics.values()
    shown = [metric for metric in metrics if any(metric.name in b.values for b in baselines)]
    heads = ["baseline", "what", *(metric.name for metric in shown)]
    rows = [[b.method, b.what, *(_figure(b, metric) for metric in shown)] for b in baselines]
    cost = next((metric for metric in shown if metric.role == "cost"), None)
    if cost is not None:
        main = objective_of(table.metadata.metrics)
        heads.append(f"best {main.name} of the table with no more {cost.name}")
        rows = [[*row, best] for row, best in zip(rows, _best(table, main, cost), strict=True)]
    return [
        "## Baselines",
        "",
        "Measured once beside the table; they are no configurations of its space.",
        "",
        _line(heads),
        "|---" * len(heads) + "|",
        *map(_line, rows),
    ]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"


def _figure(baseline: Baseline, metric: Metric) -> str:
    value = baseline.values.get(metric.name)
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _best(table: Table, main: Metric, cost: Metric) -> list[str]:
    """Return for each baseline the best of the table's configurations that cost no more."""
    worth, _ = judged(table, main)
    costs = in_full(table).groupby("config_id")[cost.name].first().reindex(worth.index)
    best = []
    for baseline in baselines_of(table.metadata.provenance):
        values = worth[(costs <= baseline.values.get(cost.name, -1)).to_numpy(dtype=bool)]
        values = values.sort_values(ascending=main.direction == "minimize")
        best.append(f"{values.iloc[0]:.4g}" if len(values) else "none")
    return best
