"""`collect-grid`: train every run of a campaign and seal the table."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

from hpobench_llm.collect.campaign import Campaign, read_campaign
from hpobench_llm.collect.ledger import check_ledger, read_ledger
from hpobench_llm.console import run_command
from hpobench_llm.errors import HpobenchError, LedgerError, MissingDependencyError
from hpobench_llm.progress import Progress

PROGRAM = "collect-grid"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `collect-grid`."""
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train every (configuration, seed) of a campaign and seal the table. "
        "Started again, it continues; nothing is trained twice.",
    )
    made.add_argument("campaign", type=Path, metavar="CAMPAIGN.toml")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="ledger and table")
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    made.add_argument(
        "--workers", type=int, default=1, help="processes on this machine (CPU: one a core)"
    )
    made.add_argument(
        "--shard", default="0/1", metavar="K/N", help="collect every N-th run from K on (from 0)"
    )
    made.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    made.add_argument("--dry-run", action="store_true", help="say what would run, train nothing")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `collect-grid`."""
    options = parser().parse_args(arguments)
    return run_command(PROGRAM, lambda: _collect(options))


def _collect(options: argparse.Namespace) -> int:
    campaign = read_campaign(options.campaign)
    shard, shards = _shard(options.shard)
    if options.workers < 1:
        raise HpobenchError(f"--workers must be at least 1, got {options.workers}")
    check_ledger(options.out, campaign.identity())
    if (options.out / "table.json").exists() and not (options.out / "ledger").exists():
        raise LedgerError(
            f"{options.out} holds a sealed table without its ledger, so nothing can be added to "
            "it; give another --out"
        )
    _tell_damage(options.out)
    done = _count(campaign, options.out)
    if options.dry_run:
        return _describe(campaign, options.out, done)
    if done < len(campaign.runs()):
        if options.workers > 1:
            _in_processes(campaign, options, shard, shards)
        else:
            _in_this_process(campaign, options, shard, shards)
    return _finish(campaign, options.out)


def _shard(text: str) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    if slash and first.isdecimal() and second.isdecimal() and int(first) < int(second):
        return int(first), int(second)
    raise HpobenchError(f"--shard {text}: expected K/N with 0 <= K < N")


def _tell_damage(out: Path) -> None:
    damaged = read_ledger(out).damaged
    if damaged:
        print(
            f"{PROGRAM}: {out}: {len(damaged)} damaged lines in the ledger ({damaged[0]}); "
            "their runs are trained again",
            file=sys.stderr,
        )


def _describe(campaign: Campaign, out: Path, done: int) -> int:
    runs = campaign.runs()
    print(f"campaign   {campaign.name} {campaign.version}")
    for axis, values in campaign.grid.items():
        print(f"axis       {axis}: {', '.join(f'{value:g}' for value in values)}")
    print(
        f"runs       {len(runs)} ({len(runs) // len(campaign.seeds)} configurations x "
        f"{len(campaign.seeds)} seeds), {done} of them in {out}"
    )
    print(f"steps      {campaign.checkpoints[-1]} a run, checkpoints {list(campaign.checkpoints)}")
    records = list(read_ledger(out).records.values())
    if records:
        spent = [r["rows"][-1]["train_seconds"] + r["rows"][-1]["eval_seconds"] for r in records]
        hours = sum(spent) / len(spent) * (len(runs) - done) / 3600
        print(f"left       about {hours:.2f} hours of computing, by the runs that are done")
    else:
        print("left       unknown before a first run is done")
    return 0


def _in_this_process(
    campaign: Campaign, options: argparse.Namespace, shard: int, shards: int
) -> None:
    try:
        from hpobench_llm.collect.collector import choose_device, collect_shard
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "collect", PROGRAM) from None
    device = choose_device(options.device)
    runs = len(campaign.runs()[shard::shards])
    with Progress(runs, f"collect {campaign.name}") as progress:

        def on_run(done: int, text: str) -> None:
            progress.advance_to(done, text)
            if options.parent and os.getppid() != options.parent:
                raise LedgerError("the process that started this worker has gone")

        collect_shard(
            campaign,
            options.campaign,
            options.out,
            shard=shard,
            shards=shards,
            device=device,
            on_run=on_run,
        )


def _in_processes(
    campaign: Campaign, options: argparse.Namespace, shard: int, shards: int
) -> None:
    """Run one process a worker, each with its own part of the ledger, and watch the ledger.

    A worker that fails ends the others: what they had finished is in the ledger.
    """
    count = options.workers
    command = [sys.executable, "-m", "hpobench_llm.collect.cli", str(options.campaign)]
    command += [
        "--out",
        str(options.out),
        "--device",
        options.device,
        "--parent",
        str(os.getpid()),
    ]
    with ExitStack() as stack:
        said = [stack.enter_context(TemporaryFile("w+")) for _ in range(count)]
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, "--shard", f"{shard + shards * worker}/{shards * count}"],
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                    stdout=subprocess.DEVNULL,
                    stderr=said[worker],
                )
            )
            for worker in range(count)
        ]
        for child in children:
            stack.callback(child.terminate)  # nothing happens to one that has ended
        progress = stack.enter_context(Progress(len(campaign.runs()), f"collect {campaign.name}"))
        running = True
        while running:
            time.sleep(0.5)
            running = any(child.poll() is None for child in children)
            progress.advance_to(_count(campaign, options.out))
            for child, text in zip(children, said, strict=True):
                if child.returncode:
                    text.seek(0)
                    last = text.read().strip().splitlines()[-1:] or ["no message"]
                    raise LedgerError(last[0].removeprefix(f"{PROGRAM}: error: "))


def _count(campaign: Campaign, out: Path) -> int:
    records = read_ledger(out).records
    return sum(run.run_id in records for run in campaign.runs())


def _finish(campaign: Campaign, out: Path) -> int:
    done, wanted = _count(campaign, out), len(campaign.runs())
    if done < wanted:
        print(f"{out}: {done} of {wanted} runs; the table is sealed when all are there")
        return 0
    from hpobench_llm.collect.seal import seal

    table = seal(campaign, out)
    print(f"{out}: sealed {len(table.frame)} rows of {wanted} runs, see {out / 'CARD.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
