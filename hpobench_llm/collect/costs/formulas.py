"""Formulas: FLOPs, seconds and bytes of LoRA on a frozen base. Estimates, no measurements.

With N the weights that a token is multiplied by (`Shape.matrix_parameters`), P the parameters of
the adapters, and FLOPs counted as multiplications plus additions:

- training, a token: forward 2N, backward through the frozen weights 2N, the adapters' own forward
  and two backward products 6P;
- evaluation, a token: 2N + 2P;
- left out: attention over the row (4 x hidden x row tokens a layer and token, 1 % of a 7B model at
  512), softmax, norms, the optimizer;
- seconds: FLOPs by `tflops x utilisation`, or the launches of all layers where these take longer
  (GPU); on a CPU the two add up;
- memory: weights, adapters at 16 bytes a parameter (weight, gradient, two moments, all float32),
  and what a step of rows of full length keeps for the backward pass: 34 x 1.3 bytes of the hidden
  size a layer and token in 16 bits, twice that in 32 (Korthikanti et al. 2022 count 34; 1.3 is
  for what frameworks keep beside), and 3 float32 numbers a token and vocabulary entry for the
  logits. An evaluation keeps 2 float32
  numbers a token and vocabulary entry, and about 10 of the hidden size; the larger of the two.
"""

import math
from dataclasses import dataclass
from typing import Literal

from hpobench_llm.collect.campaign.shape import Shape

Device = Literal["cpu", "cuda"]

# Peak rates that are assumed unless told: one core of a server, an H100 SXM by its data sheet.
PEAK_TFLOPS = {
    ("cpu", "float32"): 0.09,
    ("cpu", "bfloat16"): 0.09,
    ("cuda", "float32"): 67.0,
    ("cuda", "bfloat16"): 989.0,
}
# 0.2: what the log of Tribes et al. comes to (LLaMA-2-7B, 4 A100 of 312 TFLOP/s), with 240 tokens
# a row assumed: 0.22 in training (3 x 54,000 rows in 4,331 s less three evaluations), 0.18 in
# evaluation (13,000 rows in 187 s). 0.5: lora-nano on one core, 96 steps in 4.8 s.
UTILISATION = {"cpu": 0.5, "cuda": 0.2}
LAUNCH_SECONDS = {"cpu": 2.5e-3, "cuda": 1.3e-3}  # a layer, forward and backward, with peft

BYTES = {"float32": 4, "bfloat16": 2}
ADAPTER_BYTES = 16
EVALUATION_TOKENS = 4096  # a forward pass, see `losses`
ACTIVATIONS = 34 * 1.3 / 2  # numbers of the hidden size that a layer keeps a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What no campaign file tells.

    `tflops` is one device's peak (0: by device and precision, `PEAK_TFLOPS`), `utilisation` the
    share of it that is reached (0: by device), `devices` how many work side by side, `row_fill` a
    row's mean tokens over `max_tokens`, padding included. A generated token counts
    `decode_factor` times, since generation waits for memory and not for arithmetic.
    """

    device: Device = "cpu"
    devices: int = 1
    tflops: float = 0.0
    utilisation: float = 0.0
    row_fill: float = 0.7
    launch_seconds: float = -1.0
    decode_factor: float = 20.0

    def __post_init__(self) -> None:
        for name in ("tflops", "utilisation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.decode_factor < math.inf:
            raise ValueError(f"decode_factor must be 0 or more, got {self.decode_factor}")
        if self.utilisation > 1 or not 0 < self.row_fill <= 1 or self.devices < 1:
            raise ValueError("utilisation is at most 1, row_fill above 0 to 1, devices 1 or more")

    def rate(self, precision: str) -> float:
        """Return the FLOPs a second that all devices reach together."""
        peak = self.tflops or PEAK_TFLOPS[self.device, precision]
        return peak * 1e12 * (self.utilisation or UTILISATION[self.device]) * self.devices

    def seconds(self, flops: float, layer_passes: float, precision: str) -> float:
        """Return the time of a computation: `layer_passes` layers, each forward and backward."""
        each = self.launch_seconds if self.launch_seconds >= 0 else LAUNCH_SECONDS[self.device]
        computing, launching = flops / self.rate(precision), layer_passes * each / self.devices
        return computing + launching if self.device == "cpu" else max(computing, launching)


def training_flops(
    shape: Shape, adapter: int, tokens: float, adapted_layers: int | None = None
) -> float:
    """Return the FLOPs of training LoRA on so many tokens.

    Where only the last `adapted_layers` carry adapters nothing is propagated back below them.
    """
    skipped = 0 if adapted_layers is None else shape.layers - adapted_layers
    backward = shape.matrix_parameters() - skipped * shape.layer_parameters()
    return tokens * (2.0 * shape.matrix_parameters() + 2.0 * backward + 6.0 * adapter)


def forward_flops(shape: Shape, adapter: int, tokens: float) -> float:
    """Return the FLOPs of evaluating so many tokens."""
    return tokens * 2.0 * (shape.matrix_parameters() + adapter)


def memory_bytes(
    shape: Shape,
    adapter: int,
    tokens: int,
    *,
    precision: str,
    pack_size: int = 1,
) -> float:
    """Return the peak of a run with steps of `tokens` tokens, of `pack_size` runs at once."""
    size, hidden = BYTES[precision], shape.hidden_size
    step = tokens * (shape.layers * ACTIVATIONS * hidden * size + 3 * 4 * shape.vocabulary)
    evaluation = EVALUATION_TOKENS * (2 * 4 * shape.vocabulary + 10 * hidden * size)
    frozen = shape.total_parameters() * size
    return frozen + pack_size * ADAPTER_BYTES * adapter + max(pack_size * step, evaluation)
