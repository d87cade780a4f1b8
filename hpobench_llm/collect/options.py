"""The options of `collect-grid`: what they are, which values they take, how they are passed on."""

import argparse
import os
from pathlib import Path

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.machine import runs_on_gpu
from hpobench_llm.collect.trust import Trust
from hpobench_llm.errors import HpobenchError

# In the order of `Trust`.
TRUST = {
    "--run-generated-code": "allow scores that run code which the model wrote, shut in by the "
    "system's namespaces",
    "--without-isolation": "with --run-generated-code: also where the system cannot shut it in",
    "--run-task-code": "allow task files of your own to name Python functions (!function)",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of `collect-grid`."""
    made = argparse.ArgumentParser(
        prog="collect-grid",
        description="Train every (configuration, seed) of a campaign and seal the table. "
        "Started again, it continues; nothing is trained twice. Several may share one folder.",
        epilog="Exit status: 0 done, or the rest is for others; 2 an error; 75 ended by SIGTERM; "
        "130 by Ctrl-C.",
    )
    add = made.add_argument
    add("campaign", type=Path, metavar="CAMPAIGN.toml")
    add("--out", type=Path, required=True, metavar="DIR", help="gets the table and the ledger")
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
    add_trust(made)
    add(
        "--seal-now",
        action="store_true",
        help="make a table of the runs that are there, however many are missing; train nothing",
    )
    told = made.add_argument_group("assumed by --dry-run's estimate (0: by the device)")
    told.add_argument("--assume-tflops", type=float, default=0.0, help="peak of one device")
    told.add_argument("--assume-utilisation", type=float, default=0.0, help="share of the peak")
    told.add_argument("--assume-devices", type=int, default=1, help="working side by side")
    told.add_argument("--assume-row-fill", type=float, default=0.7, help="mean / max row tokens")
    add("--parent", type=int, help=argparse.SUPPRESS)
    return made


def add_trust(made: argparse.ArgumentParser) -> None:
    """Add the options that allow code of others, each of which has to be said by itself."""
    for flag, said in TRUST.items():
        made.add_argument(flag, action="store_true", help=said)


def trust_of(options: argparse.Namespace) -> Trust:
    """Return which code of others the options allow."""
    return Trust(*(getattr(options, _key(flag)) for flag in TRUST))


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def check(options: argparse.Namespace) -> None:
    """Check what argparse does not.

    Raises:
        HpobenchError: naming the option.
    """
    for name, least in (("workers", 1), ("pack_size", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            flag = name.replace("_", "-")
            raise HpobenchError(f"--{flag} must be at least {least}, got {value}")
    share = options.gpus_per_worker
    if not (0 < share <= 1 or (share > 1 and share.is_integer())):
        raise HpobenchError(
            f"--gpus-per-worker must be a share of one GPU or a whole number of them, got {share}"
        )
    if options.executor == "local" and (options.workers or 1) > 1 and "://" in str(options.ledger):
        raise HpobenchError(
            "--workers: processes cannot share a ledger given as a URL, which has no locks; "
            "start one collector a --shard, or use --executor ray"
        )
    _check_out(options.out)
    shard(options)


def _check_out(out: Path) -> None:
    """Refuse a place where no table could be written in the end."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise HpobenchError(f"--out {out}: {there} is a file; a folder is expected")
    if not os.access(there, os.W_OK | os.X_OK):
        raise HpobenchError(f"--out {out}: {there} cannot be written to")


def assumptions(options: argparse.Namespace) -> Assumptions:
    """Return what `--dry-run` assumes of the device.

    Raises:
        HpobenchError: a value that cannot be.
    """
    try:
        return Assumptions(
            device="cuda" if runs_on_gpu(options.device) else "cpu",
            devices=options.assume_devices,
            tflops=options.assume_tflops,
            utilisation=options.assume_utilisation,
            row_fill=options.assume_row_fill,
        )
    except ValueError as error:
        raise HpobenchError(f"--assume-...: {error}") from None


def shard(options: argparse.Namespace) -> tuple[int, int]:
    """Return which part of how many `--shard` names.

    Raises:
        HpobenchError: it names none.
    """
    first, slash, second = options.shard.partition("/")
    if slash and first.isdecimal() and second.isdecimal() and int(first) < int(second):
        return int(first), int(second)
    raise HpobenchError(f"--shard {options.shard}: expected K/N with 0 <= K < N")


def worker_arguments(options: argparse.Namespace) -> list[str]:
    """Return the arguments of one of several processes that share the work."""
    made = [str(options.campaign)]
    for name in ("out", "ledger", "engine", "pack_size", "device", "shard"):
        if getattr(options, name) is not None:
            made += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return [*made, *(flag for flag in TRUST if getattr(options, _key(flag)))]
