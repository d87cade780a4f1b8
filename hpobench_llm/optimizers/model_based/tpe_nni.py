"""The tree-structured Parzen estimator of NNI 3.0, in process.

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011,
as `nni.algorithms.hpo.tpe_tuner` implements it. Its models and its split of good and bad trials
differ from Optuna's, see `tpe_optuna`.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion, Trial
from hpobench_llm.space import (
    Categorical,
    Configuration,
    Dimension,
    Float,
    Integer,
    Ordinal,
    Value,
)

_FIRST_IMPORT = "nni" not in sys.modules
try:
    import nni
    from nni.algorithms.hpo.tpe_tuner import TpeTuner
    from nni.common.hpo_utils import format_parameters
except ModuleNotFoundError as error:
    if error.name != "nni":  # nni is there, but not all that it needs
        raise
    raise MissingDependencyError("nni", "nni", "the optimizer 'tpe-nni'") from None
if _FIRST_IMPORT:  # NNI logs to stdout, which is for data; who imported it before may want that
    nni.silence_stdout()


Params = Mapping[str, Any]  # what NNI suggests, by axis


class TpeNni(SingleObjectiveOptimizer):
    """NNI's `TpeTuner` with its defaults.

    These are 20 random trials first, 24 candidates per dimension, every dimension on its own,
    `min(ceil(0.25 * sqrt(n)), 25)` good trials of n, prior weight 1, linear forgetting after 25,
    and for a running trial the best loss so far (constant liar).

    Encoding: an ordinal axis of n levels is its index, a numerical `quniform` on
    (-0.5, n - 0.5) in steps of 1: NNI draws a real number and rounds it, so that each level, the
    first and last included, has an interval of length 1; on [0, n - 1] these two would have half
    a level's chance. An integer range has the same margins, `qloguniform` with log. A real range
    is `uniform` or `loguniform`, a categorical axis is `choice`.

    Without a real axis NNI repeats no configuration: a repetition becomes the next point of its
    grid search, which begins in the middle of every axis, and after the last configuration `ask`
    gives None for ever. On a small table that is much of the run: 32 of 60 trials among 105
    configurations, 4 to 11 among 1680. With a real axis nothing is compared.

    NNI learns the number that it drew, before its rounding. A configuration that was moved
    before it was evaluated, or is of an initial design, is learned as it was evaluated. A trial
    that failed has the metric's worst value.

    Raises:
        MissingDependencyError: nni is not installed.
        OptimizerError: more than one objective.
    """

    startup_trials = 20
    liar = "best loss so far"
    seeding = "seed of TpeTuner"

    def set_up(self) -> None:
        """Build the optimizer's own state."""
        self._tuner = TpeTuner("minimize", seed=self.seed)
        self._tuner.update_search_space({d.name: _search_space(d) for d in self.space})
        self._suggested: dict[int, Configuration] = {}

    def suggest(self, number: int) -> Suggestion | None:
        """Return the next suggestion, None once the space is exhausted."""
        try:
            suggestion = self._tuner.generate_parameters(number)
        except nni.NoMoreTrialError:
            return None
        config = self._suggested[number] = self._decode(suggestion)
        return Suggestion(config)

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """Give NNI the loss of a trial and the configuration that was evaluated."""
        if trial.config != self._suggested.pop(trial.number, None):
            # NNI ignores the configuration of a result and looks its own up by the number.
            self._tuner._running_params[trial.number] = format_parameters(
                {d.name: _encode(d, trial.config) for d in self.space}, self._tuner.space
            )
        self._tuner.receive_trial_result(trial.number, None, evaluation.loss(self.objective))

    def _decode(self, suggestion: Params) -> Configuration:
        return self.space.canonical({d.name: _decode(d, suggestion) for d in self.space})


def _search_space(dimension: Dimension) -> Mapping[str, str | Sequence[Value]]:
    match dimension:
        case Categorical():
            return {"_type": "choice", "_value": list(dimension.values)}
        case Ordinal():
            return {"_type": "quniform", "_value": [*_margins(0, len(dimension.values) - 1), 1]}
        case Integer():
            kind = "qloguniform" if dimension.log else "quniform"
            return {"_type": kind, "_value": [*_margins(dimension.low, dimension.high), 1]}
        case Float():
            kind = "loguniform" if dimension.log else "uniform"
            return {"_type": kind, "_value": [dimension.low, dimension.high]}


def _margins(first: int, last: int) -> tuple[float, float]:
    # One step inside the halves, since Python rounds a half to the even side: NNI's grid search
    # would take the bound itself for one level more, and never come to its end.
    return math.nextafter(first - 0.5, math.inf), math.nextafter(last + 0.5, -math.inf)


def _decode(dimension: Dimension, suggestion: Params) -> object:
    value = suggestion[dimension.name]
    match dimension:
        case Ordinal():
            return dimension.values[round(value)]
        case Float():  # the exponential of a logarithm may miss a bound by its last digit
            return min(max(value, dimension.low), dimension.high)
        case _:
            return value


def _encode(dimension: Dimension, config: Configuration) -> object:
    value = config[dimension.name]
    return dimension.level(value) if isinstance(dimension, Ordinal) else value
