"""Fit a surrogate on a table and measure it on held-out configurations and regions."""

from collections.abc import Callable
from importlib import import_module

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.provenance import git_revision, versions
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.draws import check_draws
from hpobench_llm.surrogates.held_out import FitSteps
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.rows import rows_of
from hpobench_llm.tables.table import Table

METHOD = {
    "held_out_configurations": "cross-validation in {folds} folds; all seeds and fidelities of a "
    "configuration are held out together",
    "family": "the cheapest family to ask whose held-out squared error (fitted scale, mean over "
    "configurations, half over all fidelities and half in full) exceeds the smallest by at most "
    "one standard error of the difference",
    "coverage": "intervals from residuals of the other folds, so no run helps to set its own",
    "interval": "a run of a configuration that was not seen: the model's error and the seeds' "
    "noise together",
    "ceiling": "what the exact expectation would reach, from the seeds' variance among cells of "
    "like predictions; at least what was reached",
    "draws": "seeds' standard deviation by prediction and fidelity, from repeated runs; where no "
    "seed repeats, from held-out residuals",
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
    # All libraries, since every family that takes the rows competes.
    for library in ("threadpoolctl", *(family.module for family in FAMILIES.values())):
        _check_installed(library)
    from threadpoolctl import threadpool_limits

    metadata = table.metadata
    rows = rows_of(table, least=folds)
    with threadpool_limits(1):  # small products: more threads would only wait for each other
        work = FitSteps(rows, seed, folds, extrapolate, on_fit)
        targets = work.targets()
        cost = work.cost()
    surrogate = Surrogate(
        name=metadata.name,
        table=metadata.name,
        table_version=metadata.version,
        table_sha256=metadata.table_sha256,
        space=rows.space,
        fidelities=metadata.fidelities,
        metrics=rows.metrics,
        targets=rows.targets,
        models=work.models,
        shapes=work.resources.shapes,
        rates=work.rates,
        spread=work.spread,
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
            "left_out": work.left_out(),
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
    # Draws need the whole surrogate, so their check comes after the fit.
    return surrogate.with_draws(check_draws(surrogate, rows))


def _check_installed(library: str) -> None:
    """Refuse now what would otherwise stop the fit half way."""
    try:
        import_module(library)
    except (ImportError, OSError):  # OSError: LightGBM's OpenMP runtime is not there
        raise MissingDependencyError(library, "surrogate", "fitting a surrogate") from None
