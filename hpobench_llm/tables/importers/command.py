"""`hpobench-llm import`: from a source's name, or a spec, to sealed tables."""

import os
from pathlib import Path

from hpobench_llm.errors import HpobenchError
from hpobench_llm.tables.importers.generic.build import drafts_of_spec
from hpobench_llm.tables.importers.imported import seal_all
from hpobench_llm.tables.importers.presets.csv_runs import propose_csv
from hpobench_llm.tables.importers.presets.mlflow_runs import propose_mlflow
from hpobench_llm.tables.importers.presets.optuna_storage import propose_optuna
from hpobench_llm.tables.importers.presets.wandb_export import propose_wandb
from hpobench_llm.tables.importers.sources import GENERIC, drafts_of
from hpobench_llm.tables.table import Table


def import_tables(
    source: str,
    *,
    spec: Path | None = None,
    from_path: Path | None = None,
    out: Path | None = None,
    allow_changed: bool = False,
) -> list[Table]:
    """Import a source into folders of `out`, by default of `$HPOBENCH_LLM_DATA/tables`.

    `from_path` is the folder with the upstream files, which are downloaded without one; for
    `generic` it is a file in place of the spec's, or the folder of the spec's files.

    Raises:
        HpobenchError: an option is missing or does not fit, a file cannot be used, or the tables
            cannot be placed; nothing is written then.
    """
    shelf = out or default_shelf()
    if source == GENERIC:
        if spec is None:
            raise HpobenchError("import generic: --spec SPEC.toml is required")
        if allow_changed:
            raise HpobenchError("--allow-changed is for sources with a pinned sum, not generic")
        return seal_all(drafts_of_spec(spec, from_path), shelf)
    if spec is not None:
        raise HpobenchError(f"import {source}: --spec is for `import generic` alone")
    return seal_all(drafts_of(source)(from_path, allow_changed=allow_changed), shelf)


def propose(
    spec: Path | None,
    *,
    optuna: str | None = None,
    mlflow: Path | None = None,
    wandb: Path | None = None,
    csv: Path | None = None,
    study: str = "",
    history: Path | None = None,
) -> tuple[list[Path], list[str]]:
    """Write a spec for the runs of a tracker or a CSV file, for a person to edit.

    The runs are written beside it. Returns the files, and notes on the decisions.

    Raises:
        HpobenchError: the source cannot be read, or a file exists already.
    """
    if spec is None:
        raise HpobenchError("import generic: --spec NEW.toml says where to write the spec")
    if study and optuna is None:
        raise HpobenchError("--study is of --from-optuna")
    if history and wandb is None:
        raise HpobenchError("--history is of --from-wandb")
    if optuna is not None:
        proposal = propose_optuna(optuna, study)
    elif mlflow is not None:
        proposal = propose_mlflow(mlflow)
    elif wandb is not None:
        proposal = propose_wandb(wandb, history)
    elif csv is not None:
        proposal = propose_csv(csv)
    else:
        raise HpobenchError("propose: one of optuna, mlflow, wandb and csv is expected")
    return proposal.write(spec), list(proposal.notes)


def default_shelf(stage: str = "tables") -> Path:
    """Return the user's folder of artefacts of a stage.

    Raises:
        HpobenchError: the environment names no folder.
    """
    own = os.environ.get("HPOBENCH_LLM_DATA")
    if not own:
        raise HpobenchError(
            "import: where to? Set HPOBENCH_LLM_DATA to the folder of your tables (they are then "
            "found by name), or give --out DIR"
        )
    return Path(own) / stage
