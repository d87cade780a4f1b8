"""The sums by which ledgers of format 2 identified their campaign."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpobench_llm.artefacts import canonical_json, sha256_of_text

# The keys of campaigns when ledgers had format 2, whose sums held defaults and the name too.
_KEYS_2 = {
    "": {"name", "base", "data", "checkpoints", "step_rows", "defaults", "score"}
    | {"diverged_factor"},
    "base": {"path", "hub", "revision", "precision"},
    "data": {"source", "max_tokens", "val_rows", "test_rows", "train_rows", "val_fraction"}
    | {"test_fraction", "template", "group_words", "val_subsets", "leaked_rows"},
    "data.source": {"name", "path", "sha256", "hub", "revision", "split", "generated_tasks"}
    | {"rows", "strip_suffix"},
    "defaults": {"rank", "alpha_ratio", "dropout", "lr", "batch_rows", "train_fraction"}
    | {"warmup_fraction", "weight_decay", "clip_norm", "beta1", "beta2", "epsilon", "scaling"}
    | {"target_modules"},
    "score": {"name", "kind", "checkpoints", "path", "sha256", "items", "task", "fewshot"},
}


def sum_of_format_2(campaign: Any) -> str:
    """Return the sum that ledgers of format 2 gave a campaign."""
    recipe = _only(dataclasses.asdict(campaign), "")
    return sha256_of_text(canonical_json(recipe))


def _only(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _only(entry, f"{key}.{name}" if key else name)
            for name, entry in value.items()
            if name in _KEYS_2[key]
        }
    if isinstance(value, tuple | list):
        return [_only(entry, key) for entry in value]
    return value
