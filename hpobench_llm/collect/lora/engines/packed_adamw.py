"""AdamW for a pack: every configuration with its own rate, moments, clipping and step count."""

from collections.abc import Callable, Sequence

import torch

from hpobench_llm.collect.lora.hyperparameters import Hyperparameters


class PackedAdamW:
    """AdamW (Loshchilov and Hutter 2019) over `(K, parameters)`, one row a configuration.

    The formulas and their order are those of `torch.optim.AdamW` and
    `torch.nn.utils.clip_grad_norm_`; nothing is shared between rows.
    """

    def __init__(
        self, values: torch.Tensor, gradients: torch.Tensor, hypers: Sequence[Hyperparameters]
    ) -> None:
        def column(read: Callable[[Hyperparameters], float]) -> torch.Tensor:
            numbers = [read(hyper) for hyper in hypers]
            return torch.tensor(numbers, dtype=torch.float32, device=values.device)[:, None]

        self._values, self._gradients = values, gradients
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._hypers = tuple(hypers)
        self._decay = [hyper.weight_decay for hyper in hypers]
        self._clip = column(lambda hyper: hyper.clip_norm)
        self._beta1 = column(lambda hyper: hyper.beta1)
        self._beta2 = column(lambda hyper: hyper.beta2)
        self._epsilon = column(lambda hyper: hyper.epsilon)
        self._steps = [0] * len(hypers)

    @torch.no_grad()
    def step(
        self, due: Sequence[int], rates: Sequence[float], labels: Sequence[int]
    ) -> torch.Tensor:
        """Update the configurations `due` and clear their gradients.

        `rates` are their learning rates now, `labels` the label tokens that their summed
        gradients hold. Returns `(due,)` gradient norms before clipping.
        """
        all_due = len(due) == len(self._hypers)
        rows = slice(None) if all_due else torch.tensor(due, device=self._values.device)
        # Indexing by a tensor copies, so a part is written back; a slice is worked on in place.
        values, gradients = self._values[rows], self._gradients[rows]
        mean, square = self._mean[rows], self._square[rows]
        for k in due:
            self._steps[k] += 1
        gradients /= self._column(labels)
        norms: torch.Tensor = torch.linalg.vector_norm(gradients, dim=1)
        # 1e-6 and the clamp are those of clip_grad_norm_.
        gradients *= (self._clip[rows, 0] / (norms + 1e-6)).clamp(max=1.0)[:, None]
        if any(self._decay[k] for k in due):  # else a pass over all values for nothing
            shrink = [1 - r * self._decay[k] for k, r in zip(due, rates, strict=True)]
            values *= self._column(shrink)
        mean.lerp_(gradients, 1 - self._beta1[rows])
        beta2 = self._beta2[rows]
        square.mul_(beta2).addcmul_(gradients * (1 - beta2), gradients)
        # In Python's floats, as torch computes them for a single run.
        corrections1 = [1 - self._hypers[k].beta1 ** self._steps[k] for k in due]
        corrections2 = [(1 - self._hypers[k].beta2 ** self._steps[k]) ** 0.5 for k in due]
        denominator = (square.sqrt() / self._column(corrections2)).add_(self._epsilon[rows])
        step_sizes = [rate / c for rate, c in zip(rates, corrections1, strict=True)]
        values.sub_(mean.div(denominator).mul_(self._column(step_sizes)))
        if not all_due:
            self._values[rows], self._mean[rows], self._square[rows] = values, mean, square
        self._gradients[rows] = 0.0
        return norms

    def _column(self, numbers: Sequence[float]) -> torch.Tensor:
        column = torch.tensor(numbers, dtype=torch.float32).to(self._values.device)
        return column[:, None]
