"""Fit a surrogate on a table and measure it on held-out configurations and regions."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError, MissingDependencyError
from hpobench_llm.provenance import git_revision, versions
from hpobench_llm.surrogates.artefact import Surrogate
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
from hpobench_llm.surrogates.extrapolation import predict_region, regions
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.noise import Noise, fit_noise
from hpobench_llm.surrogates.quality import COVERAGES, figures, probability_figures
from hpobench_llm.surrogates.resources import SECONDS, Resources, resources_of
from hpobench_llm.surrogates.rows import Rows, Target, in_units, rows_of
from hpobench_llm.tables.table import Table

# Every answer has its cost, so that must not take longer to ask than the metrics do.
CHEAP = (FAMILIES["ridge"], FAMILIES["network"])
METHOD = {
    "held_out_configurations": "cross-validation in {folds} folds; all seeds and fidelities of a "
    "configuration are held out together",
    "family": "the cheapest family to ask whose held-out squared error (fitted scale, mean over "
    "configurations) exceeds the smallest by at most one standard error of the difference",
    "coverage": "intervals from residuals of the other folds, so no run helps to set its own",
    "interval": "a run of a configuration that was not seen: the model's error and the seeds' "
    "noise together",
    "extrapolation": "one level of an axis left out of models and noise, judged at full fidelity",
    "shared_values": "levels at which all configurations agree (the untrained base) are answered "
    "as they are and not judged",
    "cost": "rates are held out by configuration; the few numbers of their growth along a "
    "fidelity are fitted on all rows",
}


def fit(
    table: Table,
    *,
    seed: int = 0,
    folds: int = 5,
    extrapolate: bool = True,
    on_fit: Callable[[int, int, str], None] = lambda *_: None,
) -> Surrogate:
    """Compare the model families for each metric, fit the winners, and report their quality.

    Args:
        table: what to learn from.
        seed: of the folds and of the fits.
        folds: of the cross-validation, by configuration.
        extrapolate: also leave out one axis level at a time; about half of the time.
        on_fit: told how many fits are done, of how many, and what was fitted.

    Raises:
        ConfigurationError: fewer configurations than folds, or nothing was measured.
        MissingDependencyError: LightGBM or scikit-learn is not installed.
    """
    for library in ("threadpoolctl", *(family.module for family in FAMILIES.values())):
        _check_installed(library)
    from threadpoolctl import threadpool_limits

    metadata = table.metadata
    rows = rows_of(table)
    if rows.configurations < folds:
        raise ConfigurationError(
            f"{metadata.name}: {rows.configurations} configurations are too few for {folds} folds"
        )
    with threadpool_limits(1):  # small products: more threads would only wait for each other
        work = _Work(rows, seed, folds, extrapolate, on_fit)
        targets = work.targets()
        cost = work.cost()
    return Surrogate(
        name=metadata.name,
        table=metadata.name,
        table_version=metadata.version,
        table_sha256=metadata.table_sha256,
        space=rows.space,
        fidelities=metadata.fidelities,
        metrics=metadata.metrics,
        targets=rows.targets,
        models=work.models,
        shapes=work.resources.shapes,
        rates=work.rates,
        noise=work.noise,
        quality={
            "table": metadata.name,
            "table_version": metadata.version,
            "table_sha256": metadata.table_sha256,
            "configurations": rows.configurations,
            "runs": int(rows.full.sum()),
            "method": {key: text.format(folds=folds) for key, text in METHOD.items()},
            "families": {family.name: family.summary for family in FAMILIES.values()},
            "seeds_repeat": work.seeds_repeat,
            "targets": targets,
            "resources": cost,
            "ranking_check": None,
        },
        provenance={
            "seed": seed,
            "folds": folds,
            "versions": versions("hpobench-llm", "lightgbm", "numpy", "scikit-learn", "scipy"),
            "code": git_revision(),
        },
    )


def _check_installed(library: str) -> None:
    """Refuse now what would otherwise stop the fit half way."""
    try:
        import_module(library)
    except (ImportError, OSError):  # OSError: LightGBM's OpenMP runtime is not there
        raise MissingDependencyError(library, "surrogate", "fitting a surrogate") from None


@dataclass
class _Work:
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
        self.left_out = list(regions(rows)) if self.extrapolate else []
        self.done, self.total = 0, self._count()

    def targets(self) -> dict[str, Any]:
        """Compare, fit and judge metrics and probabilities."""
        rows, learned = self.rows, self.rows.learned()
        found = compare(
            rows.features,
            rows.values,
            learned,
            rows.configuration,
            self.fold,
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
        self.noise = self._noise(residuals, np.ones(len(self.cell), dtype=bool))
        truth, predicted = rows.in_units(rows.values), rows.in_units(found.predicted)
        covered = self._covered(found.predicted, residuals)
        report = {}
        for column, target in enumerate(rows.targets):
            use = judged[:, column]
            inside = {level: held[:, column] for level, held in covered.items()}
            report[target.name] = {
                "kind": target.kind,
                "fitted_as": "logarithm" if target.log else "value",
                "family": found.winners[column],
                "held_out_error": found.errors[column],
                "seed_share_of_variance": (
                    float(self.noise.seed_share[column])
                    if target.kind == "metric" and self.seeds_repeat
                    else None
                ),
                "all": self._judge(target, truth, predicted, inside, column, use),
                "by_fidelity": [
                    {"fidelity": dict(zip([f.name for f in rows.fidelities], level, strict=True))}
                    | self._judge(
                        target,
                        truth,
                        predicted,
                        inside,
                        column,
                        use & np.all(rows.levels == level, axis=1),
                    )
                    for level in target.measured_at
                    if level not in target.fixed
                ],
                "extrapolation": [],
            }
        self._extrapolate(report, found, residuals, truth, judged)
        return report

    def cost(self) -> dict[str, Any]:
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
        report = {}
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
            } | figures(truth[known], answer[known], self.cell[known])
        return report

    def _judge(
        self,
        target: Target,
        truth: FloatArray,
        predicted: FloatArray,
        covered: dict[float, NDArray[np.bool_]],
        column: int,
        use: NDArray[np.bool_],
    ) -> dict[str, Any]:
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
            noise = self._noise(residuals, ~out)
            for level, inside in covered.items():
                low, high = noise.interval(rows.features[out], level)
                held = (residuals[out] >= low) & (residuals[out] <= high)
                inside[out, : self.metrics] = held
        return covered

    def _noise(self, residuals: FloatArray, use: NDArray[np.bool_]) -> Noise:
        rows = self.rows
        return fit_noise(
            rows.features[use],
            residuals[use],
            rows.configuration[use],
            self.cell[use],
            rows.encoder.width,
        )

    def _extrapolate(
        self,
        report: dict[str, Any],
        found: Comparison,
        residuals: FloatArray,
        truth: FloatArray,
        judged: NDArray[np.bool_],
    ) -> None:
        rows, coverage = self.rows, COVERAGES[-1]
        for region in self.left_out:
            predicted, low, high = predict_region(
                region,
                rows,
                found.winners,
                residuals,
                self.cell,
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
                        {"axis": region.axis, "left_out": region.left_out, "kind": region.kind}
                        | self._judge(
                            target, truth, units, {coverage: inside[:, column]}, column, use
                        )
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
        compared = sum(len(competitors(int(learned[:, g[0]].sum()))) for g in groups)
        rates = len(competitors(self.rows.configurations, CHEAP)) if self.resources.shapes else 0
        return (compared + rates) * self.folds + len(groups) * (1 + len(self.left_out)) + 1
