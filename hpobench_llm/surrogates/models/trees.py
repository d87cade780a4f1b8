"""Gradient-boosted regression trees, fitted by LightGBM (Ke et al., 2017), kept as arrays.

LightGBM reads its own text without checking it: a forged one ends the interpreter. So its splits
and leaves are taken over as arrays when it has fitted, checked when they are read, and evaluated
here, to the rounding of LightGBM's own sums; reading a surrogate does not need the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import IntegrityError, MissingDependencyError
from hpobench_llm.surrogates.models.base import (
    Files,
    FloatArray,
    ModelFamily,
    check_shapes,
    pack,
    size_of,
    unpack,
)
from hpobench_llm.surrogates.models.lightgbm_text import Tree, trees_of

SETTINGS: dict[str, str | int | float | bool] = {
    "objective": "regression",
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "learning_rate": 0.05,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}
ROUNDS = 400

_DEEPEST = 256
_LEAST_ROWS = 20  # five folds leave 16 to fit, bagging 12 of them to a tree: two leaves of 5
_NODES_AT_ONCE = 1 << 15  # rows times trees, so that their arrays stay in the cache


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees of several targets: `roots (targets, trees)` are nodes, `value` sums over the trees.

    Node `i` sends a row to `left[i]` where `row[feature[i]] <= threshold[i]`, else to `right[i]`;
    a leaf sends it to itself and is worth `value[i]`. All are `(nodes,)` whole numbers or values.
    A node's children stand behind it, so that no row goes in circles.
    """

    feature: FloatArray
    threshold: FloatArray
    left: FloatArray
    right: FloatArray
    value: FloatArray
    roots: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`."""
        at_once = max(1, _NODES_AT_ONCE // max(1, self.roots.size))
        starts = range(0, len(features), at_once)
        parts = [self._predict(features[start : start + at_once]) for start in starts]
        return np.concatenate(parts) if parts else np.empty((0, len(self.roots)))

    def _predict(self, features: FloatArray) -> FloatArray:
        feature, children, roots = self._indices
        values = features.ravel()
        row = (np.arange(len(features)) * features.shape[1])[:, None]
        # All rows take a step in all trees at once; a row in a leaf stays there.
        node = np.broadcast_to(roots.ravel(), (len(features), roots.size))
        for _ in range(self._depth):
            right = values.take(feature.take(node) + row) > self.threshold.take(node)
            node = children.take(2 * node + right)
        worth: FloatArray = self.value.take(node).reshape(-1, *roots.shape).sum(axis=2)
        return worth

    @cached_property
    def _indices(self) -> tuple[NDArray[np.intp], ...]:
        """Features, `(2 nodes,)` children by turns, and roots, as indices."""
        children = np.stack((self.left, self.right), axis=1).ravel()
        return tuple(array.astype(np.intp) for array in (self.feature, children, self.roots))

    @cached_property
    def _depth(self) -> int:
        """How many steps it takes from a root to the farthest leaf."""
        _, children, roots = self._indices
        left, right = children[::2], children[1::2]
        nodes, depth = np.unique(roots), 0
        while len(inner := nodes[left[nodes] != nodes]):  # a leaf's children are itself
            nodes = np.unique(np.concatenate((left[inner], right[inner])))
            depth += 1
            if depth > _DEEPEST:  # a forged file could keep the walk busy for long
                raise IntegrityError(f"trees deeper than {_DEEPEST}")
        return depth

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return pack(**{name: getattr(self, name) for name in _ARRAYS})

    def targets(self, inputs: int) -> int:
        """See `Model.targets`."""
        nodes = self.value.size
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        shape = {name: (nodes,) for name in _ARRAYS[:-1]}
        check_shapes(arrays, shape | {"roots": (size_of(self.roots, 0), size_of(self.roots, 1))})
        _check_range("feature", self.feature, inputs)
        for name in ("left", "right", "roots"):
            _check_range(name, arrays[name], nodes)
        own = np.arange(nodes)
        leaf = (self.left == own) & (self.right == own)
        if not (leaf | ((self.left > own) & (self.right > own))).all():
            raise IntegrityError("a node of a tree whose children do not stand behind it")
        _ = self._depth  # refuses trees that are too deep
        return len(self.roots)


_ARRAYS = ("feature", "threshold", "left", "right", "value", "roots")


def _check_range(name: str, indices: FloatArray, end: int) -> None:
    if not ((indices >= 0) & (indices < end) & (indices == np.rint(indices))).all():
        raise IntegrityError(f"`{name}`: whole numbers from 0 to {end - 1} are expected")


def _as_arrays(boosters: Sequence[Sequence[Tree]]) -> Trees:
    """Lay the trees of each target one behind the other.

    The first node is a leaf that is worth nothing: the trees that a shorter booster lacks.
    """
    columns: list[list[FloatArray]] = [[np.zeros(1)] for _ in _ARRAYS[:-1]]
    roots = np.zeros((len(boosters), max((len(trees) for trees in boosters), default=0)))
    start = 1
    for target, trees in enumerate(boosters):
        for number, tree in enumerate(trees):
            roots[target, number] = start
            splits, leaves = len(tree.feature), len(tree.value)
            own = start + splits + np.arange(leaves, dtype=np.float64)
            nothing = np.zeros(leaves)  # a leaf compares feature 0 with 0: either way it stays
            # LightGBM counts leaves by complement (~0, ~1, ...); here they follow the splits.
            children = [
                np.where(child < 0, start + splits + ~child, start + child).astype(np.float64)
                for child in (tree.left, tree.right)
            ]
            parts = (
                np.concatenate((tree.feature.astype(np.float64), nothing)),
                np.concatenate((tree.threshold, nothing)),
                np.concatenate((children[0], own)),
                np.concatenate((children[1], own)),
                np.concatenate((np.zeros(splits), tree.value)),
            )
            for column, part in zip(columns, parts, strict=True):
                column.append(part)
            start += splits + leaves
    feature, threshold, left, right, value = (np.concatenate(column) for column in columns)
    return Trees(feature, threshold, left, right, value, roots)


def fit_trees(features: FloatArray, targets: FloatArray, seed: int) -> Trees:
    """Fit one booster a target.

    Raises:
        MissingDependencyError: LightGBM cannot be used here.
    """
    try:
        import lightgbm
    except (ImportError, OSError):  # OSError: the OpenMP runtime that it needs is not there
        raise MissingDependencyError("lightgbm", "surrogate", "fitting surrogates") from None
    settings = SETTINGS | {"seed": seed}
    boosters = [
        lightgbm.train(settings, lightgbm.Dataset(features, column), num_boost_round=ROUNDS)
        for column in targets.T
    ]
    return _as_arrays([trees_of(booster.model_to_string()) for booster in boosters])


def _read(files: Files) -> Trees:
    if "npz" in files:
        return Trees(*unpack(files, *_ARRAYS))
    try:  # as format 2 kept them: one text a target
        texts = [files[f"{number}.txt"].decode() for number in range(len(files))]
    except (KeyError, UnicodeDecodeError) as error:
        raise IntegrityError(f"not LightGBM's text: {error}") from None
    return _as_arrays([trees_of(text) for text in texts])


TREES = ModelFamily(
    "trees",
    f"gradient-boosted trees, {ROUNDS} rounds of {SETTINGS['num_leaves']} leaves",
    fit=fit_trees,
    read=_read,
    module="lightgbm",
    least_rows=_LEAST_ROWS,
)
