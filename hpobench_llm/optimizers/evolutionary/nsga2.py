"""NSGA-II, through pymoo.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
IEEE Transactions on Evolutionary Computation 6(2), 2002; Blank and Deb, "pymoo: multi-objective
optimization in Python", IEEE Access 8, 2020.
"""

from collections import deque
from typing import ClassVar

import numpy as np

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.barrier import relative_excesses
from hpobench_llm.optimizers.base import Optimizer, Suggestion, Trial
from hpobench_llm.optimizers.encoding import as_evaluated, decode, encode
from hpobench_llm.space import Configuration

try:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.individual import Individual
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pymoo":
        raise
    raise MissingDependencyError("pymoo", "pymoo", "the optimizer 'nsga2'") from None


class Nsga2(Optimizer):
    """pymoo's `NSGA2` on the unit cube with equal cells, see `encoding`.

    Defaults of pymoo: simulated binary crossover (probability 0.9, distribution index 15),
    polynomial mutation (20), binary tournaments by rank and crowding. The population is 20, Syne
    Tune's default: with 100, as in the paper and in pymoo, most studies would end before the
    second generation. The first generation is the initial design and uniform draws.

    Constraints follow Deb's rules: the feasible before the infeasible, these by the sum of their
    excesses, each in multiples of its bound, at most a million (`relative_excesses`). A trial
    that failed comes last of all, as its quantities were not measured; where they were, it is
    compared as any other, by the worst losses.

    A generation is evaluated before the next is made, so with several workers `ask` gives None
    while the last trials of a generation run, and while an initial design does. Equal vectors are
    avoided, not equal configurations. Deviation: a categorical axis is cut into cells in the
    order of the space, where pymoo has operators of its own for it. A failed trial has each
    metric's worst value.

    Raises:
        MissingDependencyError: pymoo is not installed.
    """

    takes_constraints = True
    seeding = "seed of NSGA2 from a NumPy generator"
    population: ClassVar[int] = 20
    startup_trials = population

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._rng = np.random.default_rng(self.seed)
        self._initial: list[tuple[Configuration, Evaluation]] = []  # of the initial design
        self._algorithm: NSGA2 | None = None
        self._generation = Population.empty()
        self._waiting: deque[Individual] = deque()
        self._under_way: dict[int, Individual] = {}

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next of the generation, None while its last ones run."""
        while not self._waiting:  # again, if a large initial design is all of the first one
            if self._running:
                return None
            self._next_generation()
            if not len(self._generation):
                return None
        individual = self._waiting.popleft()
        self._under_way[number] = individual
        return Suggestion(decode(self.space, individual.X))

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Enter the outcome into its generation."""
        individual = self._under_way.pop(trial.number, None)
        if individual is None:
            self._initial.append((trial.config, evaluation))
            return
        individual.X = as_evaluated(self.space, individual.X, trial.config)
        self._enter(individual, evaluation)

    def violation(self, evaluation: Evaluation) -> float:
        """Return by how much a trial breaks its constraints; 0 where it keeps them."""
        return sum(max(0.0, e) for e in relative_excesses(self.constraints, evaluation))

    def _enter(self, individual: Individual, evaluation: Evaluation) -> None:
        individual.F = np.array([evaluation.loss(metric) for metric in self.objectives])
        individual.G = np.array([self.violation(evaluation)])
        individual.evaluated.update(("F", "G", "H"))  # by which it is known as done, see below

    def _next_generation(self) -> None:
        if self._algorithm is None:
            self._algorithm = self._begin()
        else:
            self._algorithm.tell(infills=self._generation)
        offspring = self._algorithm.ask()
        self._generation = Population.empty() if offspring is None else offspring
        # Those of the initial design are evaluated already.
        self._waiting.extend(i for i in self._generation if not i.evaluated)

    def _begin(self) -> NSGA2:
        first = []
        for config, evaluation in self._initial:
            first.append(Individual(X=encode(self.space, config)))
            self._enter(first[-1], evaluation)
        draws = max(0, self.population - len(first))
        first += [Individual(X=point) for point in self._rng.random((draws, len(self.space)))]
        algorithm = NSGA2(pop_size=self.population, sampling=Population.create(*first))
        # One inequality: its violation is all that Deb's rules need to know.
        cube = Problem(
            n_var=len(self.space), n_obj=len(self.objectives), n_ieq_constr=1, xl=0.0, xu=1.0
        )
        algorithm.setup(cube, termination=NoTermination(), seed=int(self._rng.integers(2**31)))
        return algorithm
