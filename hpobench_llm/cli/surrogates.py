"""`fit`: a surrogate, and its ranking check."""

import argparse
from pathlib import Path
from typing import Any

from hpobench_llm.console import say
from hpobench_llm.errors import HpobenchError
from hpobench_llm.progress import Progress


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
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


def _fit(options: argparse.Namespace) -> int:
    from hpobench_llm.benchmarks.proof import prove
    from hpobench_llm.locate import find_artefact
    from hpobench_llm.surrogates.artefact import Surrogate
    from hpobench_llm.surrogates.fit import fit
    from hpobench_llm.surrogates.words import summary
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
        surrogate.write(options.out)  # before the check, which takes long and may be stopped
        prove(options.out, table)
        for line in surrogate.quality["left_out"]:
            say(f"left out: {line}")
    if not options.no_ranking_check:
        surrogate = _checked(table, surrogate)
        surrogate.write(options.out)
        prove(options.out, table)
    print("\n".join(summary(surrogate.quality)))
    print(f"written to {options.out}; all figures: {options.out / 'quality.json'}, CARD.md")
    return 0


def _checked(table: Any, surrogate: Any) -> Any:
    """Return the surrogate with the outcome of its ranking check."""
    from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
    from hpobench_llm.comparison.ranking_check import ranking_check

    name = table.metadata.name
    if surrogate.table_sha256 != table.metadata.table_sha256:
        raise HpobenchError(
            f"the surrogate was fitted on {surrogate.table} with sha256 {surrogate.table_sha256}, "
            f"and {name} has {table.metadata.table_sha256}: fit it again"
        )
    with Progress(1, f"ranking check {name}") as progress:
        outcome = ranking_check(
            table,
            SurrogateBenchmark(surrogate),
            on_replay=lambda done, total, text: progress.advance_to(done, text, total),
        )
    return surrogate.with_ranking_check(outcome)
