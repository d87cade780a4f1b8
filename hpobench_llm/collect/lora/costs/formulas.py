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
  and the larger of what a step and an evaluation keep. A step of rows of full length keeps for the
  backward pass 34 x 1.3 bytes of the hidden size a layer and token in 16 bits, twice that in 32
  (Korthikanti et al. 2022 count 34; 1.3 is for what frameworks keep beside), and 3 float32 numbers
  a token and vocabulary entry for the logits. An evaluation keeps 2 float32 numbers a token and
  vocabulary entry, and about 10 of the hidden size.
"""

from hpobench_llm.collect.lora.shape import Shape

BYTES = {"float32": 4, "bfloat16": 2}
ADAPTER_BYTES = 16
EVALUATION_TOKENS = 4096  # a forward pass, see `losses`
ACTIVATIONS = 34 * 1.3 / 2  # numbers of the hidden size that a layer keeps a token


def training_flops(
    shape: Shape, adapter: int, tokens: float, adapted_layers: int | None = None
) -> float:
    """Return the FLOPs of training LoRA on `tokens` tokens.

    Where only the last `adapted_layers` carry adapters nothing is propagated back below them.
    """
    skipped = 0 if adapted_layers is None else shape.layers - adapted_layers
    backward = shape.matrix_parameters() - skipped * shape.layer_parameters()
    return tokens * (2.0 * shape.matrix_parameters() + 2.0 * backward + 6.0 * adapter)


def forward_flops(shape: Shape, adapter: int, tokens: float) -> float:
    """Return the FLOPs of evaluating `tokens` tokens."""
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
