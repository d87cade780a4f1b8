"""`hpobench-llm`: list, check, fit, replay and compare; make a base model."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpobench_llm.console import run_command
from hpobench_llm.errors import HpobenchError, MissingDependencyError
from hpobench_llm.progress import Progress

PROGRAM = "hpobench-llm"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpobench-llm`."""
    made = argparse.ArgumentParser(
        prog=PROGRAM, description="Compare hyperparameter optimizers on real LoRA fine-tunes."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    ls = commands.add_parser("ls", help="list benchmarks, optimizers and their wrappers")
    ls.add_argument("what", choices=("benchmarks", "optimizers", "wrappers"), nargs="?")
    ls.add_argument("--json", action="store_true", help="as JSON")
    ls.set_defaults(run=_ls)

    check = commands.add_parser("check", help="verify the sums and rows of tables")
    check.add_argument("name", nargs="*", help="names or folders; all tables without one")
    check.set_defaults(run=_check)

    _add_import(commands)

    fit = commands.add_parser("fit", help="fit a surrogate on a table")
    fit.add_argument("table", help="name or folder of a table")
    fit.add_argument("--out", type=Path, required=True, metavar="DIR")
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--folds", type=int, default=5, help="of the cross-validation")
    fit.add_argument(
        "--no-extrapolation", action="store_true", help="leave out no axis levels: half the time"
    )
    fit.add_argument(
        "--no-ranking-check",
        action="store_true",
        help="compare no optimizers; `load` then refuses the surrogate unless told otherwise",
    )
    fit.add_argument(
        "--check-only",
        action="store_true",
        help="fit nothing: make the ranking check of the surrogate in DIR again",
    )
    fit.set_defaults(run=_fit)

    replay = commands.add_parser(
        "replay",
        help="run a study; started again, it continues",
        description="Run a study. Started again, it runs what is missing and what has failed.",
        epilog="Exit status: 0 all replays are done, 1 some have failed, 2 an error.",
    )
    replay.add_argument("study", type=Path, metavar="STUDY.toml")
    replay.add_argument("--out", type=Path, required=True, metavar="DIR")
    replay.add_argument(
        "--processes", type=int, metavar="N", help="replays at a time; default: one a core"
    )
    replay.add_argument("--executor", choices=("local", "ray"), default="local")
    replay.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of a Ray cluster; default: this machine's, or one that is started",
    )
    replay.set_defaults(run=_replay)

    compare = commands.add_parser("compare", help="rank a study's optimizers, write the report")
    compare.add_argument("folder", type=Path, metavar="DIR")
    compare.add_argument("--json", action="store_true", help="the comparison as JSON on stdout")
    compare.set_defaults(run=_compare)

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
        help="what the table was collected with; default: collect/<table's name>.toml",
    )
    verify.add_argument("--rows", type=int, default=8, metavar="N", help="runs (default 8)")
    verify.add_argument("--seed", type=int, default=0, help="of the draw")
    verify.add_argument(
        "--engine", choices=("packed", "peft"), help="default: what each run was trained with"
    )
    verify.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    verify.add_argument(
        "--run-generated-code",
        action="store_true",
        help="allow scores that run code which the model wrote",
    )
    verify.add_argument("--json", action="store_true", help="as JSON")
    verify.set_defaults(run=_verify)

    base = commands.add_parser(
        "make-base", help="pretrain a small base; started again, it continues"
    )
    base.add_argument("spec", type=Path, metavar="BASE.toml")
    base.add_argument("--out", type=Path, metavar="DIR", help="default: beside the spec")
    base.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    base.set_defaults(run=_make_base)
    return made


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bring = commands.add_parser(
        "import",
        help="make tables of published tuning results, or of a file of your own",
        description="Make tables of published tuning results (tribes, tinker-sft, steplaw: their "
        "files are downloaded and their sums checked), or of any CSV, JSONL or Parquet file that "
        "a spec describes (generic). All tables of an import are written, or none.",
    )
    bring.add_argument("source", choices=("tribes", "tinker-sft", "steplaw", "generic"))
    bring.add_argument("--spec", type=Path, metavar="SPEC.toml", help="of `generic`")
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
        help="folder for the tables' folders; default: $HPOBENCH_LLM_DATA/tables",
    )
    bring.add_argument(
        "--allow-changed",
        action="store_true",
        help="take upstream files of another sum than the pinned one; the table says so",
    )
    bring.set_defaults(run=_import)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `hpobench-llm`."""
    options = parser().parse_args(arguments)
    return run_command(PROGRAM, lambda: int(options.run(options)))


def _ls(options: argparse.Namespace) -> int:
    listed: dict[str, Any] = {}
    if options.what in (None, "benchmarks"):
        from hpobench_llm.benchmarks.catalogue import TOYS
        from hpobench_llm.locate import list_artefacts
        from hpobench_llm.tables.table import Table

        listed["benchmarks"] = {}
        for name, folder in list_artefacts("tables").items():
            metadata = Table.load(folder).metadata
            axes = ", ".join(metadata.space.names)
            listed["benchmarks"][name] = f"table {metadata.version}: {axes}; {folder}"
        listed["benchmarks"] |= dict.fromkeys(TOYS, "closed form, for tests")
    if options.what in (None, "optimizers"):
        from hpobench_llm.optimizers.listing import columns, lines

        listed["optimizers"] = columns()
    if options.what in (None, "wrappers"):
        from hpobench_llm.optimizers.registry import list_wrappers

        listed["wrappers"] = {n: wrapper.columns() for n, wrapper in list_wrappers().items()}
    if options.json:
        print(json.dumps(listed, indent=2))
        return 0
    if "benchmarks" in listed:
        print("benchmarks")
        widest = max(map(len, listed["benchmarks"]))
        for name, about in listed["benchmarks"].items():
            print(f"  {name.ljust(widest)}  {about}")
    if "optimizers" in listed:
        print("optimizers")
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(lines(listed["optimizers"], width)))
    if "wrappers" in listed:
        print("wrappers, as in NAME+WRAPPER or NAME+WRAPPER:VALUE")
        widest = max(map(len, listed["wrappers"]))
        for name, about in listed["wrappers"].items():
            default = about["default"]
            given = "must be given" if default is None else f"{default} by default"
            print(f"  {name.ljust(widest)}  {about['summary']}; {about['value']}: {given}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from hpobench_llm.locate import find_artefact, list_artefacts
    from hpobench_llm.tables.table import Table

    known = list_artefacts("tables")
    folders = [find_artefact("tables", name) for name in options.name] or list(known.values())
    if not folders:
        raise HpobenchError("no table found; HPOBENCH_LLM_DATA may name a folder of tables")
    for folder in folders:
        table = Table.load(folder)
        print(f"{folder}: ok, {len(table.frame)} rows, sha256 {table.metadata.table_sha256}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from hpobench_llm.tables.importers.command import GENERIC, import_tables
    from hpobench_llm.tables.schema import IMPORTED

    tables = import_tables(
        options.source,
        spec=options.spec,
        given=options.given,
        out=options.out,
        allow_changed=options.allow_changed,
    )
    for table in tables:
        print(f"{table.folder}: {len(table.frame)} rows, sha256 {table.metadata.table_sha256}")
        if options.source == GENERIC:  # what was decided for the user, who may decide otherwise
            for note in table.metadata.provenance[IMPORTED]["notes"]:
                print(f"  {note}", file=sys.stderr)
    return 0


def _fit(options: argparse.Namespace) -> int:
    from hpobench_llm.locate import find_artefact
    from hpobench_llm.surrogates.artefact import Surrogate
    from hpobench_llm.surrogates.card import summary
    from hpobench_llm.surrogates.fit import fit
    from hpobench_llm.tables.table import Table

    if options.folds < 2:
        raise HpobenchError(f"--folds must be at least 2, got {options.folds}")
    if options.check_only and options.no_ranking_check:
        raise HpobenchError("--check-only and --no-ranking-check leave nothing to do")
    table = Table.load(find_artefact("tables", options.table))
    if options.check_only:
        surrogate = Surrogate.load(options.out)
    else:
        with Progress(1, f"fit {table.metadata.name}") as progress:
            surrogate = fit(
                table,
                seed=options.seed,
                folds=options.folds,
                extrapolate=not options.no_extrapolation,
                on_fit=lambda done, total, text: progress.advance_to(done, text, total),
            )
        surrogate.write(options.out)  # what was fitted is not lost if the check is stopped
    if not options.no_ranking_check:
        surrogate = _checked(table, surrogate)
        surrogate.write(options.out)
    print("\n".join(summary(surrogate.quality)))
    print(f"written to {options.out}; all figures: {options.out / 'quality.json'}, CARD.md")
    return 0


def _checked(table: Any, surrogate: Any) -> Any:
    """Return the surrogate with the outcome of its ranking check."""
    from hpobench_llm.studies.ranking_check import ranking_check

    name = table.metadata.name
    if surrogate.table_sha256 != table.metadata.table_sha256:
        raise HpobenchError(
            f"the surrogate was fitted on {surrogate.table} with sha256 {surrogate.table_sha256}, "
            f"and {name} has {table.metadata.table_sha256}: fit it again"
        )
    with Progress(1, f"ranking check {name}") as progress:
        outcome = ranking_check(
            table,
            surrogate,
            on_replay=lambda done, total, text: progress.advance_to(done, text, total),
        )
    return surrogate.with_ranking_check(outcome)


def _replay(options: argparse.Namespace) -> int:
    from hpobench_llm.studies.checks import read_study
    from hpobench_llm.studies.execution import run_study

    if options.processes is not None and options.processes < 1:
        raise HpobenchError(f"--processes must be at least 1, got {options.processes}")
    if options.address is not None and options.executor != "ray":
        raise HpobenchError(f"--address {options.address} needs --executor ray")
    spec = read_study(options.study)
    total = len(spec.cells())
    with Progress(total, f"replay {spec.name}") as progress:
        outcome = run_study(
            spec,
            options.out,
            processes=options.processes,
            ray_address=(options.address or "auto") if options.executor == "ray" else None,
            on_done=lambda done, _, text: progress.advance_to(done, text),
        )
    print("\n".join(outcome.lines(total, options.out)))
    return 1 if outcome.failed else 0


def _compare(options: argparse.Namespace) -> int:
    from hpobench_llm.report.compare import compare

    result = compare(options.folder)
    print(json.dumps(result.comparison.to_json(), indent=2) if options.json else result.summary())
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
    chosen = choose_runs(table, options.rows, options.seed)
    campaign = options.campaign or Path("collect", f"{table.metadata.name}.toml")
    if options.campaign is None and not campaign.is_file():
        raise HpobenchError(
            f"{campaign} does not exist; --campaign names the file that {options.table} was "
            "collected with"
        )
    if len(chosen) < options.rows:
        print(
            f"{PROGRAM}: the table has {len(chosen)} configurations: a run of each is trained",
            file=sys.stderr,
        )
    with Progress(len(chosen), f"verify {table.metadata.name}") as progress:
        found = verify(
            table,
            campaign,
            chosen,
            engine_name=options.engine,
            device=options.device,
            run_generated_code=options.run_generated_code,
            on_run=progress.advance_to,
        )
    print(json.dumps(found.to_json(), indent=2) if options.json else "\n".join(found.lines()))
    return 1 if found.problems else 0


def _make_base(options: argparse.Namespace) -> int:
    try:
        from hpobench_llm.collect.bases.base_model import make_base
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "collect", "make-base") from None
    out = options.out or options.spec.with_suffix("")
    with Progress(1, f"pretrain {out.name}") as progress:
        make_base(
            options.spec,
            out,
            device=options.device,
            progress=lambda done, total, text: progress.advance_to(done, text, total),
        )
    print(f"{out}: base model written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
