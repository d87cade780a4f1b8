"""The training engines by name: each turns runs into ledger records."""

from collections.abc import Callable, Sequence

from hpobench_llm.collect.campaign.plan import EngineName
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.engines.packed import train_pack
from hpobench_llm.collect.engines.peft_loop import train_runs
from hpobench_llm.collect.engines.workbench import Workbench
from hpobench_llm.collect.record import RunRecord

OnStep = Callable[[int], None]
Engine = Callable[[Workbench, Sequence[Run], OnStep], list[RunRecord]]


def engine(name: EngineName) -> Engine:
    """Return the engine called `packed` or `peft`; it returns one record a run, in their order."""
    return {"packed": train_pack, "peft": train_runs}[name]
