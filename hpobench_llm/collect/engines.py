"""The training engines by name: each turns runs into ledger records."""

from collections.abc import Callable, Sequence
from typing import Any

from hpobench_llm.collect.campaign import Run
from hpobench_llm.collect.packed_engine import train_pack
from hpobench_llm.collect.peft_engine import train_runs
from hpobench_llm.collect.plan import EngineName
from hpobench_llm.collect.workbench import Workbench

OnStep = Callable[[int], None]
Engine = Callable[[Workbench, Sequence[Run], OnStep], list[dict[str, Any]]]


def engine(name: EngineName) -> Engine:
    """Return the engine called `packed` or `peft`; it returns one record a run, in their order."""
    return {"packed": train_pack, "peft": train_runs}[name]
