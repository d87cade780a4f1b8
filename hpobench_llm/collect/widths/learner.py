"""A model that is being trained: its weights, its optimizer, its rows, its clock."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from hpobench_llm.collect.training.meter import Meter
from hpobench_llm.collect.training.schedule import schedule
from hpobench_llm.collect.widths.growth import grow
from hpobench_llm.collect.widths.hyperparameters import WidthsHyperparameters
from hpobench_llm.collect.widths.model import Transformer, initialise, is_hidden
from hpobench_llm.collect.widths.parametrisation import scales_of
from hpobench_llm.collect.widths.rows import batches, stream_seed
from hpobench_llm.collect.widths.spec import WidthsModel

Weights = Mapping[str, torch.Tensor]
_ROWS_AT_ONCE = 64


class Learner:
    """One run: started cold, or from a smaller model's `small` weights, and trained by Adam.

    `steps` is the run's last update, which the schedule ends at.
    """

    def __init__(
        self,
        model: WidthsModel,
        hyper: WidthsHyperparameters,
        rows: torch.Tensor,
        *,
        seed: int,
        steps: int,
        small: Weights | None = None,
    ) -> None:
        scales, stream = scales_of(model, hyper), stream_seed(seed, hyper.width)
        # Drawn on the CPU, so that a GPU starts from the same weights.
        self.model = Transformer(model, hyper.width, scales)
        initialise(self.model, stream)
        if small is not None:
            grow(self.model, small, hyper.shrink)
        self.model.to(rows.device)
        self.meter = Meter(rows.device)
        self._hyper, self._steps, self._step = hyper, steps, 0
        self._batches = batches(rows, hyper.batch_rows, stream)
        parameters = list(self.model.named_parameters())
        self._rates = {True: scales.hidden_lr, False: scales.lr}
        groups: list[dict[str, Any]] = []
        for hidden in self._rates:
            weights = [p for name, p in parameters if is_hidden(name) == hidden]
            groups.append({"params": weights, "hidden": hidden})
        self._optimizer = torch.optim.Adam(
            groups,
            betas=(hyper.beta1, hyper.beta2),
            eps=scales.epsilon,
            fused=True,
        )

    def train_to(self, step: int, on_step: Callable[[int], None]) -> dict[str, float]:
        """Train up to an update; returns mean `train_loss` and `grad_norm` since the last call."""
        losses, norms = [], []  # tensors: reading each would make a GPU wait
        with self.meter.stretch():
            while self._step < step:
                loss, norm = self._update()
                losses.append(loss)
                norms.append(norm)
                self._step += 1
                on_step(self._step)
        if not losses:
            return {}
        return {
            "train_loss": float(torch.stack(losses).mean()),
            "grad_norm": float(torch.stack(norms).mean()),
        }

    def _update(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one update; returns its loss and its gradient's norm before clipping."""
        factor = schedule(self._step, self._steps, self._hyper.warmup_fraction)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rates[group["hidden"]] * factor
        loss = loss_of(self.model, next(self._batches))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._hyper.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.detach(), norm.detach()

    def weights(self) -> Weights:
        """Return the weights by name, on the CPU."""
        return {name: p.detach().cpu() for name, p in self.model.named_parameters()}


def loss_of(model: Transformer, rows: torch.Tensor) -> torch.Tensor:
    """Return the mean next-byte cross-entropy (nats) of `(rows, tokens + 1)` ids."""
    logits = model(rows[:, :-1])
    return cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def mean_loss(model: Transformer, rows: torch.Tensor) -> float:
    """Return the loss of any number of rows, without gradients."""
    total = 0.0
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[first : first + _ROWS_AT_ONCE]
        total += loss_of(model, part).item() * len(part)
    return total / len(rows)
