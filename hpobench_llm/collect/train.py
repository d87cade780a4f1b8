"""Train one configuration: the plain peft loop, with every checkpoint recorded."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from hpobench_llm.collect.campaign import Campaign, Run
from hpobench_llm.collect.data import Split, Tokens, collate, load_split
from hpobench_llm.collect.hyperparameters import Hyperparameters
from hpobench_llm.collect.losses import label_losses, mean_loss
from hpobench_llm.collect.memory import PeakMemory
from hpobench_llm.collect.model import adapted, load_base
from hpobench_llm.collect.score import Scorer, build_scorers
from hpobench_llm.evaluation import Status
from hpobench_llm.provenance import git_revision, processor, versions

LIBRARIES = ("torch", "transformers", "peft", "numpy", "hpobench-llm")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workbench:
    """What all runs of a campaign share; `untrained` is the row of the base as it is."""

    campaign: Campaign
    base: PreTrainedModel
    split: Split
    scorers: list[Scorer]
    pad: int
    untrained: Row
    sources: dict[str, Any]
    provenance: dict[str, Any]


def seconds_on(device: torch.device) -> float:
    """Return a clock of computing: CPU seconds of this process on a CPU, wall seconds on a GPU.

    On a CPU the wall clock would count the other programs of the machine as a run's cost.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def prepare(campaign: Campaign, file: Path, device: torch.device) -> Workbench:
    """Load base, data and scores, and measure the untrained base once for all runs."""
    base, tokenizer, base_source = load_base(campaign, file, device)
    split = load_split(campaign, file, tokenizer)
    scorers = build_scorers(campaign, file, split, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    started = seconds_on(device)
    untrained = {
        "train_loss": mean_loss(base, split.train[: len(split.val)], pad),
        "val_loss": mean_loss(base, split.val, pad),
        "test_loss": mean_loss(base, split.test, pad),
    }
    for scorer in scorers:
        untrained |= scorer.measure(base, pad)
    seconds = seconds_on(device) - started
    sources = {
        "base": base_source,
        "data": split.report,
        "scores": {
            s.spec.name: s.source | {"items": len(s.gold), "chance": s.chance} for s in scorers
        },
    }
    provenance = git_revision() | {
        "untrained_eval_seconds": round(seconds, 3),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "versions": versions(*LIBRARIES),
    }
    return Workbench(campaign, base, split, scorers, pad, untrained, sources, provenance)


def train_run(
    bench: Workbench, run: Run, *, on_step: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Fine-tune one run and return its ledger record.

    The record's `rows` hold one entry per checkpoint. After a loss that is not finite, or when the
    memory does not suffice, the training stops; the remaining checkpoints become rows with the
    status `diverged` or `out_of_memory`, no metrics and the cost that was paid.
    """
    campaign, hyper = bench.campaign, bench.campaign.hyperparameters(run.config)
    with adapted(bench.base, hyper, run.seed) as (model, parameters):
        trainable = sum(p.numel() for p in parameters)
        rows = [
            _finite(row)
            for row in _checkpoints(bench, model, parameters, hyper, run.seed, on_step)
        ]
    return {
        "run_id": run.run_id,
        "config_id": run.config_id,
        "config": run.config,
        "seed": run.seed,
        "hyperparameters": dataclasses.asdict(hyper),
        "trainable_parameters": trainable,
        "engine": "peft",
        "campaign": campaign.name,
        "rows": rows,
        "provenance": bench.provenance,
    }


def _checkpoints(
    bench: Workbench,
    model: torch.nn.Module,
    parameters: list[torch.nn.Parameter],
    hyper: Hyperparameters,
    seed: int,
    on_step: Callable[[int], None],
) -> Iterator[Row]:
    campaign, device = bench.campaign, parameters[0].device
    memory = PeakMemory(device)
    tally = _Tally()
    start = {"eval_seconds": 0.0, "status": "ok"}  # the base was measured once for all runs
    yield tally.row(0, memory) | start | bench.untrained
    optimizer = torch.optim.AdamW(
        parameters,
        lr=hyper.lr,
        betas=(hyper.beta1, hyper.beta2),
        eps=hyper.epsilon,
        weight_decay=hyper.weight_decay,
    )
    steps = campaign.checkpoints[-1]
    stream = _training_batches(bench.split.train, hyper.batch_rows, seed)
    step = 0
    for checkpoint in campaign.checkpoints[1:]:
        model.train()
        memory.start()
        started, wall = seconds_on(device), time.perf_counter()
        while step < checkpoint and not tally.failure:
            chosen = next(stream)
            batch = collate(chosen, bench.pad, device)
            for group in optimizer.param_groups:
                group["lr"] = hyper.lr * schedule(step, steps, hyper.warmup_fraction)
            try:
                losses, _ = label_losses(model, batch)
                loss = losses.mean()
                loss.backward()  # type: ignore[no-untyped-call]
            except torch.OutOfMemoryError:
                tally.failure = "out_of_memory"
                break
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, hyper.clip_norm))
            tally.add(loss.item(), len(losses), sum(len(row.ids) for row in chosen), norm)
            if not tally.failure:
                optimizer.step()
            optimizer.zero_grad()
            step += 1
            on_step(step)
        tally.train_seconds += seconds_on(device) - started
        tally.train_wall_seconds += time.perf_counter() - wall
        memory.stop()
        row = tally.row(checkpoint, memory)
        if not tally.failure:
            started = seconds_on(device)
            model.eval()
            row["val_loss"] = mean_loss(model, bench.split.val, bench.pad)
            row["test_loss"] = mean_loss(model, bench.split.test, bench.pad)
            for scorer in bench.scorers:
                if checkpoint in scorer.spec.checkpoints:
                    row |= scorer.measure(model, bench.pad)
            tally.eval_seconds += seconds_on(device) - started
        row["eval_seconds"] = tally.eval_seconds
        row["status"] = tally.failure or _status(row, bench)
        yield row


@dataclass(slots=True)
class _Tally:
    """What a run has added up so far; the loss and the gradient norm since the last checkpoint."""

    tokens_seen: int = 0
    label_tokens_seen: int = 0
    train_seconds: float = 0.0
    train_wall_seconds: float = 0.0
    eval_seconds: float = 0.0
    failure: Status | None = None
    loss_sum: float = 0.0
    loss_tokens: int = 0
    norm_sum: float = 0.0
    norm_steps: int = 0

    def add(self, loss: float, labels: int, tokens: int, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.failure = "diverged"
        self.tokens_seen += tokens
        self.label_tokens_seen += labels
        self.loss_sum += loss * labels
        self.loss_tokens += labels
        self.norm_sum += norm
        self.norm_steps += 1

    def row(self, step: int, memory: PeakMemory) -> Row:
        loss = self.loss_sum / self.loss_tokens if self.loss_tokens else math.nan
        norm = self.norm_sum / self.norm_steps if self.norm_steps else math.nan
        self.loss_sum, self.loss_tokens, self.norm_sum, self.norm_steps = 0.0, 0, 0.0, 0
        return {
            "step": step,
            "tokens_seen": self.tokens_seen,
            "label_tokens_seen": self.label_tokens_seen,
            "train_loss": loss,
            "grad_norm": norm,
            "train_seconds": self.train_seconds,
            "train_wall_seconds": self.train_wall_seconds,
            "peak_memory_bytes": memory.peak,
        }


def schedule(step: int, steps: int, warmup_fraction: float) -> float:
    """Return the factor on the peak rate at a step: linear warm-up, then a cosine to zero."""
    warm = math.ceil(steps * warmup_fraction)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _training_batches(rows: list[Tokens], size: int, seed: int) -> Iterator[list[Tokens]]:
    """Yield batches for ever: each epoch in its own order, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    queue: list[int] = []
    while True:
        while len(queue) < size:
            queue += [int(index) for index in rng.permutation(len(rows))]
        yield [rows[index] for index in queue[:size]]
        queue = queue[size:]


def _status(row: Row, bench: Workbench) -> Status:
    losses = [row.get("train_loss"), row.get("val_loss"), row.get("test_loss")]
    if any(loss is None or not math.isfinite(loss) for loss in losses):
        return "diverged"
    limit = bench.campaign.diverged_factor * bench.untrained["val_loss"]
    at_the_end = row["step"] == bench.campaign.checkpoints[-1]
    return "diverged" if at_the_end and row["val_loss"] > limit else "ok"


def _finite(row: Row) -> Row:
    """Return the row without values that are not finite: in the ledger they are absent."""
    return {k: v for k, v in row.items() if not (isinstance(v, float) and not math.isfinite(v))}
