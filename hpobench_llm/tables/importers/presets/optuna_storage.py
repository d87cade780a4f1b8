"""An Optuna study as a proposed spec; needs Optuna."""

from pathlib import Path
from typing import Any

from hpobench_llm.errors import DataError, MissingDependencyError, UnknownNameError
from hpobench_llm.tables.importers.generic.cells import text
from hpobench_llm.tables.importers.presets.proposal import (
    Proposal,
    Run,
    Section,
    Stated,
    free_names,
    hyperparameter,
    metric,
    refuse_without,
)

_SQLITE = "sqlite:///"
_PREFIX, _VALUES = "params.", "values."
_STATES = {
    "COMPLETE": "ok",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "drop",
    "WAITING": "drop",
}


def propose_optuna(storage: str, study_name: str = "") -> Proposal:
    """Return a proposal for a study of a storage: a URL, a database file or a journal file.

    Raises:
        MissingDependencyError: Optuna is not installed.
        DataError, UnknownNameError: the storage cannot be read, or has no such study.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingDependencyError("optuna", "optuna", "import --from-optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        opened = _open(optuna, storage)
        names = optuna.get_all_study_names(storage=opened)
        if not study_name and len(names) > 1:
            raise DataError(f"{storage}: holds several studies: --study may be {', '.join(names)}")
        if study_name and study_name not in names:
            raise UnknownNameError("study", study_name, names, storage)
        if not names:
            raise DataError(f"{storage}: holds no study")
        study = optuna.load_study(study_name=study_name or names[0], storage=opened)
        return _proposal(study, storage)
    except (DataError, UnknownNameError):
        raise
    except Exception as error:  # any database's driver may raise here, with errors of its own
        line = " ".join(str(error).split())
        raise DataError(f"{storage}: cannot be read as an Optuna storage: {line}") from None


def _open(optuna: Any, storage: str) -> Any:
    if "://" in storage:
        local, _, _ = storage.removeprefix(_SQLITE).partition("?")
        if storage.startswith(_SQLITE) and not Path(local).is_file():  # SQLite would make it
            raise DataError(f"{storage}: no such file as {local}")
        return storage
    path = Path(storage)
    if not path.is_file():
        raise DataError(f"{storage}: no such file; a URL such as sqlite:///study.db is taken too")
    with path.open("rb") as stream:
        database = stream.read(15) == b"SQLite format 3"
    if database:
        return f"sqlite:///{path}"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)


def _proposal(study: Any, storage: str) -> Proposal:
    trials = study.get_trials(deepcopy=False)
    directions = [direction.name.lower() for direction in study.directions]
    labels = study.metric_names or (
        ["value"] if len(directions) == 1 else [f"value_{i}" for i in range(len(directions))]
    )
    curves = len(directions) == 1 and any(len(t.intermediate_values) > 1 for t in trials)
    complete = _complete(trials)
    runs = [_run(trial, labels, curves) for trial in complete]
    axes = _axes(trials)
    values = [f"{_VALUES}{label}" for label in labels]
    named = free_names(values, _VALUES, ["intermediate", "step"])
    names = free_names(list(axes), _PREFIX, [*named.values(), "intermediate", "step"])
    refuse_without(runs, labels, list(axes), storage)
    sections = [
        hyperparameter(runs, c, [o for o in axes if o != c], {"name": names[c], **axes[c]})
        for c in axes
    ]
    if curves:
        sections.append(Section(key=("fidelities", "step"), values={"unit": "steps"}))
        sections.append(metric("intermediate", "intermediate", directions[0]))
    for value, direction in zip(values, directions, strict=True):
        sections.append(metric(value, named[value], direction, per_run=curves))
    sections.append(Section(key=("status",), values={"column": "state", "values": _STATES}))
    sections.append(Section(key=("costs", "seconds"), values={"counts": "whole_run"}))
    early = len(trials) - len(complete)
    settings = {"run": "trial", "duplicates": "repeats"} | ({"layout": "pairs"} if curves else {})
    return Proposal(
        description=f"Optuna study {study.study_name!r}: {len(runs)} trials.",
        source=f"Optuna storage {Path(storage).name}, study {study.study_name}",
        runs=runs,
        settings=settings,
        sections=sections,
        notes=[
            "Trials of one configuration are taken for repeats; user attributes are left out.",
            *(
                [f"{early} trials are left out: they ended before all was suggested."]
                if early
                else []
            ),
            *(["Pruned trials are ok as far as they went."] if curves else []),
        ],
    )


def _complete(trials: list[Any]) -> list[Any]:
    """Return the trials with a whole configuration: not those that failed early or wait."""
    ended = {frozenset(t.params) for t in trials if t.state.name in ("COMPLETE", "PRUNED")}
    return [trial for trial in trials if frozenset(trial.params) in ended]


def _run(trial: Any, labels: list[str], curves: bool) -> Run:
    run: Run = {"trial": trial.number, "state": trial.state.name}
    for name, value in trial.params.items():
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        run[f"{_PREFIX}{name}"] = value if plain else text(value)
    values = trial.values or [None] * len(labels)
    run |= {f"{_VALUES}{label}": value for label, value in zip(labels, values, strict=True)}
    if curves:
        run["intermediate"] = [[s, v] for s, v in sorted(trial.intermediate_values.items())]
    ended = trial.datetime_complete and trial.datetime_start
    run["seconds"] = trial.duration.total_seconds() if ended else None
    return run


def _axes(trials: list[Any]) -> dict[str, Stated]:
    """Return what the distributions of all trials state of each axis."""
    by_column: dict[str, list[Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            by_column.setdefault(f"{_PREFIX}{name}", []).append(distribution)
    return {column: _axis(distributions) for column, distributions in by_column.items()}


def _axis(distributions: list[Any]) -> Stated:
    first = distributions[0]
    if hasattr(first, "choices"):
        choices = list(dict.fromkeys(c for d in distributions for c in d.choices))
        if all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
            return {"kind": "ordinal", "values": sorted(choices)}
        return {"kind": "categorical", "values": list(dict.fromkeys(map(text, choices)))}
    low, high = min(d.low for d in distributions), max(d.high for d in distributions)
    if low == high:
        return {}
    kind = "integer" if type(first).__name__.startswith("Int") else "float"
    stated: Stated = {"kind": kind, "low": low, "high": high}
    return {**stated, "log": True} if first.log else stated
