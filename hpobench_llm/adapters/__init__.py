"""Spaces and benchmarks as other libraries have them; each library is imported in its module.

Everything below is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from hpobench_llm.lazy import lazily

if TYPE_CHECKING:
    from hpobench_llm.adapters.botorch import to_botorch
    from hpobench_llm.adapters.configspace import to_configspace
    from hpobench_llm.adapters.hpobench import HPOBenchDictionary
    from hpobench_llm.adapters.optuna import OptunaObjective
    from hpobench_llm.adapters.optunahub import OptunaHubProblem
    from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

__all__ = [
    "HPOBenchDictionary",
    "OptunaHubProblem",
    "OptunaObjective",
    "SyneTuneBlackbox",
    "to_botorch",
    "to_configspace",
]

_HOMES = {
    "HPOBenchDictionary": "hpobench_llm.adapters.hpobench",
    "OptunaHubProblem": "hpobench_llm.adapters.optunahub",
    "OptunaObjective": "hpobench_llm.adapters.optuna",
    "SyneTuneBlackbox": "hpobench_llm.adapters.syne_tune",
    "to_botorch": "hpobench_llm.adapters.botorch",
    "to_configspace": "hpobench_llm.adapters.configspace",
}

__getattr__, __dir__ = lazily(__name__, __all__, _HOMES)
