"""One fit's comparison of families on held-out configurations, and the figures of the winners."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.surrogates.compare import (
    FamilyComparison,
    FittedModel,
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
from hpobench_llm.surrogates.record import CostRecord, QualityFigures, TargetRecord
from hpobench_llm.surrogates.resources import SECONDS, Resources, resources_of
from hpobench_llm.surrogates.rows import FitRows, Target, in_units
from hpobench_llm.surrogates.spread import Spread, fit_spread

# Every answer comes with its cost, so asking for it must not take longer than for the metrics.
CHEAP = (FAMILIES["ridge"], FAMILIES["network"])


@dataclass
class FitSteps:
    """The steps of one fit, and what they leave behind."""

    rows: FitRows
    seed: int
    folds: int
    extrapolate: bool
    on_fit: Callable[[int, int, str], None]

    def __post_init__(self) -> None:
        rows = self.rows
        self.fold = folds_of(rows.configurations, self.folds, self.seed)
        level_index = np.unique(rows.levels, axis=0, return_inverse=True)[1].reshape(
            len(rows.levels)
        )
        self.cell = (rows.configuration * (int(level_index.max()) + 1) + level_index).astype(
            np.intp
        )
        # Then a seed's noise can be told from the model's error.
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
        comparison = compare(
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
            comparison.winners,
            seed=self.seed,
            on_fit=self._advance,
        )
        judged = rows.judged() & learned
        residuals = np.where(judged, rows.values - comparison.predicted, np.nan)[:, : self.metrics]
        self.spread = fit_spread(rows.features, residuals, rows.configuration)
        self.noise = fit_noise(
            rows.features,
            residuals,
            comparison.predicted[:, : self.metrics],
            self.cell,
            rows.frame["seed"].to_numpy(),
            rows.encoder.width,
        )
        truth, predicted = rows.in_units(rows.values), rows.in_units(comparison.predicted)
        covered = self._covered(comparison.predicted, residuals)
        axes = [axis.name for axis in rows.fidelities]
        report: dict[str, TargetRecord] = {}
        for column, target in enumerate(rows.targets):
            use = judged[:, column]
            inside = {coverage: within[:, column] for coverage, within in covered.items()}
            full = use & rows.full
            by_fidelity: list[QualityFigures] = []
            for level in target.measured_at:
                if level in target.fixed:
                    continue
                at_level = use & np.all(rows.levels == level, axis=1)
                judged_there = self._judge(target, truth, predicted, inside, column, at_level)
                fidelity = dict(zip(axes, level, strict=True))
                by_fidelity.append({"fidelity": fidelity, **judged_there})
            report[target.name] = {
                "kind": target.kind,
                "fitted_as": "logarithm" if target.log else "value",
                "family": comparison.winners[column],
                "held_out_error": comparison.errors[column],
                "own_share_of_seeds": (
                    float(self.noise.seed_share[column])
                    if target.kind == "metric" and self.seeds_repeat
                    else None
                ),
                "all": self._judge(target, truth, predicted, inside, column, use),
                "by_fidelity": by_fidelity,
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
        self._extrapolate(report, comparison, residuals, truth, judged)
        return report

    def cost(self) -> dict[str, CostRecord]:
        """Compare, fit and judge the rates of seconds and tokens."""
        rows, (shapes, rates) = self.rows, (self.resources.shapes, self.resources.rates)
        self.rates: tuple[FittedModel, ...] = ()
        if not shapes:
            return {}
        # One row a configuration: its features are those of its first row.
        first = np.unique(rows.configuration, return_index=True)[1]
        features = rows.features[first, : rows.encoder.width]
        use = np.isfinite(rates)
        comparison = compare(
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
            features, rates, use, comparison.winners, seed=self.seed, on_fit=self._advance
        )
        growth = np.array([[shape.at(level) for shape in shapes] for level in rows.levels])
        predicted = np.exp(comparison.predicted)[rows.configuration] * growth
        sums = {"cost_seconds": [c for c, s in enumerate(shapes) if s.name in SECONDS]}
        sums |= {shape.name: [column] for column, shape in enumerate(shapes)}
        report: dict[str, CostRecord] = {}
        for name, columns in sums.items():
            parts = [shapes[c].name for c in columns]
            if not parts:  # a table without seconds
                continue
            truth = rows.frame[parts].to_numpy(dtype=np.float64).sum(axis=1)
            answer = predicted[:, columns].sum(axis=1)
            judged = np.isfinite(truth) & (truth > 0) & np.isfinite(answer)
            relative = np.abs(answer[judged] / truth[judged] - 1.0)
            report[name] = {
                "families": [comparison.winners[c] for c in columns],
                "held_out_error": [comparison.errors[c] for c in columns],
                "median_relative_error": float(np.median(relative)),
                **figures(truth[judged], answer[judged], self.cell[judged]),
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
    ) -> QualityFigures:
        if target.kind == "probability":
            return probability_figures(truth[use, column], predicted[use, column])
        covered_runs = {coverage: inside[use] for coverage, inside in covered.items()}
        return figures(truth[use, column], predicted[use, column], self.cell[use], covered_runs)

    def _covered(
        self, predicted: FloatArray, residuals: FloatArray
    ) -> dict[float, NDArray[np.bool_]]:
        """Return, for each coverage, `(n, targets)` whether the interval holds the run."""
        rows = self.rows
        covered = {coverage: np.zeros(predicted.shape, dtype=bool) for coverage in COVERAGES}
        # A run must not help to set its own interval, so each fold has the others' spread.
        for fold in range(self.folds):
            held_out = self.fold[rows.configuration] == fold
            spread = self._spread_of(residuals, ~held_out)
            for coverage, inside in covered.items():
                low, high = spread.interval(rows.features[held_out], coverage)
                holds = (residuals[held_out] >= low) & (residuals[held_out] <= high)
                inside[held_out, : self.metrics] = holds
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
        comparison: FamilyComparison,
        residuals: FloatArray,
        truth: FloatArray,
        judged: NDArray[np.bool_],
    ) -> None:
        rows, coverage = self.rows, COVERAGES[-1]
        for region in self.regions:
            predicted, low, high = predict_region(
                region,
                rows,
                comparison.winners,
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
        """Clip targets that are fitted without a logarithm to their bounds."""
        plain_targets = np.array([not target.log for target in self.rows.targets])
        clipped = predicted.copy()
        units = in_units(self.rows.targets, np.where(plain_targets, predicted, 0.0))
        clipped[:, plain_targets] = units[:, plain_targets]
        return clipped

    def _advance(self, fitted: str) -> None:
        self.done += 1
        self.total = max(self.total, self.done)  # which was a guess, see `_count`
        self.on_fit(self.done, self.total, fitted)

    def _count(self) -> int:
        """Estimate how many fits there will be: which families win is not known yet."""
        learned = self.rows.learned()
        groups = groups_of(learned)
        width = self.rows.features.shape[1]
        compared = sum(len(competitors(int(learned[:, g[0]].sum()), width)) for g in groups)
        rates = len(CHEAP) if self.resources.shapes else 0
        return (compared + rates) * self.folds + len(groups) * (1 + len(self.regions)) + 1
