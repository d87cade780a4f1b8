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
from hpobench_llm.surrogates.models import FAMILIES, Family, Model

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A model with the mean and the spread of what it learned; `columns` are those it answers."""

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
class Comparison:
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
    found: dict[bytes, list[int]] = {}
    for column in range(use.shape[1]):
        found.setdefault(use[:, column].tobytes(), []).append(column)
    return [tuple(columns) for columns in found.values()]


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
    families: Sequence[Family] = tuple(FAMILIES.values()),
    judge: Callable[[FloatArray], FloatArray] = lambda predicted: predicted,
    on_fit: Report = lambda _: None,
) -> Comparison:
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
        judge: what is done to `(n, columns)` predictions before they are answered (clipping).
        on_fit: told what was fitted.

    Raises:
        ConfigurationError: a column, which is named, was measured for too few configurations.
    """
    chosen = np.full(values.shape, np.nan)
    winners = [""] * values.shape[1]
    errors: list[dict[str, float]] = [{} for _ in winners]
    for columns in groups_of(use):
        rows = use[:, columns[0]]
        folds = np.unique(fold[configuration[rows]])
        if len(folds) < 2:
            raise ConfigurationError(
                f"{', '.join(names[c] for c in columns)}: measured of "
                f"{len(np.unique(configuration[rows]))} configurations, all of them in one fold, "
                "so that none can be predicted from others: lower the number of folds, or leave "
                "the quantity out of the table"
            )
        held = {
            family.name: held_out(
                family, features, values, rows, columns, configuration, fold, seed, on_fit
            )
            for family in competitors(int(rows.sum()), features.shape[1], families)
        }
        for place, column in enumerate(columns):
            per_configuration = {}
            for name, predicted in held.items():
                everywhere = np.zeros_like(values)
                everywhere[:, column] = predicted[:, place]
                wrong = (judge(everywhere)[:, column] - values[:, column]) ** 2
                per_configuration[name] = _errors(
                    wrong, values[:, column], [rows, rows & full], configuration, len(fold)
                )
                errors[column][name] = float(per_configuration[name].mean())
            winners[column] = _winner(per_configuration)
            chosen[rows, column] = held[winners[column]][rows, place]
    return Comparison(chosen, tuple(winners), tuple(errors))


def _errors(
    wrong: FloatArray,
    values: FloatArray,
    kinds: Sequence[NDArray[np.bool_]],
    configuration: NDArray[np.intp],
    configurations: int,
) -> FloatArray:
    """Return each configuration's squared error over kinds of rows, as a share of the variance.

    A kind whose values do not differ says nothing, unless no kind's do.
    """
    means: list[FloatArray] = []
    for rows in kinds:
        spread = float(values[rows].var()) if rows.any() else 0.0
        if spread > 0.0 or not means:
            total = np.bincount(configuration[rows], wrong[rows], configurations)
            count = np.bincount(configuration[rows], minlength=configurations)
            share = total / np.maximum(count, 1) / (spread or 1.0)
            means.append(np.where(count > 0, share, np.nan))
    known = ~np.isnan(means).all(axis=0)
    errors: FloatArray = np.nanmean(np.array(means)[:, known], axis=0)
    return errors


def competitors(
    rows: int, features: int, families: Sequence[Family] = tuple(FAMILIES.values())
) -> list[Family]:
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
) -> tuple[Fitted, ...]:
    """Fit each group once for each family that won a column of it."""
    fitted = []
    for columns in groups_of(use):
        rows = use[:, columns[0]]
        for name in dict.fromkeys(winners[c] for c in columns):
            kept = [place for place, c in enumerate(columns) if winners[c] == name]
            fitted.append(_fit(FAMILIES[name], features[rows], values[rows], columns, kept, seed))
            on_fit(name)
    return tuple(fitted)


def predict(fitted: Sequence[Fitted], features: FloatArray, columns: int) -> FloatArray:
    """Return `(n, columns)` on the fitted scale; a column that no model answers is NaN."""
    answer = np.full((len(features), columns), np.nan)
    for part in fitted:
        answer[:, part.columns] = part.predict(features)
    return answer


def held_out(
    family: Family,
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
    places = list(range(len(columns)))
    for number in range(int(fold.max()) + 1):
        out = fold[configuration] == number
        train, test = rows & ~out, rows & out
        if test.any():
            model = _fit(family, features[train], values[train], columns, places, seed)
            predicted[test] = model.predict(features[test])
        on_fit(family.name)
    return predicted


def _fit(
    family: Family,
    features: FloatArray,
    values: FloatArray,
    columns: tuple[int, ...],
    kept: list[int],
    seed: int,
) -> Fitted:
    group = values[:, columns]
    offset, scale = group.mean(axis=0), group.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = family.fit(features, (group - offset) / scale, seed)
    return Fitted(
        family.name,
        tuple(columns[place] for place in kept),
        model,
        np.array(kept, dtype=np.intp),
        offset[kept],
        scale[kept],
    )


def _winner(errors: dict[str, FloatArray]) -> str:
    best = min(errors, key=lambda name: float(errors[name].mean()))
    for name, mine in errors.items():  # the cheapest to ask comes first
        excess = mine - errors[best]
        slack = excess.std(ddof=1) / np.sqrt(len(excess)) if len(excess) > 1 else 0.0
        if excess.mean() <= slack or name == best:
            return name
    return best
