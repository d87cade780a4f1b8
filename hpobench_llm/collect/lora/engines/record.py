"""The ledger record of a run, made row by row while it trains."""

import dataclasses
import math

import torch

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.lora.hyperparameters import STEP
from hpobench_llm.collect.lora.mixture import SHARE, shares_of
from hpobench_llm.collect.lora.packs import EngineName
from hpobench_llm.collect.lora.spec import LoraCampaign
from hpobench_llm.collect.record import Checkpoint, Number, RunRecord, finite
from hpobench_llm.collect.training.memory import is_out_of_memory
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.evaluation import Status
from hpobench_llm.space import Value

Trained = dict[str, Number | None]  # what a checkpoint says of the training before it


class Tally:
    """Sums over `K` runs that train together; kept on the device, read at checkpoints.

    A run whose loss or gradient norm is not finite has broken: from there on nothing of it counts.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        def zeros() -> torch.Tensor:
            return torch.zeros(count, dtype=torch.float64, device=device)

        self.alive = torch.ones(count, dtype=torch.bool, device=device)
        self._device = device
        self._tokens, self._labels = zeros(), zeros()  # since the start
        self._loss, self._loss_labels = zeros(), zeros()  # since the last checkpoint
        self._norm, self._updates = zeros(), zeros()

    def add_step(self, losses: torch.Tensor, labels: list[int], tokens: list[int]) -> None:
        """Add a step: `(K,)` losses in nats summed over the labels."""
        counts = torch.tensor([labels, tokens], dtype=torch.float64).to(self._device)
        counts = counts * self.alive
        self._labels += counts[0]
        self._tokens += counts[1]
        self._loss += losses
        self._loss_labels += counts[0]
        # Kept on the device: to ask whether a loss is finite would make a GPU wait at each step.
        self.alive &= torch.isfinite(losses)

    def add_update(self, due: list[int], norms: torch.Tensor) -> None:
        """Add an update of the runs `due`, with their gradient norms before clipping."""
        self._norm[due] += norms.double()
        self._updates[due] += 1
        self.alive[due] &= torch.isfinite(norms)

    def read(self) -> list[Trained]:
        """Return what each run's checkpoint says of its training, and begin the next stretch."""
        values = torch.stack(
            [
                self._tokens,
                self._labels,
                self._loss / self._loss_labels,
                self._norm / self._updates,
                self.alive.double(),
            ]
        ).tolist()
        for stretch in (self._loss, self._loss_labels, self._norm, self._updates):
            stretch.zero_()
        return [
            {
                "tokens_seen": int(tokens),
                "label_tokens_seen": int(labels),
                "train_loss": loss,
                "grad_norm": norm,
                "alive": bool(alive),
            }
            for tokens, labels, loss, norm, alive in zip(*values, strict=True)
        ]


class Recorder:
    """Collects the checkpoints of one run.

    After a `failure` the remaining ones have its status, the cost that was paid and no metrics.
    """

    def __init__(
        self,
        bench: Workbench[LoraCampaign],
        run: Run,
        *,
        engine: EngineName,
        pack_size: int,
        trainable: int,
    ) -> None:
        self._bench, self._run = bench, run
        self._constants: dict[str, Value] = {
            "trainable_parameters": trainable,
            "engine": engine,
            "pack_size": pack_size,
        }
        self.failure: Status | None = None
        self._eval_seconds = 0.0
        self._items: dict[str, tuple[float, ...]] = {}
        # The base was measured once for all runs: its checkpoint costs nothing.
        start: dict[str, Number | None] = {
            "tokens_seen": 0,
            "label_tokens_seen": 0,
            "train_seconds": 0.0,
            "train_wall_seconds": 0.0,
            "eval_seconds": 0.0,
        }
        self._checkpoints = [_checkpoint(0, "ok", start | dict(bench.untrained))]

    def checkpoint(
        self, step: int, model: torch.nn.Module, trained: Trained, *, failure: Status | None = None
    ) -> None:
        """Add a checkpoint, evaluating `model` unless the run has failed.

        `trained` is one of `Tally.read` with the run's own `train_seconds`, `train_wall_seconds`
        and `peak_memory_bytes`.
        """
        alive = trained.pop("alive", True)
        self.failure = self.failure or failure or (None if alive else "diverged")
        values = dict(trained)
        if not self.failure:
            values |= self._evaluate(model, step)
        values["eval_seconds"] = self._eval_seconds
        status = self.failure or self._status(step, values)
        self._checkpoints.append(_checkpoint(step, status, values))

    def _evaluate(self, model: torch.nn.Module, step: int) -> dict[str, float]:
        started = seconds_on(self._bench.device)
        try:
            measured = self._bench.evaluate(model, step)
        except (RuntimeError, MemoryError) as error:
            if self._constants["pack_size"] != 1 or not is_out_of_memory(error):
                raise  # a smaller pack may leave it room
            self.failure = "out_of_memory"
            return {}
        finally:
            self._eval_seconds += seconds_on(self._bench.device) - started
        last = step == self._bench.campaign.checkpoints[-1]
        if last and self._run.run_id in self._bench.per_example:
            self._items = {
                name: tuple(values.round(decimals=6).tolist())
                for name, values in measured.items.items()
                if bool(torch.isfinite(values).all())
            }
        return measured.values

    def _status(self, step: int, values: Trained) -> Status:
        losses = [values.get("train_loss"), values.get("val_loss"), values.get("test_loss")]
        if any(loss is None or not math.isfinite(loss) for loss in losses):
            return "diverged"
        campaign = self._bench.campaign
        limit = campaign.diverged_factor * self._bench.untrained["val_loss"]
        at_the_end = step == campaign.checkpoints[-1]
        return "diverged" if at_the_end and values["val_loss"] > limit else "ok"  # type: ignore[operator]

    def record(self) -> RunRecord:
        """Return the record of a finished run."""
        hyperparameters = self._bench.campaign.hyperparameters(self._run.config)
        shares = {SHARE + source: share for source, share in shares_of(self._run.config)}
        return RunRecord(
            config=self._run.config,
            seed=self._run.seed,
            settings=dataclasses.asdict(hyperparameters) | shares,
            constants=self._constants,
            checkpoints=tuple(self._checkpoints),
            provenance=self._bench.provenance,
            items=self._items,
        )


def _checkpoint(step: int, status: Status, values: Trained) -> Checkpoint:
    return Checkpoint(fidelity={STEP: step}, status=status, values=finite(values))
