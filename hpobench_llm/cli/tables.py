"""`check`, `card`, `import` and `verify`: tables."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hpobench_llm.cli.trust import add_trust, trust_of
from hpobench_llm.console import say
from hpobench_llm.errors import (
    HpobenchError,
    IntegrityError,
    MissingDependencyError,
    UnknownNameError,
)
from hpobench_llm.progress import Progress
from hpobench_llm.tables.importers.sources import GENERIC, SOURCES, UPSTREAM

if TYPE_CHECKING:
    from hpobench_llm.tables.table import Table

BOLT = "bolt"  # no table: emulators


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    check = commands.add_parser("check", help="verify the sums and rows of tables")
    check.add_argument("name", nargs="*", help="names or folders; all tables without one")
    check.set_defaults(run=_check)

    card = commands.add_parser(
        "card",
        help="write a table's card and croissant.json anew",
        description="Write a table's CARD.md and croissant.json anew. What a collected table says "
        "in words (description, context, licence, publication, notes on data) is taken from its "
        "campaign; rows and their sum stay as they are.",
    )
    card.add_argument("table", help="name or folder of a table")
    card.add_argument(
        "--campaign",
        type=Path,
        metavar="CAMPAIGN.toml",
        help="what the table was collected with; default: the one of the table's name",
    )
    card.set_defaults(run=_card)

    bring = commands.add_parser(
        "import",
        help="make tables of published tuning results, or of a file of your own",
        description=f"Make tables of published tuning results ({', '.join(UPSTREAM)}: their files "
        "are downloaded and their sums checked), or of any CSV, JSON, JSONL or Parquet files that "
        f"a spec describes ({GENERIC}). All tables of an import are written, or none. "
        f"{BOLT} makes surrogates of BoLT's published emulators.",
    )
    bring.add_argument("source", choices=(*SOURCES, BOLT))
    bring.add_argument("--spec", type=Path, metavar="SPEC.toml", help="of `generic`")
    preset = bring.add_mutually_exclusive_group()
    preset.add_argument(
        "--from-optuna",
        metavar="STORAGE",
        help="of `generic`: write --spec, and the runs beside it, for a study of this storage (a "
        "URL or a file); edit it, then import it",
    )
    preset.add_argument(
        "--from-mlflow",
        type=Path,
        metavar="RUNS",
        help="the same for MLflow: search_runs() as CSV, an mlruns folder or its database",
    )
    preset.add_argument(
        "--from-wandb",
        type=Path,
        metavar="CSV",
        help="the same for Weights & Biases: the exported table of runs",
    )
    bring.add_argument("--study", default="", metavar="NAME", help="of --from-optuna")
    bring.add_argument(
        "--history",
        type=Path,
        metavar="FOLDER",
        help="of --from-wandb: run.history() as CSV, a file a run, named by the run",
    )
    bring.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FOLDER",
        help="the upstream files, instead of a download; of `generic` the file or its folder",
    )
    bring.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the tables' folders; default: $HPOBENCH_LLM_DATA/tables, of bolt "
        "/surrogates",
    )
    bring.add_argument(
        "--allow-changed",
        action="store_true",
        help="take upstream files of another sum than the pinned one; the table says so",
    )
    bring.set_defaults(run=_import)

    verify = commands.add_parser(
        "verify",
        help="train some runs of a table again and compare",
        description="Train some runs of a table again and compare: half of them the best by "
        "validation loss, half drawn at random.",
        epilog="Exit status: 0 the table agrees, 1 it does not, 2 an error.",
    )
    verify.add_argument("table", help="name or folder of a table")
    verify.add_argument(
        "--campaign",
        type=Path,
        metavar="CAMPAIGN.toml",
        help="what the table was collected with; default: the one of the table's name",
    )
    verify.add_argument("--rows", type=int, default=8, metavar="N", help="runs (default 8)")
    verify.add_argument("--seed", type=int, default=0, help="of the draw")
    verify.add_argument(
        "--engine", choices=("packed", "peft"), help="default: what each run was trained with"
    )
    verify.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_trust(verify)
    verify.add_argument("--json", action="store_true", help="as JSON")
    verify.set_defaults(run=_verify)


def _check(options: argparse.Namespace) -> int:
    from hpobench_llm.locate import find_artefact, list_artefacts
    from hpobench_llm.tables.table import Table

    tables = list_artefacts("tables")
    folders = [find_artefact("tables", name) for name in options.name] or list(tables.values())
    if not folders:
        raise HpobenchError("no table found; HPOBENCH_LLM_DATA may name a folder of tables")
    status = 0
    for folder in folders:
        try:
            table = Table.load(folder)
        except IntegrityError as error:
            say(f"check: error: {error}")
            status = error.exit_status
        else:
            print(f"{folder}: ok, {len(table.frame)} rows, sha256 {table.metadata.table_sha256}")
    return status


def _card(options: argparse.Namespace) -> int:
    from hpobench_llm.collect.describe import describe
    from hpobench_llm.locate import find_artefact
    from hpobench_llm.tables.documents import write_documents
    from hpobench_llm.tables.schema import CARD_FILE, IMPORTED
    from hpobench_llm.tables.table import Table

    table = Table.load(find_artefact("tables", options.table))
    if IMPORTED in table.metadata.provenance and options.campaign is None:
        write_documents(table)
    else:
        table = describe(table, _campaign_of(table, options))
    print(table.folder / CARD_FILE)
    return 0


def _campaign_of(table: "Table", options: argparse.Namespace) -> Path:
    """Return the campaign that is named, or that of the table's name."""
    from hpobench_llm.locate import find_campaign

    try:
        named: Path | None = options.campaign
        return named or find_campaign(table.metadata.name)
    except UnknownNameError as error:
        raise HpobenchError(
            f"{error}; --campaign names the file that {options.table} was collected with"
        ) from None


def _import(options: argparse.Namespace) -> int:
    from hpobench_llm.tables.importers.command import import_tables
    from hpobench_llm.tables.schema import IMPORTED

    if options.from_optuna or options.from_mlflow or options.from_wandb:
        return _propose(options)
    if options.study or options.history:
        raise HpobenchError("--study is of --from-optuna, --history of --from-wandb")
    if options.source == BOLT:
        return _import_bolt(options)
    tables = import_tables(
        options.source,
        spec=options.spec,
        from_path=options.given,
        out=options.out,
        allow_changed=options.allow_changed,
    )
    for table in tables:
        print(f"{table.folder}: {len(table.frame)} rows, sha256 {table.metadata.table_sha256}")
        if options.source == GENERIC:  # decisions that the user may want otherwise
            for note in table.metadata.provenance[IMPORTED]["notes"]:
                say(f"  {note}")
    return 0


def _import_bolt(options: argparse.Namespace) -> int:
    from hpobench_llm.surrogates.emulators.bolt import import_bolt
    from hpobench_llm.tables.importers.command import default_shelf

    if options.given is None or options.spec or options.allow_changed:
        raise HpobenchError(
            "import bolt: takes --from FOLDER, with BoLT's published folders in it, and --out DIR"
        )
    for folder in import_bolt(options.given, options.out or default_shelf("surrogates")):
        print(folder)
    return 0


def _propose(options: argparse.Namespace) -> int:
    from hpobench_llm.tables.importers.command import propose

    if options.source != GENERIC or options.given or options.out or options.allow_changed:
        raise HpobenchError("--from-optuna, --from-mlflow and --from-wandb go with generic --spec")
    files, notes = propose(
        options.spec,
        optuna=options.from_optuna,
        mlflow=options.from_mlflow,
        wandb=options.from_wandb,
        study=options.study,
        history=options.history,
    )
    print("\n".join(map(str, files)))
    for note in notes:
        say(f"  {note}")
    say(f"Edit it, then: hpobench-llm import {GENERIC} --spec {options.spec}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from hpobench_llm.locate import find_artefact
    from hpobench_llm.tables.table import Table

    try:
        from hpobench_llm.collect.verify import choose_runs, verify
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "collect", "verify") from None
    for name, least in (("rows", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise HpobenchError(f"--{name} must be {least} or more, got {getattr(options, name)}")
    table = Table.load(find_artefact("tables", options.table))
    runs = choose_runs(table, options.rows, options.seed)
    campaign = _campaign_of(table, options)
    if len(runs) < options.rows:
        say(f"verify: the table has {len(runs)} configurations: a run of each is trained")
    with Progress(len(runs), f"verify {table.metadata.name}") as progress:
        verification = verify(
            table,
            campaign,
            runs,
            engine_name=options.engine,
            device=options.device,
            trust=trust_of(options),
            on_run=progress.advance_to,
        )
    print(
        json.dumps(verification.to_json(), indent=2)
        if options.json
        else "\n".join(verification.lines())
    )
    return 1 if verification.problems else 0
