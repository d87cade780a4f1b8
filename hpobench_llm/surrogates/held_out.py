"""One fit's comparison of families on held-out configurations, and the figures of the winners."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.surrogates.compare import (
    Comparison,
    Fitted,
    compare,
    competitors,
    fit_winners,
    folds_of,
    groups_of,
)
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.extrapolation import MOST_LEVELS, predict_region, regions
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.noise import fit_noise
from hpobench_llm.surrogates.quality import (
    COVERAGES,
    best_quarter,
    figures,
    probability_figures,
)
from hpobench_llm.surrogates.record import CostRecord, Figures, TargetRecord
from hpobench_llm.surrogates.resources import SECONDS, Resources, resources_of
from hpobench_llm.surrogates.rows import Rows, Target, in_units
from hpobench_llm.surrogates.spread import Spread, fit_spread

# Every answer has its cost, so that must not take longer to ask than the metrics do.
CHEAP = (FAMILIES["ridge"], FAMILIES["network"])


@dataclass
class HeldOut:
    """The steps of one fit, and what they leave behind."""

    rows: Rows
    seed: int
    folds: int
    extrapolate: bool
    on_fit: Callable[[int, int, str], None]

    def __post_init__(self) -> None:
        rows = self.rows
        self.fold = folds_of(rows.configurations, self.folds, self.seed)
        place = np.unique(rows.levels, axis=0, return_inverse=True)[1].reshape(len(rows.levels))
        self.cell = (rows.configuration * (int(place.max()) + 1) + place).astype(np.intp)
        self.seeds_repeat = bool(np.bincount(self.cell).max() > 1)
        self.resources: Resources = resources_of(
            rows.frame, rows.fidelities, rows.levels, rows.configuration
        )
        self.metrics = sum(target.kind == "metric" for target in rows.targets)
        self.regions = list(regions(rows)) if self.extrapolate else []
        self.done, self.total = 0, self._count()

    def targets(self) -> dict[str, TargetRecord]:
        """Compare, fit and judge metrics and probabilities."""
        rows, learned = self.rows, self.rows.learned()
        found = compare(
            rows.features,
            rows.values,
            learned,
            rows.configuration,
            self.fold,
            names=[target.name for target in rows.targets],
            full=rows.full,
            seed=self.seed,
            judge=self._clipped,
            on_fit=self._advance,
        )
        self.models = fit_winners(
            rows.features,
            rows.values,
            learned,
            found.winners,
            seed=self.seed,
            on_fit=self._advance,
        )
        judged = rows.judged() & learned
        residuals = np.where(judged, rows.values - found.predicted, np.nan)[:, : self.metrics]
        self.spread = fit_spread(rows.features, residuals, rows.configuration)
        self.noise = fit_noise(
            rows.features,
            residuals,
            found.predicted[:, : self.metrics],
            self.cell,
            rows.frame["seed"].to_numpy(),
            rows.encoder.width,
        )
        truth, predicted = rows.in_units(rows.values), rows.in_units(found.predicted)
        covered = self._covered(found.predicted, residuals)
        axes = [axis.name for axis in rows.fidelities]
        report: dict[str, TargetRecord] = {}
        for column, target in enumerate(rows.targets):
            use = judged[:, column]
            inside = {level: held[:, column] for level, held in covered.items()}
            full = use & rows.full
            report[target.name] = {
                "kind": target.kind,
                "fitted_as": "logarithm" if target.log else "value",
                "family": found.winners[column],
                "held_out_error": found.errors[column],
                "own_share_of_seeds": (
                    float(self.noise.seed_share[column])
                    if target.kind == "metric" and self.seeds_repeat
                    else None
                ),
                "all": self._judge(target, truth, predicted, inside, column, use),
                "by_fidelity": [
                    {
                        "fidelity": dict(zip(axes, level, strict=True)),
                        **self._judge(
                            target,
                            truth,
                            predicted,
                            inside,
                            column,
                            use & np.all(rows.levels == level, axis=1),
                        ),
                    }
                    for level in target.measured_at
                    if level not in target.fixed
                ],
                "extrapolation": [],
            }
            if target.kind == "metric":
                metric = rows.metrics[target.name]
                report[target.name]["best_quarter"] = best_quarter(
                    truth[full, column],
                    predicted[full, column],
                    self.cell[full],
                    sign=1.0 if metric.direction == "minimize" else -1.0,
                )
        self._extrapolate(report, found, residuals, truth, judged)
        return report

    def cost(self) -> dict[str, CostRecord]:
        """Compare, fit and judge the rates of seconds and tokens."""
        rows, (shapes, rates) = self.rows, (self.resources.shapes, self.resources.rates)
        self.rates: tuple[Fitted, ...] = ()
        if not shapes:
            return {}
        # One row a configuration: its features are those of its first row.
        first = np.unique(rows.configuration, return_index=True)[1]
        features = rows.features[first, : rows.encoder.width]
        use = np.isfinite(rates)
        found = compare(
            features,
            rates,
            use,
            np.arange(len(rates)),
            self.fold,
            names=[shape.name for shape in shapes],
            full=np.ones(len(rates), dtype=np.bool_),
            seed=self.seed,
            families=CHEAP,
            on_fit=self._advance,
        )
        self.rates = fit_winners(
            features, rates, use, found.winners, seed=self.seed, on_fit=self._advance
        )
        grown = np.array([[shape.at(level) for shape in shapes] for level in rows.levels])
        guessed = np.exp(found.predicted)[rows.configuration] * grown
        sums = {"cost_seconds": [c for c, s in enumerate(shapes) if s.name in SECONDS]}
        sums |= {shape.name: [column] for column, shape in enumerate(shapes)}
        report: dict[str, CostRecord] = {}
        for name, columns in sums.items():
            parts = [shapes[c].name for c in columns]
            if not parts:
                continue
            truth = rows.frame[parts].to_numpy(dtype=np.float64).sum(axis=1)
            answer = guessed[:, columns].sum(axis=1)
            known = np.isfinite(truth) & (truth > 0) & np.isfinite(answer)
            relative = np.abs(answer[known] / truth[known] - 1.0)
            report[name] = {
                "families": [found.winners[c] for c in columns],
                "held_out_error": [found.errors[c] for c in columns],
                "median_relative_error": float(np.median(relative)),
                **figures(truth[known], answer[known], self.cell[known]),
            }
        return report

    def _judge(
        self,
        target: Target,
        truth: FloatArray,
        predicted: FloatArray,
        covered: dict[float, NDArray[np.bool_]],
        column: int,
        use: NDArray[np.bool_],
    ) -> Figures:
        if target.kind == "probability":
            return probability_figures(truth[use, column], predicted[use, column])
        held = {level: inside[use] for level, inside in covered.items()}
        return figures(truth[use, column], predicted[use, column], self.cell[use], held)

    def _covered(
        self, predicted: FloatArray, residuals: FloatArray
    ) -> dict[float, NDArray[np.bool_]]:
        """Return, for each coverage, `(n, targets)` whether the interval holds the run."""
        rows = self.rows
        covered = {level: np.zeros(predicted.shape, dtype=bool) for level in COVERAGES}
        for number in range(self.folds):
            out = self.fold[rows.configuration] == number
            spread = self._spread_of(residuals, ~out)
            for level, inside in covered.items():
                low, high = spread.interval(rows.features[out], level)
                held = (residuals[out] >= low) & (residuals[out] <= high)
                inside[out, : self.metrics] = held
        return covered

    def _spread_of(self, residuals: FloatArray, use: NDArray[np.bool_]) -> Spread:
        rows = self.rows
        return fit_spread(rows.features[use], residuals[use], rows.configuration[use])

    def left_out(self) -> list[str]:
        """Return what bounds of time and memory kept out, each as a sentence."""
        rows = self.rows
        count, width = len(rows.features), rows.features.shape[1]
        lines = [f"{name}: {why}" for name, why in rows.left_out.items()]
        lines += rows.encoder.simplified()
        for family in FAMILIES.values():
            if not family.takes(count, width):
                bounds = [f"at least {family.least_rows} rows"] if family.least_rows else []
                bounds += [f"at most {family.most_rows} rows"] if family.most_rows else []
                bounds += [f"{family.most_features} features"] if family.most_features else []
                lines.append(
                    f"{family.name}: not fitted to {count} rows of {width} features; it takes "
                    f"{' and '.join(bounds)}"
                )
            elif text := family.simplified(width):
                lines.append(f"{family.name}: {text}, of {width} features")
        for dimension in rows.space.dimensions if self.extrapolate else ():
            names = getattr(dimension, "values", ())
            if len(names) > MOST_LEVELS:
                lines.append(
                    f"held-out regions: the {MOST_LEVELS} most frequent of the {len(names)} names "
                    f"of `{dimension.name}`"
                )
        return lines

    def _extrapolate(
        self,
        report: dict[str, TargetRecord],
        found: Comparison,
        residuals: FloatArray,
        truth: FloatArray,
        judged: NDArray[np.bool_],
    ) -> None:
        rows, coverage = self.rows, COVERAGES[-1]
        for region in self.regions:
            predicted, low, high = predict_region(
                region,
                rows,
                found.winners,
                residuals,
                coverage=coverage,
                seed=self.seed,
                on_fit=self._advance,
            )
            units = rows.in_units(predicted)
            inside = (rows.values >= low) & (rows.values <= high)
            for column, target in enumerate(rows.targets):
                use = judged[:, column] & region.rows & rows.full
                use &= np.isfinite(predicted[:, column])
                if use.any():
                    report[target.name]["extrapolation"].append(
                        {
                            "axis": region.axis,
                            "left_out": region.left_out,
                            "kind": region.kind,
                            **self._judge(
                                target, truth, units, {coverage: inside[:, column]}, column, use
                            ),
                        }
                    )

    def _clipped(self, predicted: FloatArray) -> FloatArray:
        """Clip what is fitted as it is to its bounds; logarithms need none."""
        plain_targets = np.array([not target.log for target in self.rows.targets])
        clipped = predicted.copy()
        units = in_units(self.rows.targets, np.where(plain_targets, predicted, 0.0))
        clipped[:, plain_targets] = units[:, plain_targets]
        return clipped

    def _advance(self, what: str) -> None:
        self.done += 1
        self.total = max(self.total, self.done)
        self.on_fit(self.done, self.total, what)

    def _count(self) -> int:
        """About how many fits there will be: the winners' own are not known beforehand."""
        learned = self.rows.learned()
        groups = groups_of(learned)
        width = self.rows.features.shape[1]
        compared = sum(len(competitors(int(learned[:, g[0]].sum()), width)) for g in groups)
        rates = len(CHEAP) if self.resources.shapes else 0
        return (compared + rates) * self.folds + len(groups) * (1 + len(self.regions)) + 1
