"""A sub-network: what is kept of a LLaMA, its size and its FLOPs. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpobench_llm.collect.lora.shape import Shape

# The axes of the spaces: SMALL of Klein et al. (2024), and LLaMA's joint space of Sukthanker et
# al. (2024). LAYER (Klein et al.) has an axis for each layer: `layer_0`, `layer_1`, ...
SMALL = ("layers", "heads", "units")
JOINT = ("width", "heads", "mlp_ratio", "depth")
LAYER = "layer_"


@dataclass(frozen=True, slots=True)
class Subnet:
    """The `layers` that are kept, by number, and in each of them the most important parts.

    `width` is that of the embedding, `heads` counts query heads, `units` those of the MLP.
    """

    width: int
    heads: int
    units: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """The sizes of a whole LLaMA."""

    width: int
    heads: int
    units: int
    layers: int
    key_heads: int
    head_size: int
    vocabulary: int
    tied: bool

    @staticmethod
    def of(shape: Shape) -> "Whole":
        """Return the sizes of a shape, what it leaves open filled in."""
        return Whole(
            width=shape.hidden_size,
            heads=shape.heads,
            units=shape.intermediate_size,
            layers=shape.layers,
            key_heads=shape.key_value_heads or shape.heads,
            head_size=shape.head_size or shape.hidden_size // shape.heads,
            vocabulary=shape.vocabulary,
            tied=shape.tied_head,
        )

    @property
    def group(self) -> int:
        """How many query heads share keys and values: they are kept or dropped together."""
        return self.heads // self.key_heads

    @property
    def subnet(self) -> Subnet:
        """The sub-network that keeps all."""
        return Subnet(self.width, self.heads, self.units, tuple(range(self.layers)))


def subnet_of(
    config: Mapping[str, Any], whole: Whole, by_importance: Sequence[int] = ()
) -> Subnet:
    """Return the sub-network that a configuration of any of the spaces means.

    Of `layers` or `depth` layers the most important are kept, in the order in which they compute.
    `by_importance` names all layers, the most important first; without it the first are kept,
    which suffices to count sizes.

    Raises:
        ValueError: the base has no such part.
    """
    ranked = by_importance or range(whole.layers)
    width = int(config.get("width", whole.width))
    units = config.get("units", whole.units)
    if "mlp_ratio" in config:
        units = round(config["mlp_ratio"] * width)
    switches = sorted(name for name in config if name.startswith(LAYER))
    count = int(config.get("layers", config.get("depth", whole.layers)))
    on = [int(name.removeprefix(LAYER)) for name in switches if config[name]]
    heads = int(config.get("heads", whole.heads))
    for name, value, least, most in (
        ("width", width, 1, whole.width),
        ("heads", heads, whole.group, whole.heads),
        ("units", units, 1, whole.units),
        ("layers", count, 0, whole.layers),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} {value}: the base has {least} to {most}")
    if heads % whole.group:
        raise ValueError(f"heads {heads}: the base's share keys in groups of {whole.group}")
    layers = on if switches else ranked[:count]
    return Subnet(width, heads, int(units), tuple(sorted(layers)))


def matrices(subnet: Subnet, whole: Whole) -> int:
    """Return the weights that a token is multiplied by: those of the layers and of the head."""
    attention = 2 * (subnet.heads + subnet.heads // whole.group) * whole.head_size
    return subnet.width * (len(subnet.layers) * (attention + 3 * subnet.units) + whole.vocabulary)


def parameters(subnet: Subnet, whole: Whole) -> int:
    """Return all parameters of a sub-network."""
    norms = (2 * len(subnet.layers) + 1) * subnet.width
    embedding = 0 if whole.tied else whole.vocabulary * subnet.width
    return matrices(subnet, whole) + norms + embedding


def flops(subnet: Subnet, whole: Whole, tokens: int) -> int:
    """Return the FLOPs of a forward pass over a row of `tokens` tokens.

    Multiplications and additions of all matrices and of the attention over the whole row; norms,
    softmax and activations are left out.
    """
    attention = 4 * tokens * subnet.heads * whole.head_size * len(subnet.layers)
    return tokens * (2 * matrices(subnet, whole) + attention)
