"""Training by the sandwich rule: a step sums the gradients of several sub-networks.

The first sub-network learns the labels; the others learn its answers (in-place distillation), by
the Kullback-Leibler divergence at a temperature T, times T squared (Hinton et al. 2015). With the
largest first, then random ones and the smallest, this is the rule of Yu and Huang (2019) that
Sukthanker et al. (2024) use; with one alone it is ordinary training.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from hpobench_llm.collect.lora.data.batches import collate, row_stream
from hpobench_llm.collect.lora.data.encoding import Tokens
from hpobench_llm.collect.lora.scores.losses import Batch, label_logits
from hpobench_llm.collect.subnets.network import Linked, Skeletons, Weights
from hpobench_llm.collect.subnets.spec import Training
from hpobench_llm.collect.subnets.subnet import Subnet, Whole
from hpobench_llm.collect.subnets.weights import Trained
from hpobench_llm.collect.training.schedule import schedule

Choose = Callable[[np.random.Generator], Sequence[Subnet]]


class SandwichTrainer:
    """Trains weights of one base's shape on rows."""

    def __init__(
        self,
        skeletons: Skeletons,
        whole: Whole,
        training: Training,
        rows: Sequence[Tokens],
        pad: int,
    ) -> None:
        self._skeletons, self._whole, self._training = skeletons, whole, training
        self._rows, self._pad = rows, pad

    def train(
        self,
        start: Weights,
        choose: Choose,
        checkpoints: Sequence[int],
        seed: int,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Yield copies of the weights at the checkpoints, the last of which ends the schedule.

        `choose` is asked at each step for its sub-networks; what it draws, the order of the rows
        and the adapters' start follow from `seed`.
        """
        training, steps = self._training, checkpoints[-1]
        trained = Trained(start, training, seed)
        if not trained.parameters:  # adapters of no layer
            yield from (trained.snapshot() for _ in checkpoints)
            return
        optimizer = torch.optim.AdamW(
            trained.parameters, lr=training.lr, weight_decay=training.weight_decay
        )
        stream = row_stream(self._rows, training.batch_rows, seed, 1.0)
        rng = np.random.default_rng(seed)
        device = trained.parameters[0].device
        for step in range(steps + 1):
            # Before the update: a checkpoint comes after as many updates as it says.
            if step in checkpoints:
                yield trained.snapshot()
            if step == steps:
                return
            batch = collate(next(stream), self._pad, device)
            self.add_gradients(trained, choose(rng), batch)
            torch.nn.utils.clip_grad_norm_(trained.parameters, training.clip_norm)
            rate = training.lr * schedule(step, steps, training.warmup_fraction)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
            on_step(step + 1)

    def add_gradients(self, trained: Trained, subnets: Sequence[Subnet], batch: Batch) -> None:
        """Add the gradients of a step: a pass forward and back for each sub-network."""
        teacher: torch.Tensor | None = None
        for subnet in subnets:
            model = Linked(self._skeletons, trained.weights(), subnet, self._whole)
            logits, labels, _ = label_logits(model, batch)
            if teacher is None:
                teacher = logits.detach()  # it is learned from, not trained by the others
                loss = cross_entropy(logits, labels)
            else:
                loss = distillation(logits, teacher, self._training.temperature)
            if loss.requires_grad:  # what has no layer has no adapter either
                loss.backward()  # type: ignore[no-untyped-call]


def distillation(logits: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return T^2 KL(teacher || student) of `(labels, vocabulary)` logits, the mean over labels."""
    ours = log_softmax(logits / temperature, dim=-1)
    theirs = log_softmax(teacher / temperature, dim=-1)
    return kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def sandwich(
    whole: Subnet, smallest: Subnet, draw: Callable[[np.random.Generator], Subnet], random: int
) -> Choose:
    """Return the rule: the whole, `random` drawn ones, the smallest."""
    return lambda rng: [whole, *(draw(rng) for _ in range(random)), smallest]
