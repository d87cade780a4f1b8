"""The ledger record of a run, made row by row while it trains."""

import dataclasses
import math
from typing import Any

import torch

from hpobench_llm.collect.campaign.plan import EngineName
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.engines.memory import is_out_of_memory
from hpobench_llm.collect.engines.workbench import Row, Workbench, finite, seconds_on
from hpobench_llm.evaluation import Status


class Tally:
    """What `K` runs that train together have added up; kept on the device, read at checkpoints.

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
        self.alive &= torch.isfinite(losses)

    def add_update(self, due: list[int], norms: torch.Tensor) -> None:
        """Add an update of the runs `due`, with their gradient norms before clipping."""
        self._norm[due] += norms.double()
        self._updates[due] += 1
        self.alive[due] &= torch.isfinite(norms)

    def read(self) -> list[Row]:
        """Return what each run's row says of its training, and begin the next stretch."""
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
    """Collects the rows of one run.

    After a `failure` the remaining checkpoints become rows with its status, the cost that was paid
    and no metrics.
    """

    def __init__(
        self, bench: Workbench, run: Run, *, engine: EngineName, pack_size: int, trainable: int
    ) -> None:
        self._bench, self._run = bench, run
        self._made: dict[str, Any] = {
            "trainable_parameters": trainable,
            "engine": engine,
            "pack_size": pack_size,
        }
        self._rows: list[Row] = []
        self.failure: Status | None = None
        self._eval_seconds = 0.0
        self._val_losses: list[float] | None = None
        # The base was measured once for all runs: its row costs nothing.
        start = {
            "step": 0,
            "status": "ok",
            "tokens_seen": 0,
            "label_tokens_seen": 0,
            "train_seconds": 0.0,
            "train_wall_seconds": 0.0,
            "eval_seconds": 0.0,
        }
        self._rows.append(start | bench.untrained)

    def checkpoint(
        self, step: int, model: torch.nn.Module, trained: Row, *, failure: Status | None = None
    ) -> None:
        """Add the row of a checkpoint, evaluating `model` unless the run has failed.

        `trained` is a row of `Tally.read` with the run's own `train_seconds`,
        `train_wall_seconds` and `peak_memory_bytes`.
        """
        alive = trained.pop("alive", True)
        self.failure = self.failure or failure or (None if alive else "diverged")
        row: Row = {"step": step} | trained
        if not self.failure:
            row |= self._evaluate(model, step)
        row["eval_seconds"] = self._eval_seconds
        row["status"] = self.failure or self._status(row)
        self._rows.append(finite(row))

    def _evaluate(self, model: torch.nn.Module, step: int) -> Row:
        started = seconds_on(self._bench.device)
        try:
            metrics, val = self._bench.evaluate(model, step)
        except (RuntimeError, MemoryError) as error:
            if self._made["pack_size"] > 1 or not is_out_of_memory(error):
                raise  # a smaller pack may leave it room
            self.failure = "out_of_memory"
            return {}
        finally:
            self._eval_seconds += seconds_on(self._bench.device) - started
        last = step == self._bench.campaign.checkpoints[-1]
        wanted = last and self._run.run_id in self._bench.per_example
        if wanted and bool(torch.isfinite(val).all()):
            self._val_losses = val.tolist()
        return metrics

    def _status(self, row: Row) -> Status:
        losses = [row.get("train_loss"), row.get("val_loss"), row.get("test_loss")]
        if any(loss is None or not math.isfinite(loss) for loss in losses):
            return "diverged"
        campaign = self._bench.campaign
        limit = campaign.diverged_factor * self._bench.untrained["val_loss"]
        at_the_end = row["step"] == campaign.checkpoints[-1]
        return "diverged" if at_the_end and row["val_loss"] > limit else "ok"

    def record(self) -> dict[str, Any]:
        """Return the record of a finished run."""
        run, campaign = self._run, self._bench.campaign
        found: dict[str, Any] = {
            "run_id": run.run_id,
            "config_id": run.config_id,
            "config": run.config,
            "seed": run.seed,
            "hyperparameters": dataclasses.asdict(campaign.hyperparameters(run.config)),
            **self._made,
            "campaign": campaign.name,
            "rows": self._rows,
            "provenance": self._bench.provenance,
        }
        if self._val_losses is not None:
            found["val_row_losses"] = self._val_losses
        return found
