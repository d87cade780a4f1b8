"""Fit a surrogate on a table and measure it on held-out configurations."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.provenance import git_revision, versions
from hpobench_llm.space import Configuration
from hpobench_llm.surrogates.artefact import COST, Surrogate
from hpobench_llm.surrogates.encoding import encode_fidelities, relaxed
from hpobench_llm.surrogates.models import ROUNDS, SETTINGS, Regressor, fit_regressor
from hpobench_llm.surrogates.quality import quality
from hpobench_llm.tables.table import Table


def fit(
    table: Table,
    *,
    seed: int = 0,
    folds: int = 5,
    on_target: Callable[[int, int, str], None] = lambda *_: None,
) -> Surrogate:
    """Fit one regressor for each metric and one for the cost.

    Quality is measured by cross-validation in which all rows of a configuration, its seeds and
    fidelities, are held out together. Rows at a fidelity of zero, the untrained base, are fitted
    but not judged: they are the same for every configuration. The cost is fitted as a logarithm
    that never falls along a fidelity, so it is positive and monotone by construction. A failed run
    without a value counts as the metric's worst; a score that was not measured is left out.

    Raises:
        ConfigurationError: fewer configurations than folds.
        MissingDependencyError: LightGBM is not installed.
    """
    metadata, frame = table.metadata, table.frame
    configuration = pd.factorize(frame["config_id"])[0].astype(np.intp)
    if configuration.max() + 1 < folds:
        raise ConfigurationError(
            f"{metadata.name}: {configuration.max() + 1} configurations are too few for "
            f"{folds} folds"
        )
    space = relaxed(metadata.space)
    axes = [fidelity.name for fidelity in metadata.fidelities]
    levels = frame[axes].to_numpy(dtype=np.float64)
    features = np.hstack(
        [
            space.to_unit(_configurations(frame, space.names)),
            encode_fidelities(metadata.fidelities, levels),
        ]
    )
    full = np.all(levels == [fidelity.full for fidelity in metadata.fidelities], axis=1)
    begun = np.all(levels > 0, axis=1)
    failed = frame["status"].to_numpy() != "ok"
    targets: dict[str, NDArray[np.float64]] = {}
    for name, metric in metadata.metrics.items():
        measured = frame[name].to_numpy(dtype=np.float64)
        lost = failed & ~np.isfinite(measured) & full
        targets[name] = np.where(lost, metric.worst, measured)
    targets[COST] = frame[["train_seconds", "eval_seconds"]].to_numpy(dtype=np.float64).sum(axis=1)
    regressors: dict[str, Regressor] = {}
    report: dict[str, object] = {}
    for number, (name, target) in enumerate(targets.items()):
        use = np.isfinite(target) & ((target > 0) if name == COST else True)
        rising = tuple(range(len(space), features.shape[1])) if name == COST else ()
        x, y, groups = features[use], target[use], configuration[use]
        if len(np.unique(groups)) < folds:
            raise ConfigurationError(
                f"{metadata.name}: {name} was measured for {len(np.unique(groups))} "
                f"configurations, too few for {folds} folds"
            )
        predicted = _held_out(x, y, groups, folds, seed, log=name == COST, rising=rising)
        regressors[name] = fit_regressor(x, y, seed=seed, log=name == COST, rising=rising)
        seen = begun[use]
        report[name] = quality(y[seen], predicted[seen], groups[seen], full[use][seen]).to_json()
        on_target(number + 1, len(targets), name)
    return Surrogate(
        name=metadata.name,
        table=metadata.name,
        table_sha256=metadata.table_sha256,
        space=space,
        fidelities=metadata.fidelities,
        metrics=metadata.metrics,
        regressors=regressors,
        quality={
            "method": f"{folds}-fold cross-validation, grouped by configuration",
            "table": metadata.name,
            "table_sha256": metadata.table_sha256,
            "targets": report,
        },
        provenance={
            "settings": SETTINGS | {"rounds": ROUNDS, "seed": seed},
            "versions": versions("hpobench-llm", "lightgbm", "numpy", "scikit-learn"),
            "code": git_revision(),
        },
    )


def _configurations(frame: pd.DataFrame, names: tuple[str, ...]) -> list[Configuration]:
    rows = frame[list(names)].itertuples(index=False, name=None)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _held_out(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    groups: NDArray[np.intp],
    folds: int,
    seed: int,
    *,
    log: bool,
    rising: tuple[int, ...],
) -> NDArray[np.float64]:
    predicted = np.empty_like(y)
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(x, y, groups):
        model = fit_regressor(x[train], y[train], seed=seed, log=log, rising=rising)
        predicted[test] = model.predict(x[test])
    return predicted
