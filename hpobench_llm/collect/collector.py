"""Collect one shard of a campaign into its ledger, on this process's device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hpobench_llm.collect.campaign import Campaign, Run
from hpobench_llm.collect.ledger import open_ledger, part_writer, read_ledger
from hpobench_llm.collect.train import Workbench, prepare, train_run
from hpobench_llm.errors import HpobenchError


def choose_device(name: str) -> torch.device:
    """Return the device called `auto`, `cpu` or `cuda`.

    Raises:
        HpobenchError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise HpobenchError(
            "--device cuda: no GPU can be used here; --device cpu trains on the CPU"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def missing_runs(campaign: Campaign, folder: Path, shard: int, shards: int) -> list[Run]:
    """Return the shard's runs that no part of the ledger holds yet."""
    done = read_ledger(folder).records
    return [run for run in campaign.runs()[shard::shards] if run.run_id not in done]


def collect_shard(
    campaign: Campaign,
    file: Path,
    folder: Path,
    *,
    shard: int = 0,
    shards: int = 1,
    device: torch.device,
    on_run: Callable[[int, str], None] = lambda *_: None,
) -> int:
    """Train every missing run of a shard; returns how many were trained.

    `on_run(done, text)` is called after each with the number of the shard's finished runs. What
    is finished is on disk before the next run starts.

    Raises:
        LedgerError: the folder belongs to another campaign, or another process collects here.
        SpecError, DataError: the campaign's base, data or scores cannot be used.
    """
    if device.type == "cpu":
        torch.set_num_threads(1)  # one process a core is faster than threads at this size
    bench = prepare(campaign, file, device)
    open_ledger(folder, header(campaign, bench))
    with part_writer(folder, shard, shards) as writer:
        runs = missing_runs(campaign, folder, shard, shards)
        before = len(campaign.runs()[shard::shards]) - len(runs)
        trained = 0
        for number, run in enumerate(runs, start=before + 1):
            if run.run_id in read_ledger(folder).records:
                continue  # a process with another --shard layout was faster
            record = train_run(bench, run)
            trained += 1
            writer.append(record)
            last = record["rows"][-1]
            on_run(number, f"{last['status']}, val_loss {last.get('val_loss', float('nan')):.3f}")
    return trained


def header(campaign: Campaign, bench: Workbench) -> dict[str, Any]:
    """Return what `campaign.json` says of a collection."""
    return campaign.identity() | {"sources": bench.sources, "untrained": bench.untrained}
