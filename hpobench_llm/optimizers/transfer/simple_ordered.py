"""Ordered transfer: the best configurations of the newest tasks first, then a Gaussian process.

Hellan, Shen, Aubet, Salinas and Klein, "Obeying the order: introducing ordered transfer
hyperparameter optimisation", 2023 (arXiv 2306.16916). Our own code; the process is that of `Gp`.
"""

import numpy as np

from hpobench_llm.optimizers.base import Source
from hpobench_llm.optimizers.model_based.gp import Gp
from hpobench_llm.optimizers.transfer.knowledge import best_of_all


class SimpleOrdered(Gp):
    """Evaluates 5 configurations of the sources, then asks `Gp`, without further random trials.

    The 5 follow a study's own initial design: of each source its best, then its second best, the
    newest source first, see `best_of_all`. A configuration that failed on a source, or is in the
    design already, is passed over. Sources that have fewer give fewer: draws of `Gp` take their
    places among the first 5 trials.
    """

    startup_trials = 5

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        super().set_up()
        self._design.extend(
            best_of_all(
                self.used_sources(),
                (self.objective,),
                5,
                exclude=self._design,
                shuffle=self.shuffle(),
            )
        )

    def used_sources(self) -> tuple[Source, ...]:
        """Return the sources whose configurations are tried."""
        return self.sources

    def shuffle(self) -> np.random.Generator | None:
        """Return what shuffles the sources at every level; None: their order stays."""
        return None


class SimpleOrderedShuffled(SimpleOrdered):
    """`SimpleOrdered` as if tasks had no order: an ablation.

    At every level the sources have their turns in another random order.
    """

    def shuffle(self) -> np.random.Generator:
        """Return what shuffles the sources at every level."""
        return np.random.default_rng([self.seed, 1])


class SimplePrevious(SimpleOrdered):
    """`SimpleOrdered` that only knows the last source."""

    def used_sources(self) -> tuple[Source, ...]:
        """Return the last source."""
        return self.sources[-1:]
