"""`build-data`: the data files that shipped campaigns read."""

import argparse
import os
from pathlib import Path

from hpobench_llm.collect.inputs.build import Built, build_inputs
from hpobench_llm.collect.inputs.catalogue import INPUTS
from hpobench_llm.console import say
from hpobench_llm.errors import HpobenchError

SOURCES = "HPOBENCH_LLM_SOURCES"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    build = commands.add_parser(
        "build-data",
        help="make the data files that shipped campaigns read",
        description="Make the data files that shipped campaigns read from what was published, at "
        f"pinned revisions, and check their sums: {', '.join(entry.name for entry in INPUTS)}.",
        epilog="Exit status: 0 all are there, 2 some are not.",
    )
    build.add_argument("name", nargs="*", help="which; all without one")
    build.add_argument("--out", type=Path, metavar="DIR", help=f"where to; default: ${SOURCES}")
    build.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FOLDER",
        help="the upstream files, also in tar archives, instead of a download",
    )
    build.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    out = options.out or os.environ.get(SOURCES)
    if not out:
        raise HpobenchError(f"build-data: give --out, or set {SOURCES}")
    built = build_inputs(out, options.name, given=options.given, on_done=_say)
    return 2 if any(result.problem for result in built) else 0


def _say(result: Built) -> None:
    if result.problem:
        say(f"build-data: error: {result.problem}")
    else:
        entry = result.entry
        print(f"{result.file}: {entry.repository} at {entry.commit[:12]}; {entry.licence}")
