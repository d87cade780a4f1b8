"""`collect-grid`: train every run of a campaign and seal the table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpobench_llm import __version__
from hpobench_llm.cli.parser import Parser
from hpobench_llm.cli.trust import add_trust, trust_of
from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.collection import Collected, Options, collect_grid, dry_run, seal_now
from hpobench_llm.collect.executors.signals import Interrupted
from hpobench_llm.collect.machine import runs_on_gpu
from hpobench_llm.console import run_command, say
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.tables.table import Table

PROGRAM = "collect-grid"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `collect-grid`."""
    options = parser().parse_args(arguments)
    options.out = options.out or Path("out", options.campaign.stem)
    return run_command(PROGRAM, lambda: _until_stopped(options))


def parser() -> argparse.ArgumentParser:
    """Return the parser of `collect-grid`."""
    program = Parser(
        prog=PROGRAM,
        description="Train every (configuration, seed) of a campaign and seal the table. "
        "Started again, it continues; nothing is trained twice. Several may share one folder.",
        epilog="Exit status: 0 done, or the rest is for others; 2 an error; 75 ended by SIGTERM; "
        "130 by Ctrl-C.",
    )
    add = program.add_argument
    add("--version", action="version", version=f"{PROGRAM} {__version__}")
    add("campaign", type=Path, metavar="CAMPAIGN.toml")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="gets the table and the ledger; default: out/ and the campaign file's name",
    )
    add("--ledger", metavar="PLACE", help="another folder, or URL (s3://...), for the ledger")
    add("--dry-run", action="store_true", help="say what would run, train nothing")
    add("--engine", default="auto", metavar="NAME", help="packed or peft (lora); auto: packed")
    add("--pack-size", type=int, default=0, metavar="N", help="runs in a pack; 0: automatic")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes on this machine (default 1; CPU: one a core); with Ray the most workers "
        "(default: as many as there is room for)",
    )
    add("--shard", default="0/1", metavar="K/N", help="take every N-th task from K on (from 0)")
    add("--executor", choices=("local", "ray"), default="local")
    add(
        "--ray-address",
        default="auto",
        metavar="HOST:PORT",
        help="default: the cluster that this machine belongs to, or a new one on it",
    )
    add("--gpus-per-worker", type=float, default=1.0, metavar="SHARE", help="with Ray; 0.25, 1")
    add_trust(program)
    add(
        "--seal-now",
        action="store_true",
        help="make a table of the runs that are there, however many are missing; train nothing",
    )
    assumed = program.add_argument_group("assumed by --dry-run's estimate (0: by the device)")
    assumed.add_argument("--assume-tflops", type=float, default=0.0, help="peak of one device")
    assumed.add_argument("--assume-utilisation", type=float, default=0.0, help="share of the peak")
    assumed.add_argument("--assume-devices", type=int, default=1, help="working side by side")
    assumed.add_argument(
        "--assume-row-fill", type=float, default=0.7, help="mean / max row tokens"
    )
    return program


def _until_stopped(options: argparse.Namespace) -> int:
    try:
        return _collect(options)
    except Interrupted as stopped:
        where = options.ledger or options.out
        _note(f"stopped by {stopped}; what was finished is kept in {where}, start again to go on")
        return stopped.exit_status


def _collect(options: argparse.Namespace) -> int:
    file, out, how = options.campaign, options.out, _options(options)
    if options.dry_run:
        assumptions = _assumptions(options)
        print("\n".join(dry_run(file, out, how, assumptions=assumptions, on_note=_note)))
    elif options.seal_now:
        _sealed(seal_now(file, out, how, on_note=_note))
    else:
        _collected(collect_grid(file, out, how, on_note=_note), out)
    return 0


def _options(options: argparse.Namespace) -> Options:
    try:
        return Options(
            ledger=options.ledger,
            engine=options.engine,
            pack_size=options.pack_size,
            device=options.device,
            workers=options.workers,
            shard=_shard(options.shard),
            executor=options.executor,
            ray_address=options.ray_address,
            gpus_per_worker=options.gpus_per_worker,
            trust=trust_of(options),
        )
    except ConfigurationError as error:
        # Python names an option as a keyword; here it is a flag.
        name, rest = str(error).removeprefix("`").split("`", 1)
        raise ConfigurationError(f"--{name.replace('_', '-')}{rest}") from None


def _shard(text: str) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    if slash and first.isdecimal() and second.isdecimal() and int(first) < int(second):
        return int(first), int(second)
    raise ConfigurationError(f"`shard` {text}: expected K/N with 0 <= K < N")


def _assumptions(options: argparse.Namespace) -> Assumptions:
    try:
        return Assumptions(
            device="cuda" if runs_on_gpu(options.device) else "cpu",
            devices=options.assume_devices,
            tflops=options.assume_tflops,
            utilisation=options.assume_utilisation,
            row_fill=options.assume_row_fill,
        )
    except ValueError as error:
        raise ConfigurationError(f"--assume-...: {error}") from None


def _note(text: str) -> None:
    say(f"{PROGRAM}: {text}")


def _collected(collected: Collected, out: Path) -> None:
    """Say how far the collection is."""
    parts = [f"{out}: {collected.done} of {collected.wanted} trainings"]
    if collected.trained:
        parts.append(f", {collected.trained} of them now")
    if collected.lost_workers:
        parts.append(f", {collected.lost_workers} workers lost")
    if collected.table is None:
        if collected.claimed:
            parts.append(f"; {collected.claimed} are claimed by other collectors")
        parts.append("; the table is sealed when all are there")
    print("".join(parts))
    if collected.lacking_items:
        _note(
            f"{collected.lacking_items} runs were trained before they had to keep the values of "
            "single items; examples.parquet is without them"
        )
    if collected.table is not None:
        _sealed(collected.table)


def _sealed(table: Table) -> None:
    rows, card = len(table.frame), table.folder / "CARD.md"
    runs = len(table.frame.drop_duplicates(["config_id", "seed"]))
    print(f"{table.folder}: sealed {rows} rows of {runs} runs, see {card}")


if __name__ == "__main__":
    sys.exit(main())
