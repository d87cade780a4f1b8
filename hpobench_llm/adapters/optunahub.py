"""A benchmark as a problem of OptunaHub, whose form its registry's benchmarks have.

problem = OptunaHubProblem(load("lora-nano"))
study = optuna.create_study(directions=problem.directions)
study.optimize(problem, n_trials=50)
"""

from typing import Any

from hpobench_llm.adapters.optuna import OptunaObjective
from hpobench_llm.errors import MissingDependencyError

try:
    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection
    from optunahub.benchmarks import BaseProblem
except ModuleNotFoundError as error:  # optunahub, or what it needs
    raise MissingDependencyError(str(error.name), "optunahub", "`OptunaHubProblem`") from None


class OptunaHubProblem(OptunaObjective, BaseProblem):  # type: ignore[misc]
    """An `OptunaObjective` with the properties and methods of `optunahub.benchmarks.BaseProblem`.

    Arguments, parameters, attributes and constraints of a trial are those of `OptunaObjective`.

    Example:
        >>> from hpobench_llm import load
        >>> problem = OptunaHubProblem(load("toy-bowl"))
        >>> sorted(problem.search_space) == sorted(load("toy-bowl").space.names)
        True
    """

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """The distributions by name."""
        return self.distributions()

    @property
    def directions(self) -> list[StudyDirection]:
        """The `directions` of `optuna.create_study`."""
        return [StudyDirection[direction.upper()] for direction in super().directions]

    def evaluate(self, params: dict[str, Any]) -> float | tuple[float, ...]:
        """Return the objectives at parameters of `search_space`."""
        return self.values(self.answer(params)[1])

    def evaluate_constraints(self, params: dict[str, Any]) -> dict[str, float]:
        """Return the excess over each of the benchmark's bounds; at most 0 within."""
        return dict(self.answer(params)[1].constraints)
