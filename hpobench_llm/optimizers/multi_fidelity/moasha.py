"""MO-ASHA: asynchronous successive halving for several objectives. Our own code.

Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous successive
halving", arXiv 2106.12639, 2021; the order of a rung is that of Salinas, Perrone, Cruchant and
Archambeau, "A multi-objective perspective on jointly tuning hardware and hyperparameters", NAS
workshop at ICLR 2021 (EpsNet).
"""

import numpy as np

from hpobench_llm.optimizers.multi_fidelity.asha import Promotion
from hpobench_llm.optimizers.multi_fidelity.rungs import RungMember
from hpobench_llm.optimizers.pareto import epsilon_net, fronts


class MoAsha(Promotion):
    """ASHA that ranks a rung by non-dominated fronts, and within a front by an epsilon-net.

    Defaults of Syne Tune and of `Asha`: reduction factor 3, all begin at the lowest rung. Runs
    are promoted as in `Asha`, where Syne Tune stops them. With one objective it is ASHA. A failed
    trial is never promoted; it counts as a member of its rung.

    Deviation: within a front the objectives are scaled to [0, 1] before distances are taken, so
    that their units do not matter; the first of a front is the best in the first objective, as in
    Syne Tune.
    """

    def best(self, rung: list[RungMember], count: int) -> list[RungMember]:
        """Return the `count` first in the order of the fronts."""
        sound = [member for member in rung if member.ok]
        ranked: list[RungMember] = []
        losses = np.array([member.losses for member in sound]).reshape(
            len(sound), len(self.objectives)
        )
        # Whole fronts, until there are enough: the net of the last one decides who is in.
        for front in fronts(losses) if count else ():
            ranked += [sound[front[i]] for i in epsilon_net(losses[front])]
            if len(ranked) >= count:
                break
        return ranked[:count]
