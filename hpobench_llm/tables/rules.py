"""Is a table's problem worth an optimizer? The rules that a problem should meet, each measured.

Nothing is refused by them: where one cannot be met, the card says so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hpobench_llm.factors import Lattice
from hpobench_llm.measured import DENSE
from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.practice import default_configuration, strong_configuration, swept_axis
from hpobench_llm.seeds import Noise
from hpobench_llm.space import Categorical, Configuration, Space, config_id
from hpobench_llm.tables.anova import FloatArray, coordinates, single_index, total_shares
from hpobench_llm.tables.difficulty import random_search_regret
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import answers, density_of, in_full, judged

MOST_BY_INDEX, LEAST_SHARE = 0.8, 0.01
SWEEP, TRIALS, NOISES = 8, 50, 2.0
CHECKPOINTS, COST_RATIO, ROWS, RELIABILITY = 8, 3.0, 1000, 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what is asked, what was measured, and whether it is met; None: not known."""

    asked: str
    measured: str
    met: bool | None


def problem_rules(table: Table) -> list[Rule]:
    """Return the rules of a table by its main metric, in the order of a card."""
    surface = _Surface.of(table)
    if surface is None:
        return []
    return [
        *(surface.shape() if surface.dense else [_sparse(table)]),
        *surface.search(),
        _checkpoints(table),
        _costs(table),
        _rows(table, surface.metric),
        *_scores(table, surface),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """A table's configurations: what an optimizer is told of each, and what it is worth.

    `told` are infinite and `worth` the worst where no run is sound.
    """

    space: Space
    metric: Metric
    noise: Noise
    dense: bool
    configs: list[Configuration]
    ids: list[str]
    told: FloatArray
    worth: FloatArray
    untrained: float

    @staticmethod
    def of(table: Table) -> "_Surface | None":
        space, metric = table.metadata.space, objective_of(table.metadata.metrics)
        told = answers(table, metric)
        if not np.isfinite(told).any():
            return None
        values, noise = judged(table, metric)
        worth = (metric.sign * values).reindex(told.index).fillna(metric.to_loss(metric.worst))
        rows = table.frame.drop_duplicates("config_id").set_index("config_id").loc[told.index]
        configs = [
            space.canonical({str(k): v for k, v in row.items()})
            for row in rows[list(space.names)].to_dict("records")
        ]
        untrained = metric.to_loss(table.metadata.untrained.get(metric.name, metric.worst))
        ids = [str(name) for name in told.index]
        return _Surface(
            space, metric, noise, density_of(table).startswith(DENSE), configs, ids,
            told.to_numpy(), worth.to_numpy(), untrained,
        )  # fmt: skip

    def shape(self) -> Iterator[Rule]:
        """What the axes do; of a full grid alone. A run without a loss learned nothing."""
        losses = np.where(np.isfinite(self.told), self.worth, self.untrained)
        columns = coordinates(self.space, self.space.to_unit(self.configs))
        half = losses <= np.median(losses)
        inner, whole = single_index(columns[half], losses[half]), single_index(columns, losses)
        yield Rule(
            f"no single index explains more than {MOST_BY_INDEX:.0%} of the better half",
            f"{inner:.0%} of the better half's variance, {whole:.0%} of all",
            None if np.isnan(inner) else inner <= MOST_BY_INDEX,
        )
        order = np.lexsort(_levels(self.space, self.configs)[:, ::-1].T)
        factors = self.space.factors
        sizes = [len(factor.points or ()) for factor in factors]
        asked = f"no axis has less than {LEAST_SHARE:.0%} of the variance, with its interactions"
        if len(order) == math.prod(sizes):
            names = [f.name if isinstance(f, Lattice) else f.names[0] for f in factors]
            grid = losses[order].reshape(sizes)
            shares = dict(zip(names, total_shares(grid).tolist(), strict=True))
            said = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
            yield Rule(asked, said, min(shares.values()) >= LEAST_SHARE)
        else:  # runs without an answer
            yield Rule(asked, "no full grid", None)
        best = self.configs[int(np.argmin(self.worth))]
        edges = _at_edges(self.space, best)
        yield Rule(
            "the optimum is interior on all axes of three values or more, but one",
            f"at the edge of {', '.join(edges)}" if edges else "interior on all",
            len(edges) <= 1,
        )

    def search(self) -> Iterator[Rule]:
        """What people and random draws lose, in noises between good runs at one seed."""
        axis = swept_axis(self.space)
        levels = axis.levels or tuple({c[axis.name] for c in self.configs})
        spaced = np.linspace(0, len(levels) - 1, min(SWEEP, len(levels))).round().astype(int)
        kinds = {
            "": default_configuration(self.space),
            ", largest rank and smallest batch,": strong_configuration(self.space),
        }
        for kind, fixed in kinds.items():
            swept = [fixed | {axis.name: sorted(levels)[place]} for place in spaced]
            yield self._above(
                f"a sweep of {axis.name} over {len(swept)} values{kind} stays", swept
            )
        yield self._above("the libraries' defaults stay", [kinds[""]])
        regret = random_search_regret(self.told, self.worth, (TRIALS,))[0]
        yield Rule(
            f"random search is expected to miss {NOISES:g} noises or more after {TRIALS} trials",
            f"{regret:.4f}, {self._noises(regret)}",
            self._known(regret >= NOISES * self.noise.rest),
        )

    def _above(self, what: str, configs: Sequence[Configuration]) -> Rule:
        place = {name: number for number, name in enumerate(self.ids)}
        # The id alone: of a sweep that leaves a simplex nothing was measured.
        tried = [place[i] for c in configs if (i := config_id(c)) in place]
        asked = f"{what} above the noise"
        if not tried:
            return Rule(asked, "none of it was measured", None)
        answer = min(tried, key=lambda number: self.told[number])
        regret = float(self.worth[answer] - self.worth.min())
        return Rule(
            asked, f"{regret:.4f}, {self._noises(regret)}", self._known(regret > self.noise.rest)
        )

    def _noises(self, regret: float) -> str:
        rest = self.noise.rest
        return f"{regret / rest:.1f} noises" if rest > 0 else "the noise is not known"

    def _known(self, met: bool) -> bool | None:
        return bool(met) if self.noise.rest > 0 else None


def _levels(space: Space, configs: Sequence[Configuration]) -> FloatArray:
    """Return `(n, factors)`: the number of each value on its axis or simplex."""
    places = [
        (factor.names, {point: number for number, point in enumerate(factor.points or ())})
        for factor in space.factors
    ]
    rows = [[place[tuple(c[n] for n in names)] for names, place in places] for c in configs]
    return np.array(rows, dtype=np.float64)


def _at_edges(space: Space, best: Configuration) -> list[str]:
    """Return the axes of three numbers or more at whose end a configuration lies."""
    numbers = [d for d in space if not isinstance(d, Categorical) and len(d.levels or ()) > 2]
    return [d.name for d in numbers if best[d.name] in ((d.levels or ())[0], (d.levels or ())[-1])]


def _sparse(table: Table) -> Rule:
    return Rule(
        "no single index, no idle axis, an interior optimum",
        f"not known: {density_of(table)}",
        None,
    )


def _checkpoints(table: Table) -> Rule:
    counts = {axis.name: len(axis.values) for axis in table.metadata.fidelities}
    shown = ", ".join(f"{count} of {name}" for name, count in counts.items()) or "none"
    return Rule(
        f"{CHECKPOINTS} checkpoints or more", shown, max(counts.values(), default=0) >= CHECKPOINTS
    )


def _costs(table: Table) -> Rule:
    asked = f"costs differ between configurations by a factor of {COST_RATIO:g} or more"
    full = in_full(table)
    if "train_seconds" not in full or not (full["train_seconds"] > 0).any():
        return Rule(asked, "not known", None)
    costs = full.groupby("config_id")["train_seconds"].mean()
    low, high = np.nanquantile(costs[costs > 0], [0.05, 0.95])
    ratio = float(high / low)
    return Rule(asked, f"{ratio:.1f} between the 5 and 95 % quantiles", ratio >= COST_RATIO)


def _rows(table: Table, metric: Metric) -> Rule:
    """Return how many validation rows there are, and their sampling error of the best runs."""
    asked = f"{ROWS:,} validation rows or more"
    data = table.metadata.provenance.get("sources", {}).get("data", {})
    count = data.get("rows", {}).get("val")
    if count is None:
        return Rule(asked, "not known", None)
    error = _sampling_error(table, metric)
    shown = f"{count:,} rows" + ("" if error is None else f"; their sampling error is {error:.4f}")
    return Rule(asked, shown, count >= ROWS)


def _sampling_error(table: Table, metric: Metric) -> float | None:
    """Return the standard error over rows of one run's loss, a ratio of sums; the median run's."""
    items = table.examples()
    items = items[items["column"] == metric.name]
    if not len(items) or items["tokens"].isna().any():
        return None
    errors = []
    for _, run in items.groupby(["config_id", "seed"]):
        tokens, values = run["tokens"].to_numpy(float), run["value"].to_numpy(float)
        residual = values - values.sum() / tokens.sum() * tokens
        errors.append(np.sqrt(len(run) * residual.var(ddof=1)) / tokens.sum())
    return float(np.median(errors))


def _scores(table: Table, surface: _Surface) -> Iterator[Rule]:
    """Return of each score how well one seed's order of the better half agrees with another's."""
    better = pd.Index(np.array(surface.ids)[surface.worth <= np.median(surface.worth)])
    full = in_full(table)
    full = full[(full["status"] == "ok") & full["config_id"].isin(better)]
    for metric in table.metadata.metrics.values():
        if metric.role != "score":
            continue
        share = reliability(full["config_id"], full[metric.name])
        yield Rule(
            f"reliability of {metric.name} between seeds above {RELIABILITY:g} in the better half",
            "no repeats" if np.isnan(share) else f"{share:.2f}",
            None if np.isnan(share) else share > RELIABILITY,
        )


def reliability(configs: pd.Series, values: pd.Series) -> float:
    """Return the share of one run's variance that lies between configurations; NaN: no repeats.

    The intraclass correlation of a one-way model, from configurations that have several runs.
    """
    runs = pd.DataFrame({"config": configs, "value": values}).dropna()
    grouped = runs.groupby("config")["value"]
    counts, means, squares = grouped.size(), grouped.mean(), grouped.var(ddof=1)
    kept = counts > 1
    counts, means, squares = counts[kept], means[kept], squares[kept]
    if len(counts) < 3:
        return float("nan")
    within = float((squares * (counts - 1)).sum() / (counts - 1).sum())
    center = float((counts * means).sum() / counts.sum())
    spread = float((counts * (means - center) ** 2).sum() / (len(counts) - 1))
    size = float((counts.sum() - (counts**2).sum() / counts.sum()) / (len(counts) - 1))
    between = max(0.0, (spread - within) / size)
    return between / (between + within) if between + within else float("nan")
