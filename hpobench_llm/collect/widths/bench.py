"""The text on a device, and runs made on it: see `family.Bench`."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from hpobench_llm.collect.campaign.plan import Task
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.family import OnStep
from hpobench_llm.collect.ledger.header import Header
from hpobench_llm.collect.record import Checkpoint, Number, Provenance, RunRecord, finite
from hpobench_llm.collect.training.device import choose_device
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.collect.widths.columns import COUNTERS, LOSSES
from hpobench_llm.collect.widths.coordinates import activation_sizes
from hpobench_llm.collect.widths.costs import parameters, training_flops, training_tokens
from hpobench_llm.collect.widths.hyperparameters import WidthsHyperparameters
from hpobench_llm.collect.widths.learner import Learner, Weights, mean_loss
from hpobench_llm.collect.widths.rows import RowSets, read_rows
from hpobench_llm.collect.widths.spec import EQUAL_ODDS, STEP, WidthsCampaign
from hpobench_llm.evaluation import Status
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.space import Value
from hpobench_llm.tables.provenance import Sources

_CHECKED_ROWS = 8  # validation rows that activations are measured on
Values = dict[str, Number | None]


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A smaller model that warm starts grow from, and its cost; no weights: it did not fit."""

    hyper: WidthsHyperparameters
    weights: Weights | None
    seconds: float


@dataclass(frozen=True, slots=True)
class WidthsBench:
    """A campaign's rows on a device."""

    campaign: WidthsCampaign
    rows: RowSets
    provenance: Provenance

    @property
    def sources(self) -> Sources:
        """The text, with its sums and that of the rows made of it."""
        return self.rows.sources

    @property
    def untrained(self) -> dict[str, float]:
        """Nothing: each run has first weights of its own, measured at step 0."""
        return {}

    def header(self, pack_size: int = 1) -> Header:
        """Return what a ledger says of the whole collection."""
        return Header(sources=self.sources, untrained=self.untrained, pack_size=pack_size)

    def run(self, task: Task, on_step: OnStep) -> list[RunRecord]:
        """Train the runs of a task, and once before them the smaller model that they share."""
        grown: dict[tuple[WidthsHyperparameters, int], SmallModel] = {}
        records = []
        for run in task.runs:
            small_hyper, small = self.campaign.source_of(run), None
            # One smaller model for all warm starts of a configuration that differ in `shrink`.
            if small_hyper is not None:
                key = (small_hyper, run.seed)
                small = grown.get(key) or self._trained(small_hyper, run.seed, on_step)
                grown[key] = small
            records.append(self._record(run, small, on_step))
        return records

    def _trained(self, hyper: WidthsHyperparameters, seed: int, on_step: OnStep) -> SmallModel:
        """Train a smaller model from its cold start to its end: the grid's own run, once more."""
        started = seconds_on(self.rows.train.device)
        weights = None
        try:
            learner = self._learner(hyper, seed)
            learner.train_to(self.campaign.checkpoints[-1], on_step)
            weights = learner.weights()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return SmallModel(hyper, weights, seconds_on(self.rows.train.device) - started)

    def _learner(
        self, hyper: WidthsHyperparameters, seed: int, small: Weights | None = None
    ) -> Learner:
        steps = self.campaign.checkpoints[-1]
        return Learner(
            self.campaign.model, hyper, self.rows.train, seed=seed, steps=steps, small=small
        )

    def _record(self, run: Run, source: SmallModel | None, on_step: OnStep) -> RunRecord:
        """Train one run; after its failure only its cost so far is recorded."""
        hyper = self.campaign.hyperparameters(run.config)
        values: Values = {}
        status: Status = "ok"
        if source is not None and source.weights is None:
            status = "out_of_memory"
        # A generator: nothing is built or trained before the first `next`, in the `try` below.
        measured = self._measured(hyper, run.seed, source, on_step)
        checkpoints = []
        for step in self.campaign.checkpoints:
            if status == "ok":
                try:
                    values = next(measured)
                    status = self._status(step, values)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    status = "out_of_memory"
                    values = _spent(values)
            else:
                values = _spent(values)
            point = Checkpoint(fidelity={STEP: step}, status=status, values=finite(values))
            checkpoints.append(point)
        return RunRecord(
            config=run.config,
            seed=run.seed,
            settings=dataclasses.asdict(hyper),
            constants=self._constants(hyper, source),
            checkpoints=tuple(checkpoints),
            provenance=self.provenance,
        )

    def _constants(
        self, hyper: WidthsHyperparameters, source: SmallModel | None
    ) -> dict[str, Value]:
        model, steps = self.campaign.model, self.campaign.checkpoints[-1]
        constants: dict[str, Value] = {"trainable_parameters": parameters(model, hyper.width)}
        if source is not None:
            constants |= {
                "source_width": source.hyper.width,
                "source_flops": float(training_flops(model, source.hyper, steps)),
                "source_seconds": source.seconds,
            }
        return constants

    def _measured(
        self, hyper: WidthsHyperparameters, seed: int, source: SmallModel | None, on_step: OnStep
    ) -> Iterator[Values]:
        """Train from checkpoint to checkpoint; yields what each measures."""
        campaign = self.campaign
        learner = self._learner(hyper, seed, source.weights if source is not None else None)
        eval_seconds = 0.0
        for step in campaign.checkpoints:
            values: Values = dict(learner.train_to(step, on_step))
            started = seconds_on(self.rows.val.device)
            values["val_loss"] = mean_loss(learner.model, self.rows.val)
            values["test_loss"] = mean_loss(learner.model, self.rows.test)
            values |= activation_sizes(learner.model, self.rows.val[:_CHECKED_ROWS, :-1])
            eval_seconds += seconds_on(self.rows.val.device) - started
            values |= learner.meter.cost()
            values["eval_seconds"] = eval_seconds
            values["tokens_seen"] = training_tokens(campaign.model, hyper, step)
            values["train_flops"] = float(training_flops(campaign.model, hyper, step))
            yield values

    def _status(self, step: int, values: Values) -> Status:
        losses = [values[name] for name in LOSSES if name in values]
        if any(loss is None or not math.isfinite(loss) for loss in losses):
            return "diverged"
        # A loss above the limit may still fall: it counts at the end alone.
        last = step == self.campaign.checkpoints[-1]
        limit = self.campaign.diverged_factor * EQUAL_ODDS
        return "diverged" if last and (values["val_loss"] or 0.0) > limit else "ok"


def _spent(values: Values) -> Values:
    """Return the costs and counters among a checkpoint's values."""
    return {name: values[name] for name in COUNTERS if name in values}


def open_bench(campaign: WidthsCampaign, file: Path, device_name: str) -> WidthsBench:
    """Read a campaign's text onto a device.

    Raises:
        SpecError, DataError: the text cannot be used.
    """
    device = choose_device(device_name)
    if device.type == "cpu":
        torch.set_num_threads(1)  # one process a core is faster than threads at this size
    code = git_revision()
    provenance = Provenance(
        commit=code["commit"],
        dirty=code["dirty"],
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        threads=torch.get_num_threads(),
        versions=versions("torch", "numpy", "hpobench-llm"),
    )
    return WidthsBench(campaign, read_rows(campaign, file, device), provenance)
