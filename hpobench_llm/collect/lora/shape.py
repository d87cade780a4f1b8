"""The shape of a base model: its linear layers, its parameters, what LoRA adds. No torch here."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.targets import ALL_LINEAR, expanded

HEAD = "lm_head"
_BLOCKS = {"llama": "model.layers", "qwen3": "model.layers", "gpt2": "transformer.h"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What estimates need to know of a decoder-only transformer, in transformers' words.

    Args:
        hidden_size: the width of the residual stream, at least 1.
        intermediate_size: units of an MLP, at least 1.
        layers: at least 1.
        heads: attention heads of a layer, at least 1.
        vocabulary: tokens, at least 1.
        key_value_heads: 0: as many as `heads`.
        head_size: 0: `hidden_size / heads`.
        positions: learned ones (GPT-2), else 0.
        tied_head: whether head and embedding are one matrix.
        parameters: all of them; 0: those that follow from the rest.
        family: how its layers are called and built; `llama` is also Mistral and the like.
    """

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    vocabulary: int
    key_value_heads: int = 0
    head_size: int = 0
    positions: int = 0
    tied_head: bool = False
    parameters: int = 0
    family: Literal["llama", "gpt2", "qwen3"] = "llama"

    def __post_init__(self) -> None:
        for name in ("hidden_size", "intermediate_size", "layers", "heads", "vocabulary"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("key_value_heads", "head_size", "positions", "parameters"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.head_size and self.hidden_size % self.heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of heads {self.heads}; "
                "give head_size"
            )

    def layer(self) -> dict[str, tuple[int, int]]:
        """Return the linear modules of one layer: name to (inputs, outputs)."""
        hidden, inner = self.hidden_size, self.intermediate_size
        if self.family == "gpt2":
            return {
                "attn.c_attn": (hidden, 3 * hidden),
                "attn.c_proj": (hidden, hidden),
                "mlp.c_fc": (hidden, inner),
                "mlp.c_proj": (inner, hidden),
            }
        size = self.head_size or hidden // self.heads
        queries, keys = self.heads * size, (self.key_value_heads or self.heads) * size
        return {
            "self_attn.q_proj": (hidden, queries),
            "self_attn.k_proj": (hidden, keys),
            "self_attn.v_proj": (hidden, keys),
            "self_attn.o_proj": (queries, hidden),
            "mlp.gate_proj": (hidden, inner),
            "mlp.up_proj": (hidden, inner),
            "mlp.down_proj": (inner, hidden),
        }

    def layer_parameters(self) -> int:
        """Return the weights of one layer's linear modules."""
        return sum(inputs * outputs for inputs, outputs in self.layer().values())

    def matrix_parameters(self) -> int:
        """Return the weights that a token is multiplied by: layers and head, no embedding."""
        return self.layers * self.layer_parameters() + self.hidden_size * self.vocabulary

    def total_parameters(self) -> int:
        """Return all parameters: those stated, or those of the family's own layers."""
        if self.parameters:
            return self.parameters
        hidden, inner = self.hidden_size, self.intermediate_size
        embedding = 0 if self.tied_head else self.vocabulary * hidden
        if self.family == "gpt2":
            # Biases of the four linear modules; norms with gain and bias, two a layer and the
            # last one.
            biases = 3 * hidden + hidden + inner + hidden
            rest = self.positions * hidden + self.layers * (biases + 4 * hidden) + 2 * hidden
        else:
            size = self.head_size or hidden // self.heads
            # Gains alone, two a layer; Qwen3 has also those of queries and keys.
            norms = 2 * hidden + (2 * size if self.family == "qwen3" else 0)
            rest = self.layers * norms + hidden
        return self.matrix_parameters() + embedding + rest

    def modules(self, layers: Sequence[int] | None = None) -> dict[str, tuple[int, int]]:
        """Return the linear modules of (all) layers, and the head: name to (inputs, outputs)."""
        inner = {
            f"{_BLOCKS[self.family]}.{number}.{name}": size
            for number in (range(self.layers) if layers is None else layers)
            for name, size in self.layer().items()
        }
        return inner | {HEAD: (self.hidden_size, self.vocabulary)}

    def adapter_parameters(self, hyperparameters: Hyperparameters) -> int:
        """Return the parameters of LoRA's A and B: `rank (inputs + outputs)` a target.

        `target_modules` is read as peft reads it: `all-linear` leaves out the head; a name adapts
        every module that has it as its full name, or as its end after a dot. 0 if none has.
        """
        ends = expanded(hyperparameters.targets, self.family)
        modules = self.modules(hyperparameters.layers(self.layers))
        if ends == [ALL_LINEAR]:
            sizes = [size for name, size in modules.items() if name != HEAD]
        else:
            sizes = [size for name, size in modules.items() if _is_called(name, ends)]
        return hyperparameters.rank * sum(map(sum, sizes))

    def unknown(self, target_modules: str) -> list[str]:
        """Return the names that are no module's."""
        ends = [name for name in expanded(target_modules, self.family) if name != ALL_LINEAR]
        return [end for end in ends if not any(_is_called(name, [end]) for name in self.modules())]


def _is_called(name: str, ends: Sequence[str]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in ends)


def shape_of_config(config: Mapping[str, object], parameters: int = 0) -> Shape:
    """Return the shape that a transformers `config.json` describes.

    An unknown `model_type` is taken for a LLaMA if it has a LLaMA's keys.

    Raises:
        ValueError: a key is missing or no positive integer; the message names it.
    """
    if config.get("model_type") == "gpt2":
        hidden = _integer(config, "n_embd")
        return Shape(
            family="gpt2",
            hidden_size=hidden,
            intermediate_size=_integer(config, "n_inner") if config.get("n_inner") else 4 * hidden,
            layers=_integer(config, "n_layer"),
            heads=_integer(config, "n_head"),
            vocabulary=_integer(config, "vocab_size"),
            positions=_integer(config, "n_positions"),
            tied_head=bool(config.get("tie_word_embeddings", True)),
            parameters=parameters,
        )
    return Shape(
        family="qwen3" if config.get("model_type") == "qwen3" else "llama",
        hidden_size=_integer(config, "hidden_size"),
        intermediate_size=_integer(config, "intermediate_size"),
        layers=_integer(config, "num_hidden_layers"),
        heads=_integer(config, "num_attention_heads"),
        key_value_heads=_optional(config, "num_key_value_heads"),
        head_size=_optional(config, "head_dim"),
        vocabulary=_integer(config, "vocab_size"),
        tied_head=bool(config.get("tie_word_embeddings", False)),
        parameters=parameters,
    )


def _optional(config: Mapping[str, object], key: str) -> int:
    return _integer(config, key) if config.get(key) else 0


def _integer(config: Mapping[str, object], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"`{key}`: a positive integer is expected, got {value!r}")
    return value


def shape_of_folder(folder: Path) -> Shape:
    """Return the shape of a model in a folder, its parameters counted in the safetensors files.

    Raises:
        ValueError: `config.json` or a file of weights cannot be read; the message names it.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        parameters = sum(map(_stored_parameters, sorted(folder.glob("*.safetensors"))))
        if not isinstance(config, dict):
            raise ValueError("config.json: a JSON object is expected")
        return shape_of_config(config, parameters)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise ValueError(f"{folder}: {type(error).__name__}: {error}") from None


def _stored_parameters(path: Path) -> int:
    """Return the numbers in a safetensors file: its header is JSON after 8 bytes of length."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > path.stat().st_size:  # some other file: its first bytes are no length
            raise ValueError(f"{path.name}: no safetensors header")
        header = json.loads(stream.read(length))
    return sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
