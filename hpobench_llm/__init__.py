"""HPOBench-LLM: real LoRA fine-tunes as tables, surrogates on them, and any optimizer replayed.

Everything below is loaded when it is first used, so that `import hpobench_llm` costs little.
"""

from typing import TYPE_CHECKING

from hpobench_llm.lazy import lazily

if TYPE_CHECKING:
    from hpobench_llm.advice.advise import advise
    from hpobench_llm.benchmarks.catalogue import list_benchmarks, load
    from hpobench_llm.benchmarks.suite import list_suites, suite
    from hpobench_llm.collect.collection import collect_grid
    from hpobench_llm.optimizers.registry import list_optimizers
    from hpobench_llm.publishing.site import publish
    from hpobench_llm.replaying.replay import replay
    from hpobench_llm.report.compare import compare
    from hpobench_llm.study import Study

__version__ = "0.1.0"
__all__ = [
    "Study",
    "__version__",
    "advise",
    "collect_grid",
    "compare",
    "list_benchmarks",
    "list_optimizers",
    "list_suites",
    "load",
    "publish",
    "replay",
    "suite",
]

_HOMES = {
    "Study": "hpobench_llm.study",
    "advise": "hpobench_llm.advice.advise",
    "collect_grid": "hpobench_llm.collect.collection",
    "compare": "hpobench_llm.report.compare",
    "list_benchmarks": "hpobench_llm.benchmarks.catalogue",
    "list_optimizers": "hpobench_llm.optimizers.registry",
    "list_suites": "hpobench_llm.benchmarks.suite",
    "load": "hpobench_llm.benchmarks.catalogue",
    "publish": "hpobench_llm.publishing.site",
    "replay": "hpobench_llm.replaying.replay",
    "suite": "hpobench_llm.benchmarks.suite",
}

__getattr__, __dir__ = lazily(__name__, __all__, _HOMES)
