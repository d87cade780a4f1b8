"""Compare model families on held-out configurations, and fit the winners.

Targets that were measured on the same rows form a group: one model of a family learns them
together, which costs little more than one of them, and each target takes the family that
predicts it best.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.surrogates.encoding import FloatArray
from hpobench_llm.surrogates.models import FAMILIES, Model, ModelFamily

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """A model of standardised targets, with their means and deviations.

    `columns` are the targets that it answers, `kept` their positions among all that it learned.
    """

    family: str
    columns: tuple[int, ...]
    model: Model
    kept: NDArray[np.intp]
    offset: FloatArray
    scale: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """Return `(n, columns)` on the fitted scale."""
        answer = self.model.predict(features)
        if len(self.kept) < answer.shape[1]:
            answer = answer[:, self.kept]
        return answer * self.scale + self.offset


@dataclass(frozen=True, slots=True)
class FamilyComparison:
    """Held-out predictions of each column's winner, and every family's held-out error.

    `predicted` is `(n, columns)` on the fitted scale; `errors[column][family]` the mean squared
    error over configurations as a share of the variance, so that 1 is no better than the mean.
    """

    predicted: FloatArray
    winners: tuple[str, ...]
    errors: tuple[dict[str, float], ...]


def folds_of(configurations: int, folds: int, seed: int) -> NDArray[np.intp]:
    """Return `(configurations,)` the fold in which each configuration is held out."""
    order = np.random.default_rng(seed).permutation(configurations)
    return (order % folds).astype(np.intp)


def groups_of(use: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Return the columns of `(n, columns)` that are usable on the very same rows."""
    groups: dict[bytes, list[int]] = {}
    for column in range(use.shape[1]):
        groups.setdefault(use[:, column].tobytes(), []).append(column)
    return [tuple(columns) for columns in groups.values()]


def compare(
    features: FloatArray,
    values: FloatArray,
    use: NDArray[np.bool_],
    configuration: NDArray[np.intp],
    fold: NDArray[np.intp],
    *,
    names: Sequence[str],
    full: NDArray[np.bool_],
    seed: int,
    families: Sequence[ModelFamily] = tuple(FAMILIES.values()),
    judge: Callable[[FloatArray], FloatArray] = lambda predicted: predicted,
    on_fit: Report = lambda _: None,
) -> FamilyComparison:
    """Predict every configuration by models that never saw it, in each family.

    All rows of a configuration, its seeds and fidelities, are held out together. A
    configuration's error is the mean of two: over all of its rows, and over those in full, each
    as a share of the variance among such rows. The winner is the cheapest family to ask (their
    order) whose error exceeds the smallest by no more than one standard error of that difference
    over the configurations.

    Args:
        features: `(n, d)`.
        values: `(n, columns)` on the fitted scale.
        use: `(n, columns)` which values are learned.
        configuration: `(n,)`.
        fold: `(configurations,)`.
        names: `(columns,)` what the columns are.
        full: `(n,)` which rows are at full fidelity.
        seed: of the fits.
        families: which compete, the cheapest to ask first.
        judge: turns `(n, columns)` predictions into answers (it clips them).
        on_fit: told what was fitted.

    Raises:
        ConfigurationError: naming a column that was measured for too few configurations.
    """
    predicted_by_winners = np.full(values.shape, np.nan)
    winners = [""] * values.shape[1]
    errors: list[dict[str, float]] = [{} for _ in winners]
    for columns in groups_of(use):
        rows = use[:, columns[0]]  # the same for all columns of a group
        folds = np.unique(fold[configuration[rows]])
        if len(folds) < 2:
            raise ConfigurationError(
                f"{', '.join(names[c] for c in columns)}: measured of "
                f"{len(np.unique(configuration[rows]))} configurations, all of them in one fold, "
                "so that none can be predicted from others: lower the number of folds, or leave "
                "the quantity out of the table"
            )
        predictions = {
            family.name: held_out(
                family, features, values, rows, columns, configuration, fold, seed, on_fit
            )
            for family in competitors(int(rows.sum()), features.shape[1], families)
        }
        for position, column in enumerate(columns):
            per_configuration = {}
            for name, predicted in predictions.items():
                # `judge` takes all columns at once; those beside this one do not matter.
                everywhere = np.zeros_like(values)
                everywhere[:, column] = predicted[:, position]
                squared_errors = (judge(everywhere)[:, column] - values[:, column]) ** 2
                per_configuration[name] = _errors(
                    squared_errors,
                    values[:, column],
                    [rows, rows & full],
                    configuration,
                    len(fold),
                )
                errors[column][name] = float(per_configuration[name].mean())
            winners[column] = _winner(per_configuration)
            predicted_by_winners[rows, column] = predictions[winners[column]][rows, position]
    return FamilyComparison(predicted_by_winners, tuple(winners), tuple(errors))


def _errors(
    squared_errors: FloatArray,
    values: FloatArray,
    kinds: Sequence[NDArray[np.bool_]],
    configuration: NDArray[np.intp],
    configurations: int,
) -> FloatArray:
    """Return each configuration's squared error over kinds of rows, as a share of the variance.

    A kind whose values are all equal is left out, unless it is the first.
    """
    means: list[FloatArray] = []
    for rows in kinds:
        spread = float(values[rows].var()) if rows.any() else 0.0
        # The first kind always counts, so that there is an error where all values are equal.
        if spread > 0.0 or not means:
            total = np.bincount(configuration[rows], squared_errors[rows], configurations)
            count = np.bincount(configuration[rows], minlength=configurations)
            share = total / np.maximum(count, 1) / (spread or 1.0)
            means.append(np.where(count > 0, share, np.nan))
    # A configuration may have no row of a kind (never run in full): its other kind counts alone.
    has_rows = ~np.isnan(means).all(axis=0)
    errors: FloatArray = np.nanmean(np.array(means)[:, has_rows], axis=0)
    return errors


def competitors(
    rows: int, features: int, families: Sequence[ModelFamily] = tuple(FAMILIES.values())
) -> list[ModelFamily]:
    """Return the families that take part with that many rows and features to learn from."""
    return [family for family in families if family.takes(rows, features)]


def fit_winners(
    features: FloatArray,
    values: FloatArray,
    use: NDArray[np.bool_],
    winners: Sequence[str],
    *,
    seed: int,
    on_fit: Report = lambda _: None,
) -> tuple[FittedModel, ...]:
    """Fit each group once for each family that won a column of it."""
    fitted = []
    for columns in groups_of(use):
        rows = use[:, columns[0]]
        # The order of the columns, not a set's: equal fits give equal files.
        for name in dict.fromkeys(winners[c] for c in columns):
            kept = [position for position, c in enumerate(columns) if winners[c] == name]
            fitted.append(_fit(FAMILIES[name], features[rows], values[rows], columns, kept, seed))
            on_fit(name)
    return tuple(fitted)


def predict(fitted: Sequence[FittedModel], features: FloatArray, columns: int) -> FloatArray:
    """Return `(n, columns)` on the fitted scale; a column that no model answers is NaN."""
    answer = np.full((len(features), columns), np.nan)
    for part in fitted:
        answer[:, part.columns] = part.predict(features)
    return answer


def held_out(
    family: ModelFamily,
    features: FloatArray,
    values: FloatArray,
    rows: NDArray[np.bool_],
    columns: tuple[int, ...],
    configuration: NDArray[np.intp],
    fold: NDArray[np.intp],
    seed: int,
    on_fit: Report = lambda _: None,
) -> FloatArray:
    """Return `(n, len(columns))` predictions, each by a model that lacked the configuration."""
    predicted = np.full((len(features), len(columns)), np.nan)
    positions = list(range(len(columns)))
    for number in range(int(fold.max()) + 1):
        left_out = fold[configuration] == number
        train, test = rows & ~left_out, rows & left_out
        if test.any():
            model = _fit(family, features[train], values[train], columns, positions, seed)
            predicted[test] = model.predict(features[test])
        on_fit(family.name)
    return predicted


def _fit(
    family: ModelFamily,
    features: FloatArray,
    values: FloatArray,
    columns: tuple[int, ...],
    kept: list[int],
    seed: int,
) -> FittedModel:
    group = values[:, columns]
    offset, scale = group.mean(axis=0), group.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # a column of equal values has no deviation
    model = family.fit(features, (group - offset) / scale, seed)
    return FittedModel(
        family.name,
        tuple(columns[position] for position in kept),
        model,
        np.array(kept, dtype=np.intp),
        offset[kept],
        scale[kept],
    )


def _winner(errors: dict[str, FloatArray]) -> str:
    best = min(errors, key=lambda name: float(errors[name].mean()))
    for name, family_errors in errors.items():  # the cheapest to ask comes first
        excess = family_errors - errors[best]
        # One standard error: within it a cheaper family counts as good as the best.
        slack = excess.std(ddof=1) / np.sqrt(len(excess)) if len(excess) > 1 else 0.0
        if excess.mean() <= slack or name == best:
            return name
    return best
