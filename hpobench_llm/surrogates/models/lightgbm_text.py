"""LightGBM's text of a model as arrays: the numerical splits and the leaves of each tree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import IntegrityError

_CATEGORICAL, _MISSING, _ZERO_IS_MISSING = 1, 12, 4  # bits of `decision_type`


@dataclass(frozen=True, slots=True)
class Tree:
    """`feature`, `threshold`, `left` and `right` are `(splits,)`, `value` is `(splits + 1,)`.

    A child is a split, or a leaf as its complement (`~leaf`); the first split is the root.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


def trees_of(text: str) -> list[Tree]:
    """Return the trees of a model in the order in which they are summed.

    Raises:
        IntegrityError: it is no such text, or has splits of another kind.
    """
    # What comes after the trees (importances, parameters) plays no part in a prediction.
    head, *blocks = text.split("end of trees")[0].split("\nTree=")
    if not head.startswith("tree\n") or not blocks:
        raise IntegrityError("not LightGBM's text of a model with trees")
    try:
        return [_tree(block) for block in blocks]
    except (KeyError, ValueError, OverflowError) as error:
        raise IntegrityError(f"a tree of LightGBM's text cannot be read: {error}") from None


def _tree(block: str) -> Tree:
    lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    # A tree of one leaf has no lines of splits.
    tree = Tree(
        feature=_integers(lines.get("split_feature", "")),
        threshold=_numbers(lines.get("threshold", "")),
        left=_integers(lines.get("left_child", "")),
        right=_integers(lines.get("right_child", "")),
        value=_numbers(lines["leaf_value"]),
    )
    splits = len(tree.value) - 1
    kinds = _integers(lines.get("decision_type", ""))
    per_split = (tree.feature, tree.threshold, tree.left, tree.right, kinds)
    if {len(array) for array in per_split} != {splits}:
        raise ValueError(f"{len(tree.value)} leaves need {splits} splits")
    if (kinds & _CATEGORICAL).any() or ((kinds & _MISSING) == _ZERO_IS_MISSING).any():
        raise ValueError("a split that is no plain comparison")
    for child in (tree.left, tree.right):
        if ((child >= splits) | (child < ~splits)).any():
            raise ValueError("a child that does not exist")
    return tree


def _integers(text: str) -> NDArray[np.int64]:
    return np.array([int(word) for word in text.split()], dtype=np.int64)


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split()], dtype=np.float64)
