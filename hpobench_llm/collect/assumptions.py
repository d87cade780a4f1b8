"""What an estimate of costs assumes of the machine: its rates, and how well they are used."""

import math
from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]

# Peak rates where the caller gives none: one core of a server, an H100 SXM by its data sheet.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a campaign's file does not say.

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
        # A GPU computes while the next layers are launched; a CPU does one after the other.
        return computing + launching if self.device == "cpu" else max(computing, launching)
