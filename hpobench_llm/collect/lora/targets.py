"""Which modules carry adapters: names as in the base, or groups that every architecture has."""

ALL_LINEAR = "all-linear"
_LLAMA = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}
_GROUPS = {
    "gpt2": {
        "attention": ("attn.c_attn", "attn.c_proj"),
        "mlp": ("mlp.c_fc", "mlp.c_proj"),
    }
}


def expanded(targets: str, model_type: str) -> list[str]:
    """Return the module names of a base that `targets`, joined by commas, mean.

    `attention` and `mlp` stand for an architecture's linear layers of that kind; `model_type` is
    transformers' word for it, and one that is not known here is taken to be like LLaMA.

    >>> expanded("attention", "gpt2")
    ['attn.c_attn', 'attn.c_proj']
    """
    groups = _GROUPS.get(model_type, _LLAMA)
    return [name for target in targets.split(",") for name in groups.get(target, (target,))]
