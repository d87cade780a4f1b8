"""A random forest whose trees are asked one by one, of scikit-learn's trees.

Breiman, "Random forests", Machine Learning 45, 2001; as a model of losses Hutter, Hoos and
Leyton-Brown, "Sequential model-based optimization for general algorithm configuration", LION 2011.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import MissingDependencyError

try:
    from sklearn.tree import DecisionTreeRegressor
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise MissingDependencyError("scikit-learn", "surrogate", "the optimizer 'smac-rf'") from None

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, each with the values of its nodes."""

    trees: list[tuple[Any, Array]]

    @staticmethod
    def fit(inputs: Array, logs: Array, trees: int, rng: np.random.Generator) -> "Forest":
        """Fit trees to the bootstrapped logarithms `logs (n,)` of targets at `inputs (n, d)`.

        A tree grows until its leaves are pure. A leaf's value is the logarithm of the mean of its
        targets, not the mean of their logarithms.
        """
        rows = inputs.astype(np.float32)  # as scikit-learn's trees take them unchecked
        grown = []
        for _ in range(trees):
            drawn = rng.integers(len(rows), size=len(rows))
            fitted = DecisionTreeRegressor(
                min_impurity_decrease=1e-8, random_state=int(rng.integers(2**31))
            ).fit(rows[drawn], logs[drawn], check_input=False)
            nodes = fitted.tree_.apply(rows[drawn])
            counts = np.bincount(nodes)
            sums = np.bincount(nodes, weights=np.exp(logs[drawn]))
            values = np.log(sums, out=np.zeros(len(sums)), where=counts > 0)
            values -= np.log(np.maximum(counts, 1))  # inner nodes have no rows, and are not asked
            grown.append((fitted.tree_, values))
        return Forest(grown)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return mean and variance `(m,)` of what the trees say at `inputs (m, d)`."""
        rows = inputs.astype(np.float32)
        predictions = np.array([values[tree.apply(rows)] for tree, values in self.trees])
        return predictions.mean(axis=0), predictions.var(axis=0)
