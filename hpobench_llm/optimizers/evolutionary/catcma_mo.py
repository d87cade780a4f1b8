"""CatCMA with margin for several objectives: ten distributions that make one front together.

Hamano, Saito, Nomura, Uchida and Shirakawa, arXiv 2504.07884, as `cmaes.COMOCatCMAwM` has it (read
there), on the framework of Touré, Hansen, Auger and Brockhoff, "Uncrowded hypervolume improvement:
COMO-CMA-ES and the sofomore framework", GECCO 2019. Corners of a front in any number of
objectives: Lacour, Klamroth and Fonseca, "A box decomposition algorithm to compute the hypervolume
indicator", Computers and Operations Research 79, 2017.
"""

from typing import Any, ClassVar

import numpy as np

from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.evolutionary.catcma import kernel, silent
from hpobench_llm.optimizers.evolutionary.cmaes_library import COMOCatCMAwM
from hpobench_llm.optimizers.evolutionary.mixed import MixedSpace
from hpobench_llm.optimizers.pareto import Losses, fronts
from hpobench_llm.pareto import hypervolume
from hpobench_llm.space import Configuration


class _AnyObjectives(COMOCatCMAwM):  # type: ignore[misc]  # the library has no types
    """The library's optimizer, for any number of objectives."""

    _MAX_OBJECTIVES = 1000  # the library's is 2, as its own `_UHVI` is for two

    def _UHVI(self, objective: np.ndarray, kernel_id_to_omit: int) -> float:
        others = np.delete(self._incumbents_obj, kernel_id_to_omit, axis=0)
        return uncrowded_improvement(objective, others, self._get_reference_point())


class CatCmaMo(Optimizer):
    """`cmaes.COMOCatCMAwM` with the library's defaults, but for where its kernels begin.

    These are 10 kernels, each a `CatCMAwM` that is moved in turn to where its mean would add most
    hypervolume to the means of the others; a dominated point counts by its distance to their
    front. The reference point is a tenth of the range of all trials beyond their worst. So the
    first trials are the means of all kernels, and in 100 trials each moves about once.

    Deviations: a kernel begins at one of the first fronts of the initial design, the best first
    (`ask` waits for it), or at a uniform draw, with a step size of 0.3 of the range. The library
    knows two objectives; its measure is `uncrowded_improvement` here, which takes any number and
    for two is the same but for ties in one of them, which add nothing here. A single objective
    stands twice. Moved and failed trials are as in `catcma`, kernels are
    not restarted, and with several workers `ask` gives None while the last trials of a kernel run.

    Raises:
        MissingDependencyError: cmaes is not installed.
    """

    seeding = "seeds of COMOCatCMAwM and its kernels from a NumPy generator"
    kernels: ClassVar[int] = 10

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._mixed = MixedSpace(self.space)
        self._initial: list[tuple[Configuration, list[float]]] = []
        self._cma: _AnyObjectives | None = None
        self._under_way: dict[int, Any] = {}

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next of the library's queue; None while what it waits for runs."""
        if self._mixed.empty:
            return Suggestion(self.space.sample(self._rng))
        if self._cma is None:
            if self._running:
                return None
            self._cma = self._begin()
        if not self._cma.ask_queue_size:
            return None
        self._under_way[number] = solution = self._cma.ask()
        return Suggestion(self._mixed.config(solution))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Tell the library the losses of what was evaluated."""
        losses = [evaluation.loss(metric) for metric in self.objectives]
        solution = self._under_way.pop(trial.number, None)
        if solution is None or self._cma is None:  # of an initial design
            self._initial.append((trial.config, losses))
            return
        with silent():
            losses_of_two = losses * 2 if len(losses) == 1 else losses
            self._cma.tell((self._mixed.moved(solution, trial.config), losses_of_two))

    def _begin(self) -> _AnyObjectives:
        table = np.array([losses for _, losses in self._initial]).reshape(
            len(self._initial), len(self.objectives)
        )
        ranked = [int(row) for front in fronts(table) for row in front]
        starts = [self._initial[row][0] for row in ranked[: self.kernels]]
        starts += [self.space.sample(self._rng) for _ in range(self.kernels - len(starts))]
        kernels = [kernel(self._mixed, s, int(self._rng.integers(2**31))) for s in starts]
        return _AnyObjectives(
            **self._mixed.lists, kernels=kernels, seed=int(self._rng.integers(2**31))
        )


def uncrowded_improvement(point: Losses, front: Losses, reference: Losses) -> float:
    """Return what `point` (m,) adds to the hypervolume of `front` (n, m).

    Where it adds nothing, it is minus the distance to where it would: 0 on the boundary itself.
    """
    gaps = np.maximum(point - _corners(front, reference), 0.0)
    distance = float(np.sqrt((gaps**2).sum(axis=1)).min())
    if distance > 0.0:
        return -distance
    return hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)


def _corners(front: Losses, reference: Losses) -> Losses:
    """Return the corners (k, m) of the undominated region; each of its points is below one."""
    corners = reference[None, :]
    for point in front:
        cut = np.all(point < corners, axis=1)
        if not cut.any():
            continue
        # A corner above the point is cut into one for each axis, which ends at the point there.
        pieces = np.repeat(corners[cut], len(reference), axis=0)
        axes = np.tile(np.arange(len(reference)), int(cut.sum()))
        pieces[np.arange(len(pieces)), axes] = point[axes]
        corners = np.unique(np.vstack([corners[~cut], pieces]), axis=0)
        # A corner that is nowhere above another adds nothing.
        below = np.all(corners[:, None, :] <= corners[None, :, :], axis=2)
        np.fill_diagonal(below, False)
        corners = corners[~below.any(axis=1)]
    return corners
