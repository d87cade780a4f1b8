"""`hpobench-llm`: from tables over studies to what is published; data and bases."""

import argparse
from collections.abc import Sequence

from hpobench_llm import __version__
from hpobench_llm.cli import (
    advice,
    bases,
    inputs,
    listing,
    publishing,
    show,
    starters,
    studies,
    surrogates,
    tables,
)
from hpobench_llm.cli.parser import Parser
from hpobench_llm.console import run_command

PROGRAM = "hpobench-llm"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpobench-llm`."""
    program = Parser(
        prog=PROGRAM, description="Compare hyperparameter optimizers on real LoRA fine-tunes."
    )
    program.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # In the order of the help. Each part imports what its commands need when they run, so that
    # `--help` is fast.
    for part in (
        listing,
        show,
        tables,
        surrogates,
        studies,
        advice,
        publishing,
        starters,
        inputs,
        bases,
    ):
        part.add(commands)
    return program


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `hpobench-llm`."""
    options = parser().parse_args(arguments)
    return run_command(PROGRAM, lambda: int(options.run(options)))
