"""A benchmark as a blackbox of Syne Tune (Salinas et al., AutoML 2022).

blackbox = SyneTuneBlackbox(load("lora-nano"))
backend = UserBlackboxBackend(blackbox, elapsed_time_attr="cost_seconds")
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.cells import COST
from hpobench_llm.errors import ConfigurationError, MissingDependencyError, NotInTableError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.space import Categorical, Dimension, Float, Integer
from hpobench_llm.sticks import StickSpace

try:
    from syne_tune import config_space as domains
    from syne_tune.blackbox_repository.blackbox import Blackbox
except ModuleNotFoundError as error:  # syne-tune, or what its blackboxes need beside it
    raise MissingDependencyError(str(error.name), "syne-tune", "`SyneTuneBlackbox`") from None


class SyneTuneBlackbox(Blackbox):  # type: ignore[misc]
    """Answers Syne Tune's calls from a benchmark.

    Objectives are the metrics in their own units, and `cost_seconds`, which grows along the
    fidelity: the backend's `elapsed_time_attr`. A run that failed has each metric's worst value.
    `seed=None` is the mean over the benchmark's seeds, where Syne Tune's own tables draw one from
    numpy's global generator. Without a fidelity the answer is the whole curve along the one axis,
    `(levels, objectives)`; NaN stands where a run had ended. Level 0, the untrained base, is left
    out: in Syne Tune a resource is positive. Proportions are their sticks, see
    `hpobench_llm.sticks`, and become what was measured nearest.

    Example:
        >>> from hpobench_llm import load
        >>> blackbox = SyneTuneBlackbox(load("lora-nano"))
        >>> config, _ = load("lora-nano").optimum("val_loss")
        >>> blackbox(config, fidelity={"step": 128}, seed=0)["val_loss"] < 3.7
        True

    Raises:
        ConfigurationError: the benchmark has several fidelity axes, which Syne Tune cannot take.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        if len(benchmark.fidelities) > 1:
            names = ", ".join(axis.name for axis in benchmark.fidelities)
            raise ConfigurationError(
                f"{benchmark.name}: Syne Tune takes one fidelity axis, not {names}"
            )
        self.benchmark = benchmark
        self._sticks = StickSpace.of(benchmark.space)
        self._axis = benchmark.fidelities[0] if benchmark.fidelities else None
        self._values = [v for v in self._axis.values if v > 0] if self._axis else []
        super().__init__(
            configuration_space={d.name: _domain(d) for d in self._sticks or benchmark.space},
            fidelity_space={self._axis.name: _range(self._values)} if self._axis else None,
            objectives_names=[*benchmark.metrics, COST],
        )

    @property
    def fidelity_values(self) -> NDArray[Any] | None:
        """The levels of the one axis, None where there is none."""
        return np.array(self._values) if self._axis else None

    def _objective_function(
        self,
        configuration: dict[str, Any],
        fidelity: dict[str, int | float] | None = None,
        seed: int | None = None,
    ) -> dict[str, float] | NDArray[np.float64]:
        names = self.objectives_names
        if self._sticks is not None:
            configuration = self.benchmark.snap(self._sticks.decode(configuration))
        if fidelity is not None or self._axis is None:
            answer = self.benchmark.query(configuration, fidelity=fidelity, seed=seed)
            return dict(zip(names, self._objectives(answer), strict=True))
        curve = np.full((len(self._values), len(names)), np.nan)
        for number, value in enumerate(self._values):
            try:
                answer = self.benchmark.query(
                    configuration, fidelity={self._axis.name: value}, seed=seed
                )
            except NotInTableError:
                if number == 0:  # nothing of this run is there: no early end, but an error
                    raise
                break
            curve[number] = self._objectives(answer)
        return curve

    def _objectives(self, answer: Evaluation) -> list[float]:
        metrics = self.benchmark.metrics.values()
        return [*(m.from_loss(answer.loss(m)) for m in metrics), answer.cost_seconds]


def _domain(d: Dimension) -> Any:
    match d:
        case Float():
            return (domains.loguniform if d.log else domains.uniform)(d.low, d.high)
        case Integer():
            return (domains.lograndint if d.log else domains.randint)(d.low, d.high)
        case Categorical():
            return domains.choice(list(d.values))
        case _:
            return domains.ordinal(list(d.values), kind="nn-log" if d.log else "nn")


def _range(values: list[int | float]) -> Any:
    if all(isinstance(value, int) for value in values):
        return domains.randint(int(values[0]), int(values[-1]))
    return domains.uniform(values[0], values[-1])
