"""The super-networks of a campaign, one a seed, trained when they are first asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import torch

from hpobench_llm.collect.lora.data.encoding import Tokens
from hpobench_llm.collect.lora.engines.workbench import Workbench
from hpobench_llm.collect.subnets.importance import (
    Orders,
    by_activation,
    by_magnitude,
    reordered,
)
from hpobench_llm.collect.subnets.network import Skeletons, Weights, cut, extracted, weights_of
from hpobench_llm.collect.subnets.spec import SubnetsCampaign
from hpobench_llm.collect.subnets.subnet import Subnet, Whole, subnet_of
from hpobench_llm.collect.subnets.training import SandwichTrainer, sandwich
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.space import Configuration

KEPT_BYTES = 2**30  # of super-networks; beyond, the one that was trained first is dropped
FINETUNE_SEED = 0  # one fine-tuned base for the super-networks of all seeds

OnStep = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The fine-tuned network, its parts in the order of their importance."""

    weights: Weights
    orders: Orders
    seconds: float


@dataclass(frozen=True, slots=True)
class Supernet:
    """The weights of one seed by checkpoint, the computing up to each (s), the last one's sum."""

    weights: dict[int, Weights]
    seconds: dict[int, float]
    sha256: str

    @property
    def size(self) -> int:
        """The bytes of all of it."""
        return sum(w.nbytes for weights in self.weights.values() for w in weights.values())


class Supernets:
    """Fine-tunes the base once, then trains a super-network for each seed that is asked for."""

    def __init__(self, bench: Workbench[SubnetsCampaign], calibration: Sequence[Tokens]) -> None:
        self._bench, self._calibration = bench, calibration
        self._campaign, self.whole = bench.campaign, bench.campaign.whole
        self._skeletons = Skeletons(bench.base)
        self._kept: dict[int, Supernet] = {}
        # Fine-tuning is a property and takes no argument: it calls the step of whoever came last.
        self._on_step: OnStep = lambda _: None

    def subnet(self, config: Configuration) -> Subnet:
        """Return the sub-network that a configuration means in these super-networks."""
        return subnet_of(config, self.whole, self.finetuned.orders.layers)

    @cached_property
    def finetuned(self) -> Finetuned:
        """The fine-tuned base, reordered; the same for all seeds."""
        campaign, whole = self._campaign, self.whole
        started = seconds_on(self._bench.device)
        start = weights_of(self._bench.base)
        steps = [campaign.training.finetune_steps]
        trainer, everything = self._trainer(whole), [whole.subnet]
        (tuned,) = trainer.train(start, lambda _: everything, steps, FINETUNE_SEED, self._on_step)
        if campaign.importance == "magnitude":
            scores = by_magnitude(tuned, whole)
        else:
            model = extracted(self._bench.base, tuned, whole.subnet, whole)
            device = self._bench.device
            ids = (torch.tensor([row.ids]).to(device) for row in self._calibration)
            scores = by_activation(model, ids, whole)
        orders = Orders.of(scores, whole)
        seconds = seconds_on(self._bench.device) - started
        return Finetuned(reordered(tuned, orders, whole), orders, seconds)

    def of(self, seed: int, on_step: OnStep) -> Supernet:
        """Return the super-network of a seed; `on_step` is called as in `Bench.run`."""
        self._on_step = on_step
        if seed not in self._kept:
            supernet = self._trained(seed)
            while self._kept and supernet.size + self._size() > KEPT_BYTES:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
            self._kept[seed] = supernet
        return self._kept[seed]

    def _size(self) -> int:
        return sum(supernet.size for supernet in self._kept.values())

    def _trained(self, seed: int) -> Supernet:
        campaign, finetuned = self._campaign, self.finetuned
        rule = sandwich(
            self.whole.subnet,
            self.subnet(campaign.smallest()),
            self._drawn,
            campaign.training.random_subnets,
        )
        weights: dict[int, Weights] = {}
        seconds: dict[int, float] = {}
        # As if fine-tuning had been done just before: every seed's costs include it.
        begun = seconds_on(self._bench.device) - finetuned.seconds
        snapshots = self._trainer(self.whole).train(
            finetuned.weights, rule, campaign.checkpoints, seed, self._on_step
        )
        for step, snapshot in zip(campaign.checkpoints, snapshots, strict=True):
            weights[step] = snapshot
            seconds[step] = seconds_on(self._bench.device) - begun
        return Supernet(weights, seconds, sum_of(weights[campaign.checkpoints[-1]]))

    def _drawn(self, rng: np.random.Generator) -> Subnet:
        return self.subnet(self._campaign.space.sample(rng))

    def alone(self, subnet: Subnet, seed: int, on_step: OnStep) -> tuple[torch.nn.Module, float]:
        """Return a sub-network trained alone, and how long it took (s).

        It starts from its part of the fine-tuned weights and sees the rows of the super-network
        of the same seed, in as many steps.
        """
        started = seconds_on(self._bench.device)
        group = self.whole.group
        # Trained alone, a sub-network is the whole of a smaller network.
        own = replace(
            self.whole,
            width=subnet.width,
            heads=subnet.heads,
            units=subnet.units,
            layers=len(subnet.layers),
            key_heads=subnet.heads // group,
        )
        start = cut(self.finetuned.weights, subnet, self.whole)
        (weights,) = self._trainer(own).train(
            start, lambda _: [own.subnet], self._campaign.checkpoints[-1:], seed, on_step
        )
        model = extracted(self._bench.base, weights, own.subnet, own)
        return model, seconds_on(self._bench.device) - started

    def _trainer(self, whole: Whole) -> SandwichTrainer:
        bench = self._bench
        return SandwichTrainer(
            self._skeletons, whole, self._campaign.training, bench.split.train, bench.pad
        )


def sum_of(weights: Weights) -> str:
    """Return the SHA-256 of weights, in the order of their names."""
    digest = sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
