"""The reference engine: one run after another, with peft and torch's own AdamW."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import torch
from peft import get_peft_model_state_dict

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.bases.model import adapted, parameters_per_rank
from hpobench_llm.collect.lora.data.batches import step_batches
from hpobench_llm.collect.lora.engines.adapter import OnAdapter
from hpobench_llm.collect.lora.engines.record import Recorder, Tally
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.mixture import shares_of
from hpobench_llm.collect.lora.scores.losses import label_losses
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.training.meter import Meter
from hpobench_llm.collect.training.schedule import schedule


def train_runs(
    bench: Workbench[LoraCampaign],
    runs: Sequence[Run],
    on_step: Callable[[int], None] = lambda _: None,
    on_adapter: OnAdapter = lambda *_: None,
) -> list[RunRecord]:
    """Fine-tune runs one by one; returns a ledger record each.

    `on_adapter` is given what each run that did not fail has learned in the end.
    """
    return [_train(bench, run, on_step, on_adapter) for run in runs]


def _train(
    bench: Workbench[LoraCampaign],
    run: Run,
    on_step: Callable[[int], None],
    on_adapter: OnAdapter,
) -> RunRecord:
    """Fine-tune a run; wherever its memory does not suffice, that is its outcome."""
    device, hyper = bench.device, bench.campaign.hyperparameters(run.config)
    trainable = hyper.rank * parameters_per_rank(bench.base, hyper)
    recorder = Recorder(bench, run, engine="peft", pack_size=1, trainable=trainable)
    tally, meter = Tally(1, device), Meter(device)
    # Closed, so that the base gets its own layers back however this ends.
    with closing(_stages(bench, run, tally, meter, on_step)) as stages:
        for checkpoint in bench.campaign.checkpoints[1:]:
            model: torch.nn.Module = bench.base
            failure = recorder.failure
            try:
                model = model if failure else next(stages)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = "out_of_memory"
            if not failure:
                on_step(checkpoint)  # an evaluation takes long: a signal is looked for before it
            trained = tally.read()[0] | meter.cost()
            recorder.checkpoint(checkpoint, model, trained, failure=failure)
            if checkpoint == bench.campaign.checkpoints[-1] and not recorder.failure:
                on_adapter(run, get_peft_model_state_dict(model))
    return recorder.record()


def _stages(
    bench: Workbench[LoraCampaign],
    run: Run,
    tally: Tally,
    meter: Meter,
    on_step: Callable[[int], None],
) -> Generator[torch.nn.Module]:
    """Train from checkpoint to checkpoint; yields the model at each. A broken run stands still."""
    campaign, device = bench.campaign, bench.device
    hyper = campaign.hyperparameters(run.config)
    with adapted(bench.base, hyper, run.seed) as (model, parameters):
        optimizer = torch.optim.AdamW(
            parameters,
            lr=hyper.lr,
            betas=(hyper.beta1, hyper.beta2),
            eps=hyper.epsilon,
            weight_decay=hyper.weight_decay,
        )
        config = (hyper, shares_of(run.config), run.seed)
        batches = step_batches(
            bench.split.rows_of, campaign.step_rows, [config], bench.pad, device
        )
        accumulate = hyper.batch_rows // campaign.step_rows
        passes = campaign.passes(hyper)
        updates = campaign.checkpoints[-1] * passes // accumulate
        step, labels, alive = 0, 0, True
        for checkpoint in campaign.checkpoints[1:]:
            # Again at each checkpoint: an evaluation comes between.
            set_training(model, dropout=True)
            with meter.stretch():
                while step < checkpoint * passes and alive:
                    batch = next(batches)
                    loss = label_losses(model, batch.tensors)[0].sum()
                    loss.backward()  # type: ignore[no-untyped-call]
                    labels += batch.labels[0]
                    tally.add_step(loss.detach()[None], batch.labels, batch.tokens)
                    step += 1
                    if step % accumulate == 0:
                        update = step // accumulate - 1
                        for group in optimizer.param_groups:
                            rate = schedule(update, updates, hyper.warmup_fraction)
                            group["lr"] = hyper.lr * rate
                        for p in parameters:
                            if p.grad is not None:
                                p.grad /= labels  # the mean over the labels of the whole batch
                        norm = torch.nn.utils.clip_grad_norm_(parameters, hyper.clip_norm)
                        tally.add_update([0], norm[None])
                        optimizer.step()
                        optimizer.zero_grad()
                        labels = 0
                    alive = bool(tally.alive[0])  # a broken run costs no further steps
                    on_step(step)
            set_training(model, dropout=False)
            yield model


def set_training(model: torch.nn.Module, *, dropout: bool) -> None:
    """Switch LoRA's dropout; the frozen base stays as it answers in use, without its own."""
    model.eval()
    for name, module in model.named_modules():
        if name.endswith("lora_dropout.default"):
            module.train(dropout)
