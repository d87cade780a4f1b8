"""BoLT's two kinds of models as arrays: a perceptron, and a kernel regression. See `bolt`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpobench_llm.surrogates.models.base import FloatArray, row_by_row, rowwise

EPSILON = 1e-5  # of torch's LayerNorm


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """Blocks of linear, LayerNorm and ReLU, then linear; outputs in their own units.

    `blocks` are weight (h, d), bias, gain and shift (h,), `last` is weight (m, h) and bias (m,),
    `mean` and `scale` (m,) are what the outputs were standardised by.
    """

    blocks: tuple[tuple[FloatArray, FloatArray, FloatArray, FloatArray], ...]
    last: tuple[FloatArray, FloatArray]
    mean: FloatArray
    scale: FloatArray

    @staticmethod
    def of(
        tensors: Mapping[str, FloatArray], mean: FloatArray, scale: FloatArray, inputs: int
    ) -> "Perceptron":
        """Return the network of a `torch.nn.Sequential`'s state, named `mlp.<layer>.<what>`.

        Raises:
            ValueError: a tensor is missing, of another shape, or too many.
        """
        layers = {int(name.split(".")[1]) for name in tensors if name.count(".") == 2}
        depth = max(layers, default=0) // 3
        expected: set[str] = set()
        for layer in range(3 * depth + 1):
            if layer % 3 != 2:  # the third of each block is its ReLU, which has no tensors
                expected |= {f"mlp.{layer}.weight", f"mlp.{layer}.bias"}
        if depth < 1 or expected != set(tensors):
            odd = sorted(expected ^ set(tensors))
            raise ValueError(f"no perceptron of linear, LayerNorm and ReLU: {', '.join(odd[:4])}")
        blocks, width = [], inputs
        for block in range(depth):
            weight, bias = tensors[f"mlp.{3 * block}.weight"], tensors[f"mlp.{3 * block}.bias"]
            norm = f"mlp.{3 * block + 1}"
            arrays = (weight, bias, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"])
            hidden = len(bias)
            _check(arrays, ((hidden, width), (hidden,), (hidden,), (hidden,)), f"block {block}")
            blocks.append(arrays)
            width = hidden
        last = (tensors[f"mlp.{3 * depth}.weight"], tensors[f"mlp.{3 * depth}.bias"])
        outputs = len(mean)
        _check((*last, scale), ((outputs, width), (outputs,), (outputs,)), "the last layer")
        return Perceptron(tuple(blocks), last, mean, scale)

    @property
    def tensors(self) -> dict[str, FloatArray]:
        """The state that `of` takes."""
        state: dict[str, FloatArray] = {}
        for block, (weight, bias, gain, shift) in enumerate(self.blocks):
            state |= {f"mlp.{3 * block}.weight": weight, f"mlp.{3 * block}.bias": bias}
            state |= {f"mlp.{3 * block + 1}.weight": gain, f"mlp.{3 * block + 1}.bias": shift}
        end = 3 * len(self.blocks)
        return state | {f"mlp.{end}.weight": self.last[0], f"mlp.{end}.bias": self.last[1]}

    def predict(self, features: FloatArray) -> FloatArray:
        """Return the outputs (n, m) at features (n, d), every row on its own."""
        hidden = row_by_row(features)
        for weight, bias, gain, shift in self.blocks:
            hidden = rowwise(hidden, weight.T) + bias
            centred = hidden - hidden.mean(axis=1, keepdims=True)
            spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
            hidden = np.maximum(centred / spread * gain + shift, 0.0)
        weight, bias = self.last
        answer: FloatArray = (rowwise(hidden, weight.T) + bias) * self.scale + self.mean
        return answer


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """`exp(-gamma * |x - centre|_1) @ weights`: one output, of centres (n, d), weights (n,)."""

    centres: FloatArray
    weights: FloatArray
    gamma: float

    @staticmethod
    def of(tensors: Mapping[str, FloatArray], gamma: float, inputs: int) -> "Kernel":
        """Return the regression of `X_fit` and `dual_coef`.

        Raises:
            ValueError: a tensor is missing, of another shape, or too many.
        """
        if set(tensors) != {"X_fit", "dual_coef"}:
            raise ValueError(f"`X_fit` and `dual_coef` are expected, not {', '.join(tensors)}")
        centres, weights = tensors["X_fit"], tensors["dual_coef"].reshape(-1)
        _check((centres, weights), ((len(weights), inputs), (len(weights),)), "`X_fit`")
        if not 0 < gamma < np.inf:
            raise ValueError(f"`gamma`: a number above 0 is expected, got {gamma}")
        return Kernel(centres, weights, gamma)

    def predict(self, features: FloatArray) -> FloatArray:
        """Return the output (n,) at features (n, d)."""
        distances = np.abs(features[:, None, :] - self.centres).sum(axis=2)
        answer: FloatArray = rowwise(np.exp(-self.gamma * distances), self.weights[:, None])[:, 0]
        return answer


def _check(
    arrays: tuple[FloatArray, ...], shapes: tuple[tuple[int, ...], ...], where: str
) -> None:
    for array, shape in zip(arrays, shapes, strict=True):
        if array.shape != shape:
            raise ValueError(f"{where}: an array of shape {array.shape}, expected {shape}")
