"""The reference engine: one run after another, with peft and torch's own AdamW."""

import time
from collections.abc import Callable, Sequence

import torch

from hpobench_llm.collect.bases.model import adapted
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.data.batches import schedule, step_batches
from hpobench_llm.collect.engines.memory import PeakMemory, is_out_of_memory
from hpobench_llm.collect.engines.record import Recorder, Tally
from hpobench_llm.collect.engines.workbench import Workbench, seconds_on
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.scores.losses import label_losses
from hpobench_llm.evaluation import Status


def train_runs(
    bench: Workbench, runs: Sequence[Run], on_step: Callable[[int], None] = lambda _: None
) -> list[RunRecord]:
    """Fine-tune runs one by one; returns a ledger record each."""
    return [_train(bench, run, on_step) for run in runs]


def _train(bench: Workbench, run: Run, on_step: Callable[[int], None]) -> RunRecord:
    campaign, device = bench.campaign, bench.device
    hyper = campaign.hyperparameters(run.config)
    with adapted(bench.base, hyper, run.seed) as (model, parameters):
        trainable = sum(p.numel() for p in parameters)
        recorder = Recorder(bench, run, engine="peft", pack_size=1, trainable=trainable)
        memory, tally = PeakMemory(device), Tally(1, device)
        optimizer = torch.optim.AdamW(
            parameters,
            lr=hyper.lr,
            betas=(hyper.beta1, hyper.beta2),
            eps=hyper.epsilon,
            weight_decay=hyper.weight_decay,
        )
        batches = step_batches(
            bench.split.train, campaign.step_rows, [(hyper, run.seed)], bench.pad, device
        )
        accumulate = hyper.batch_rows // campaign.step_rows
        passes = campaign.passes(hyper)
        updates = campaign.checkpoints[-1] * passes // accumulate
        step, labels, alive = 0, 0, True
        failure: Status | None = None
        cost = {"train_seconds": 0.0, "train_wall_seconds": 0.0}
        for checkpoint in campaign.checkpoints[1:]:
            memory.start()
            started, wall = seconds_on(device), time.perf_counter()
            while step < checkpoint * passes and alive and not failure:
                batch = next(batches)
                set_training(model, dropout=True)
                try:
                    loss = label_losses(model, batch.tensors)[0].sum()
                    loss.backward()  # type: ignore[no-untyped-call]
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    failure = "out_of_memory"
                    break
                labels += batch.labels[0]
                tally.add_step(loss.detach()[None], batch.labels, batch.tokens)
                step += 1
                if step % accumulate == 0:
                    update = step // accumulate - 1
                    for group in optimizer.param_groups:
                        group["lr"] = hyper.lr * schedule(update, updates, hyper.warmup_fraction)
                    for p in parameters:
                        if p.grad is not None:
                            p.grad /= labels  # the mean over the labels of the whole batch
                    norm = torch.nn.utils.clip_grad_norm_(parameters, hyper.clip_norm)
                    tally.add_update([0], norm[None])
                    optimizer.step()
                    optimizer.zero_grad()
                    labels = 0
                alive = bool(tally.alive[0])
                on_step(step)
            cost["train_seconds"] += seconds_on(device) - started
            cost["train_wall_seconds"] += time.perf_counter() - wall
            memory.stop()
            set_training(model, dropout=False)
            trained = tally.read()[0] | cost | {"peak_memory_bytes": memory.peak}
            on_step(step)  # an evaluation takes long: a signal is looked for before it
            recorder.checkpoint(checkpoint, model, trained, failure=failure)
            failure = recorder.failure
    return recorder.record()


def set_training(model: torch.nn.Module, *, dropout: bool) -> None:
    """Switch LoRA's dropout; the frozen base stays as it answers in use, without its own."""
    model.eval()
    for name, module in model.named_modules():
        if name.endswith("lora_dropout.default"):
            module.train(dropout)
