"""Many LoRA adapters on one frozen base, trained in one forward and backward pass.

A batch holds the rows of `K` configurations one after the other, `(K * rows, tokens)`. The base
sees it as one batch; each adapted layer adds every configuration's own `B A x` with two batched
products. Rows never mix, so a configuration that breaks leaves the others as they are, to the bit.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from hpobench_llm.collect.lora.bases.model import features, target_names
from hpobench_llm.collect.lora.engines.adapter import named
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.packs import rank_class
from hpobench_llm.errors import SpecError

# Gradients are views of one buffer on purpose (see `Pack`); torch mentions their strides once.
warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")


def packable_names(base: PreTrainedModel, hyper: Hyperparameters) -> list[str]:
    """Return the names of the modules that a pack would adapt.

    Raises:
        SpecError: one does not exist in this base, or is its head.
    """
    names = target_names(base, hyper)
    if base.get_output_embeddings() in map(base.get_submodule, names):
        raise SpecError(
            "campaign",
            "target_modules",
            "the packed engine cannot adapt the model's head; --engine peft can",
        )
    return names


class Pack:
    """The adapters of `K` configurations: one row a configuration in `values` and `gradients`.

    Ranks may differ: A and B are padded with zeros to the class of the largest rank, and the
    padding stays zero since its gradients are zero. (Padded to the largest rank itself, a run's
    rounding would depend on the other runs of its pack.)
    `active` are the configurations that the next forward pass holds.
    """

    def __init__(
        self, base: PreTrainedModel, hypers: Sequence[Hyperparameters], seeds: Sequence[int]
    ) -> None:
        self.hypers = tuple(hypers)
        self.active = slice(None)
        device = next(base.parameters()).device
        self.scale = torch.tensor([hyper.scale for hyper in hypers], device=device)[:, None, None]
        names = packable_names(base, hypers[0])
        bases = [base.get_submodule(name) for name in names]
        rank = rank_class(max(hyper.rank for hyper in hypers))
        shapes = [features(module) for module in bases]
        size = rank * sum(map(sum, shapes))
        self.values = torch.zeros(len(hypers), size, device=device)
        # One buffer each, so that the optimizer works on all layers in one call.
        self.gradients = torch.zeros_like(self.values)
        self.layers: list[PackedLinear] = []
        offset = 0
        for module, (inputs, outputs) in zip(bases, shapes, strict=True):
            a = self._leaf(offset, (rank, inputs))
            b = self._leaf(offset + rank * inputs, (outputs, rank))
            offset += rank * (inputs + outputs)
            self.layers.append(PackedLinear(self, module, a, b))
        self._dropout = _Dropout(hypers, seeds[0], device)
        for k, (hyper, seed) in enumerate(zip(hypers, seeds, strict=True)):
            self._dropout.continue_from(k, self._initialise(k, hyper.rank, seed))
        self._names = [(name.rpartition(".")[0], name.rpartition(".")[2]) for name in names]

    def _leaf(self, start: int, shape: tuple[int, int]) -> torch.Tensor:
        """Return a parameter that is a view of `values`, its gradient one of `gradients`."""
        part = slice(start, start + math.prod(shape))
        # torch adds to a gradient that is there already, in place: all land in one buffer.
        leaf = self.values[:, part].view(-1, *shape).requires_grad_()
        leaf.grad = self.gradients[:, part].view(-1, *shape)
        return leaf

    def _initialise(self, k: int, rank: int, seed: int) -> torch.Tensor:
        """Draw A as peft does (B is zero); returns the state of the generator afterwards."""
        # peft draws from the global generator; a pack must leave it as it was.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            for layer in self.layers:
                inputs, outputs = layer.a.shape[2], layer.b.shape[1]
                drawn = nn.Linear(inputs, rank, bias=False)
                nn.Linear(rank, outputs, bias=False)  # peft draws B too before it sets it to zero
                nn.init.kaiming_uniform_(drawn.weight, a=math.sqrt(5))
                layer.a[k, :rank] = drawn.weight
            return torch.get_rng_state()

    @contextmanager
    def attached(self, base: PreTrainedModel) -> Iterator[None]:
        """Put the adapted layers into the base, and the base's own back afterwards."""
        for (parent, name), layer in zip(self._names, self.layers, strict=True):
            setattr(base.get_submodule(parent), name, layer)
        try:
            yield
        finally:
            for (parent, name), layer in zip(self._names, self.layers, strict=True):
                setattr(base.get_submodule(parent), name, layer.base)

    @contextmanager
    def dropping(self, rows: int, widths: Sequence[int]) -> Iterator[None]:
        """Apply dropout in the forward pass of a batch of `rows` rows a configuration."""
        self._dropout.shape = (rows, tuple(widths))
        try:
            yield
        finally:
            self._dropout.shape = None

    @contextmanager
    def only(self, k: int) -> Iterator[None]:
        """Let the model answer as configuration `k` alone, without dropout.

        On a float32 base its adapter is merged into the weights, which costs a forward pass
        nothing; in lower precision merging would round the adapter away.
        """
        weights = [layer.base.weight for layer in self.layers]
        merge = weights[0].dtype == torch.float32
        self.active = slice(k, k + 1)
        try:
            if merge:
                for layer in self.layers:
                    layer.merge(k)
            yield
        finally:
            self.active = slice(None)
            if merge:  # the old weights themselves: to subtract the adapter would leave rounding
                for layer, weight in zip(self.layers, weights, strict=True):
                    layer.base.weight, layer.merged = weight, False

    def adapter(self, k: int) -> dict[str, torch.Tensor]:
        """Return A and B of configuration `k`, of its own rank, by PEFT's names."""
        rank = self.hypers[k].rank
        return {
            name: value
            for (parent, child), layer in zip(self._names, self.layers, strict=True)
            for name, value in named(
                f"{parent}.{child}", layer.a[k, :rank], layer.b[k, :, :rank]
            ).items()
        }

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(K, positions, features)` inputs with each configuration's own dropout."""
        mask = self._dropout.mask(x.shape[-1])
        return x if mask is None else x * mask.view(x.shape)


class PackedLinear(nn.Module):
    """A frozen linear layer (or GPT-2's Conv1D) with one adapter a configuration.

    `a` is `(K, rank, inputs)`, `b` is `(K, outputs, rank)`.
    """

    def __init__(self, pack: Pack, base: nn.Module, a: torch.Tensor, b: torch.Tensor) -> None:
        super().__init__()
        self.base = base
        self.pack, self.a, self.b = pack, a, b
        self.merged = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for `(K * rows, tokens, inputs)`, K the active ones."""
        y: torch.Tensor = self.base(x)
        if self.merged:
            return y
        active = self.pack.active
        a, b, scale = self.a[active], self.b[active], self.pack.scale[active]
        u = self.pack.dropped(x.reshape(len(a), -1, x.shape[-1]).to(a.dtype))
        inner = torch.bmm(u, a.transpose(1, 2)) * scale
        outer = y.reshape(len(a), -1, y.shape[-1])
        # One fused call where no rounding of the base's lower precision comes between.
        if y.dtype == a.dtype:
            return torch.baddbmm(outer, inner, b.transpose(1, 2)).view(y.shape)
        delta = torch.bmm(inner, b.transpose(1, 2))
        return (outer + delta).to(y.dtype).view(y.shape)

    def merge(self, k: int) -> None:
        """Replace the base's weight by one that holds adapter `k` too."""
        with torch.no_grad():
            delta = self.pack.scale[k] * (self.b[k] @ self.a[k])
            turned = delta if isinstance(self.base, nn.Linear) else delta.T
            weight: torch.Tensor = self.base.weight  # type: ignore[assignment]
            self.base.weight = nn.Parameter(weight + turned, requires_grad=False)
        self.merged = True


class _Dropout:
    """Draws the masks: on a CPU from one generator a configuration, as peft's run alone would.

    On a GPU all masks of a layer come from one draw, seeded by the pack's first run: their
    distribution is the same, their bits are not, and they depend on which runs are in the pack.
    """

    def __init__(self, hypers: Sequence[Hyperparameters], seed: int, device: torch.device) -> None:
        self.shape: tuple[int, tuple[int, ...]] | None = None
        self._device = device
        self._rates = [hyper.dropout for hyper in hypers]
        self._keep = 1 - torch.tensor(self._rates, device=device)[:, None, None, None]
        self._own = [torch.Generator() for _ in hypers]
        self._shared = torch.Generator(device).manual_seed(seed)

    def continue_from(self, k: int, state: torch.Tensor) -> None:
        """Let configuration `k` draw its masks where its initialisation ended."""
        self._own[k].set_state(state)

    def mask(self, features: int) -> torch.Tensor | None:
        """Return `(K, rows, tokens, features)` factors, or None where nothing is dropped."""
        if self.shape is None or not any(self._rates):
            return None
        rows, widths = self.shape
        size = (len(widths), rows, max(widths), features)
        if self._device.type != "cpu":
            drawn = torch.rand(size, device=self._device, generator=self._shared) < self._keep
            # With a dropout of 1 nothing is kept: 0 / 0 would be NaN.
            return drawn / self._keep.clamp(min=1e-30)
        mask = torch.ones(size)
        for k, rate in enumerate(self._rates):
            if rate >= 1:
                mask[k] = 0
            elif rate > 0:
                run_mask = torch.empty(rows, widths[k], features)
                run_mask.bernoulli_(1 - rate, generator=self._own[k])
                mask[k, :, : widths[k]] = run_mask.div_(1 - rate)
        return mask
