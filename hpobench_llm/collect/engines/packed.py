"""The packed engine: many runs at once on one frozen base (see `packed_lora`)."""

import time
from collections.abc import Callable, Sequence

import torch

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.data.batches import schedule, step_batches
from hpobench_llm.collect.engines.memory import PeakMemory, is_out_of_memory
from hpobench_llm.collect.engines.packed_adamw import PackedAdamW
from hpobench_llm.collect.engines.packed_lora import Pack
from hpobench_llm.collect.engines.record import Recorder, Tally
from hpobench_llm.collect.engines.workbench import Workbench, seconds_on
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.scores.losses import label_losses
from hpobench_llm.evaluation import Status

OnStep = Callable[[int], None]


def train_pack(
    bench: Workbench, runs: Sequence[Run], on_step: OnStep = lambda _: None
) -> list[RunRecord]:
    """Fine-tune runs together; returns a ledger record each, in their order.

    Where the memory does not suffice the pack is halved, down to one run, which is then an
    outcome: `out_of_memory`.
    """
    try:
        return _train(bench, runs, on_step)
    except (RuntimeError, MemoryError) as error:
        if len(runs) == 1 or not is_out_of_memory(error):
            raise
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(runs) // 2
    return [
        record
        for part in (runs[:half], runs[half:])
        for record in train_pack(bench, part, on_step)
    ]


def _train(bench: Workbench, runs: Sequence[Run], on_step: OnStep) -> list[RunRecord]:
    campaign, device, base = bench.campaign, bench.device, bench.base
    hypers = [campaign.hyperparameters(run.config) for run in runs]
    memory, tally = PeakMemory(device), Tally(len(runs), device)
    pack = Pack(base, hypers, [run.seed for run in runs])
    optimizer = PackedAdamW(pack.values, pack.gradients, hypers)
    recorders = [
        Recorder(bench, run, engine="packed", pack_size=len(runs), trainable=pack.trainable(k))
        for k, run in enumerate(runs)
    ]
    configs = list(zip(hypers, (run.seed for run in runs), strict=True))
    batches = step_batches(bench.split.train, campaign.step_rows, configs, bench.pad, device)
    accumulate = [hyper.batch_rows // campaign.step_rows for hyper in hypers]
    passes = campaign.passes(hypers[0])  # the same for all of a pack
    updates = [campaign.checkpoints[-1] * passes // count for count in accumulate]
    labels = [0] * len(runs)
    failure: Status | None = None
    cost = {"train_seconds": 0.0, "train_wall_seconds": 0.0}
    step = 0
    with pack.attached(base):
        for checkpoint in campaign.checkpoints[1:]:
            memory.start()
            started, wall = seconds_on(device), time.perf_counter()
            while step < checkpoint * passes and not failure:
                batch = next(batches)
                try:
                    losses = _backward(base, pack, batch.tensors, campaign.step_rows, batch.widths)
                except (RuntimeError, MemoryError) as error:
                    if len(runs) > 1 or not is_out_of_memory(error):
                        raise
                    failure = "out_of_memory"
                    break
                tally.add_step(losses, batch.labels, batch.tokens)
                labels = [a + b for a, b in zip(labels, batch.labels, strict=True)]
                step += 1
                due = [k for k, steps in enumerate(accumulate) if step % steps == 0]
                if due:
                    rates = [
                        hypers[k].lr
                        * schedule(
                            step // accumulate[k] - 1, updates[k], hypers[k].warmup_fraction
                        )
                        for k in due
                    ]
                    norms = optimizer.step(due, rates, [labels[k] for k in due])
                    tally.add_update(due, norms)
                    for k in due:
                        labels[k] = 0
                on_step(step)
            cost["train_seconds"] += (seconds_on(device) - started) / len(runs)
            cost["train_wall_seconds"] += (time.perf_counter() - wall) / len(runs)
            memory.stop()
            share = None if memory.peak is None else memory.peak // len(runs)
            for k, trained in enumerate(tally.read()):
                on_step(step)  # an evaluation takes long: a signal is looked for before each
                with pack.only(k):
                    recorders[k].checkpoint(
                        checkpoint,
                        base,
                        trained | cost | {"peak_memory_bytes": share},
                        failure=failure,
                    )
            if len(runs) == 1:  # nothing is gained by training on after it
                failure = recorders[0].failure
    return [recorder.record() for recorder in recorders]


def _backward(
    base: torch.nn.Module,
    pack: Pack,
    tensors: dict[str, torch.Tensor],
    rows: int,
    widths: Sequence[int],
) -> torch.Tensor:
    """Add one step to the gradients; returns `(K,)` losses in nats summed over the labels."""
    with pack.dropping(rows, widths):
        losses, places = label_losses(base, tensors)
    sums = torch.zeros(len(widths), dtype=losses.dtype, device=losses.device)
    sums = sums.index_add(0, places // rows, losses)
    sums.sum().backward()  # type: ignore[no-untyped-call]
    return sums.detach()
