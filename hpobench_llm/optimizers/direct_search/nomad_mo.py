"""NOMAD 4 for several objectives: DMulti-MADS, a mesh adaptive direct search on a front.

Bigeon, Le Digabel and Salomon, "DMulti-MADS: mesh adaptive direct multisearch for
bound-constrained blackbox multiobjective optimization", Computational Optimization and
Applications 79, 2021, in the NOMAD of `nomad`, whose process and encoding it shares.
"""

from collections.abc import Sequence

import numpy as np

from hpobench_llm.optimizers.direct_search.nomad import NomadOptimizer
from hpobench_llm.optimizers.pareto import fronts, unit_scaled


class NomadMo(NomadOptimizer):
    """DMulti-MADS through PyNomad, with NOMAD's defaults except where they crash.

    Set here: `DMULTIMADS_OPTIMIZATION yes`, the poll `ORTHO 2N` (with NOMAD's default directions
    PyNomad 4.6.0 crashes), and what `Nomad` sets. With one objective, which DMulti-MADS refuses,
    only the poll differs from `nomad`. Encoding, process, what is sequential and what ends early
    are as described there: among 105 configurations it ends after 38 to 60 trials, most of its 6 s
    spent on known points.

    Constraints are those of `nomad`, under the progressive barrier; with the extreme one PyNomad
    4.6.0 crashes, mostly, where the start is infeasible.

    It starts at a member of the initial design's front, where there is one: that with the lowest
    sum of losses, each scaled to [0, 1] over the design. DMulti-MADS handles two and three
    objectives; more are not tested. A failed trial has each metric's worst value.

    Raises:
        MissingDependencyError: PyNomadBBO is not installed.
        OptimizerError: as for `Nomad`, but for the number of objectives.
    """

    name = "nomad-mo"

    def best(self, losses: Sequence[Sequence[float]]) -> int:
        """Return the index of the most balanced member of the front."""
        array = np.array(losses)
        front = fronts(array)[0]
        return int(front[np.argmin(unit_scaled(array)[front].sum(axis=1))])

    def parameters(self, kinds: Sequence[str]) -> list[str]:
        """Return the algorithm and the poll's directions."""
        several = ["DMULTIMADS_OPTIMIZATION yes"] if len(self.objectives) > 1 else []
        return [*several, "DIRECTION_TYPE ORTHO 2N"]
