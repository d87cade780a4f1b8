"""The packed engine: many runs at once on one frozen base (see `packed_lora`)."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import torch

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.bases.model import parameters_per_rank
from hpobench_llm.collect.lora.data.batches import step_batches
from hpobench_llm.collect.lora.engines.adapter import OnAdapter
from hpobench_llm.collect.lora.engines.packed_adamw import PackedAdamW
from hpobench_llm.collect.lora.engines.packed_lora import Pack
from hpobench_llm.collect.lora.engines.record import Recorder, Tally
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.mixture import shares_of
from hpobench_llm.collect.lora.scores.losses import label_losses
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.training.meter import Meter
from hpobench_llm.collect.training.schedule import schedule

OnStep = Callable[[int], None]


def train_pack(
    bench: Workbench[LoraCampaign],
    runs: Sequence[Run],
    on_step: OnStep = lambda _: None,
    on_adapter: OnAdapter = lambda *_: None,
) -> list[RunRecord]:
    """Fine-tune runs together; returns a ledger record each, in their order.

    `on_adapter` is given what each run that did not fail has learned in the end.
    Where the memory does not suffice the pack is halved, down to one run, which is then an
    outcome: `out_of_memory`.
    """
    try:
        return _train(bench, runs, on_step, on_adapter)
    except (RuntimeError, MemoryError) as error:
        if len(runs) == 1 or not is_out_of_memory(error):
            raise
    # After the `except`, whose traceback would keep the tensors of the failed pack alive.
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(runs) // 2
    return [
        record
        for part in (runs[:half], runs[half:])
        for record in train_pack(bench, part, on_step, on_adapter)
    ]


def _train(
    bench: Workbench[LoraCampaign],
    runs: Sequence[Run],
    on_step: OnStep,
    on_adapter: OnAdapter,
) -> list[RunRecord]:
    """Fine-tune runs together; of a run alone a lack of memory is the outcome, else an error.

    Raises:
        RuntimeError, MemoryError: a pack does not fit, wherever that is noticed.
    """
    alone, base = len(runs) == 1, bench.base
    hypers = [bench.campaign.hyperparameters(run.config) for run in runs]
    per_rank = parameters_per_rank(base, hypers[0])  # a pack has one set of targets
    recorders = [
        Recorder(bench, run, engine="packed", pack_size=len(runs), trainable=hyper.rank * per_rank)
        for run, hyper in zip(runs, hypers, strict=True)
    ]
    tally, meter = Tally(len(runs), bench.device), Meter(bench.device, len(runs))

    def exhausted(error: BaseException) -> bool:
        return alone and is_out_of_memory(error)

    # Closed, so that the base gets its own layers back however this ends.
    with closing(_stages(bench, runs, tally, meter, on_step)) as stages:
        for checkpoint in bench.campaign.checkpoints[1:]:
            pack: Pack | None = None
            # Of a run alone: nothing is gained by training on after its failure.
            failure = recorders[0].failure if alone else None
            try:
                pack = None if failure else next(stages)
            except (RuntimeError, MemoryError) as error:
                if not exhausted(error):
                    raise
                failure = "out_of_memory"
            last = checkpoint == bench.campaign.checkpoints[-1]
            tallies = tally.read()
            for k, (recorder, trained) in enumerate(zip(recorders, tallies, strict=True)):
                row = trained | meter.cost()
                if pack is not None:
                    on_step(checkpoint)  # an evaluation takes long: a signal is looked for before
                    try:
                        with pack.only(k):
                            recorder.checkpoint(checkpoint, base, row)
                        if last and not recorder.failure:
                            on_adapter(runs[k], pack.adapter(k))
                        continue
                    except (RuntimeError, MemoryError) as error:
                        if not exhausted(error):
                            raise
                        failure = "out_of_memory"
                recorder.checkpoint(checkpoint, base, row, failure=failure)
    return [recorder.record() for recorder in recorders]


def _stages(
    bench: Workbench[LoraCampaign],
    runs: Sequence[Run],
    tally: Tally,
    meter: Meter,
    on_step: OnStep,
) -> Generator[Pack]:
    """Train from checkpoint to checkpoint; yields the pack at each, attached to the base."""
    campaign, device, base = bench.campaign, bench.device, bench.base
    hypers = [campaign.hyperparameters(run.config) for run in runs]
    pack = Pack(base, hypers, [run.seed for run in runs])
    optimizer = PackedAdamW(pack.values, pack.gradients, hypers)
    configs = [
        (hyper, shares_of(run.config), run.seed) for hyper, run in zip(hypers, runs, strict=True)
    ]
    batches = step_batches(bench.split.rows_of, campaign.step_rows, configs, bench.pad, device)
    accumulate = [hyper.batch_rows // campaign.step_rows for hyper in hypers]
    passes = campaign.passes(hypers[0])  # the same for all of a pack
    updates = [campaign.checkpoints[-1] * passes // count for count in accumulate]
    labels = [0] * len(runs)
    step = 0
    with pack.attached(base):
        for checkpoint in campaign.checkpoints[1:]:
            with meter.stretch():
                while step < checkpoint * passes:
                    batch = next(batches)
                    losses = _backward(base, pack, batch.tensors, campaign.step_rows, batch.widths)
                    tally.add_step(losses, batch.labels, batch.tokens)
                    labels = [a + b for a, b in zip(labels, batch.labels, strict=True)]
                    step += 1
                    due = [k for k, steps in enumerate(accumulate) if step % steps == 0]
                    if due:
                        rates = []
                        for k in due:
                            update = step // accumulate[k] - 1
                            factor = schedule(update, updates[k], hypers[k].warmup_fraction)
                            rates.append(hypers[k].lr * factor)
                        norms = optimizer.step(due, rates, [labels[k] for k in due])
                        tally.add_update(due, norms)
                        for k in due:
                            labels[k] = 0
                    on_step(step)
            yield pack


def _backward(
    base: torch.nn.Module,
    pack: Pack,
    tensors: dict[str, torch.Tensor],
    rows: int,
    widths: Sequence[int],
) -> torch.Tensor:
    """Add one step to the gradients; returns `(K,)` losses in nats summed over the labels."""
    with pack.dropping(rows, widths):
        losses, rows_of_losses = label_losses(base, tensors)
    # One backward pass for all: no run's loss depends on another's parameters.
    sums = torch.zeros(len(widths), dtype=losses.dtype, device=losses.device)
    sums = sums.index_add(0, rows_of_losses // rows, losses)
    sums.sum().backward()  # type: ignore[no-untyped-call]
    return sums.detach()
