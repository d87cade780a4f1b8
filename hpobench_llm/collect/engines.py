"""The training engines by name: each turns runs into ledger records."""

from collections.abc import Callable, Sequence
from typing import Any

from hpobench_llm.collect.campaign import Run
from hpobench_llm.collect.plan import EngineName
from hpobench_llm.collect.train import Workbench, train_run

OnStep = Callable[[int], None]
Engine = Callable[[Workbench, Sequence[Run], OnStep], list[dict[str, Any]]]


def engine(name: EngineName) -> Engine:
    """Return the engine called `packed` or `peft`; it returns one record a run, in their order."""
    return {"peft": _peft, "packed": _peft}[name]


def _peft(bench: Workbench, runs: Sequence[Run], on_step: OnStep) -> list[dict[str, Any]]:
    return [train_run(bench, run, on_step=on_step) for run in runs]
