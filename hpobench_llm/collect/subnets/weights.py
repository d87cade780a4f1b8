"""The weights that are trained: all of the network's, or low-rank adapters of its matrices."""

import math

import torch
from torch import nn

from hpobench_llm.collect.subnets.network import LAYERS, Weights
from hpobench_llm.collect.subnets.spec import Training


class Trained:
    """Weights of a whole network in training.

    With `lora` each matrix of a layer is `W + alpha_ratio B A` (Hu et al. 2022); a sub-network's
    slice of it has the slices of A and B, as in whittle's LoRA layers. The start is the given
    weights exactly, since B is zero.
    """

    def __init__(self, start: Weights, training: Training, seed: int) -> None:
        self._start = {name: weight.detach() for name, weight in start.items()}
        self._scale = training.alpha_ratio
        self._parts: dict[str, tuple[nn.Parameter, ...]] = {}
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self._start.items():
            if training.weights == "full":
                self._parts[name] = (nn.Parameter(weight.clone()),)
            elif name.startswith(LAYERS) and weight.dim() == 2:
                outputs, inputs = weight.shape
                bound = 1 / math.sqrt(inputs)  # Kaiming's with a = sqrt(5), as in peft
                # On the CPU, so that a GPU draws the same numbers.
                a = torch.empty(training.rank, inputs).uniform_(-bound, bound, generator=generator)
                b = torch.zeros(outputs, training.rank)
                self._parts[name] = (
                    nn.Parameter(a.to(weight.device)),
                    nn.Parameter(b.to(weight.device)),
                )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return [part for parts in self._parts.values() for part in parts]

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights as they are now, with the graph that leads to what is trained."""
        return {name: self._weight(name, weight) for name, weight in self._start.items()}

    def _weight(self, name: str, start: torch.Tensor) -> torch.Tensor:
        match self._parts.get(name, ()):
            case (whole,):
                return whole
            case (a, b):
                return start + self._scale * (b @ a)
        return start

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights as they are now."""
        with torch.no_grad():
            return {name: weight.clone() for name, weight in self.weights().items()}
