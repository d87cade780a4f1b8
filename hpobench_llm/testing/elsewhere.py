"""Ask an optimizer the same questions in a process that has no benchmark and can import none.

The calls that were made of an optimizer are recorded, with the evaluations that it was told. A
fresh process builds the same optimizer and makes the same calls. Since the answers come from the
record, an optimizer that repeats its trials there needs neither a benchmark nor a table for them.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder
from operator import attrgetter
from pathlib import Path
from typing import Any

from hpobench_llm.constraints import Constraint
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Optimizer, Source, Trial
from hpobench_llm.optimizers.registry import build
from hpobench_llm.space import Space

# What an optimizer must not import, directly or not: whatever knows the answers.
FORBIDDEN = tuple(
    f"hpobench_llm.{part}"
    for part in ("adapters", "benchmarks", "collect", "report", "studies", "surrogates", "tables")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of `ask`, and what it returned."""

    trial: Trial | None


@dataclass(frozen=True, slots=True)
class Told:
    """A call of `tell`."""

    trial: Trial
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Record:
    """How an optimizer was built (the arguments of `build`), and the calls made of it."""

    arguments: Mapping[str, Any]
    calls: Sequence[Asked | Told]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        built = dict(self.arguments)
        built["space"] = built["space"].to_json()
        for key in ("objectives", "fidelities"):
            built[key] = [value.to_json() for value in built[key]]
        for key in ("constraints", "sources"):
            built[key] = [asdict(value) for value in built[key]]
        calls = [asdict(call) for call in self.calls]
        return {"arguments": built, "calls": calls}


def address(optimizer: str | type[Optimizer]) -> dict[str, str]:
    """Return how another process finds an optimizer: by its name, or by module, class and file.

    Raises:
        AssertionError: the class is not at a module's top level.
    """
    if isinstance(optimizer, str):
        return {"name": optimizer}
    if "<locals>" in optimizer.__qualname__:
        raise AssertionError(
            f"{optimizer.__qualname__} is made inside a function: another process cannot find it; "
            "move it to a module's top level"
        )
    module = sys.modules.get(optimizer.__module__)
    file = getattr(module, "__file__", None) or ""
    return {"module": optimizer.__module__, "class": optimizer.__qualname__, "file": file}


def find(location: Mapping[str, str]) -> str | type[Optimizer]:
    """Return the optimizer at an `address`; its module is imported by name, or from its file."""
    if "name" in location:
        return location["name"]
    name, file = location["module"], location["file"]
    installed = importlib.util.find_spec(name) if name != "__main__" else None
    if (
        installed is not None
        and installed.origin
        and (not file or Path(installed.origin).samefile(file))
    ):
        module = importlib.import_module(name)
    else:  # a test's module may have a name that only its test runner knows
        spec = importlib.util.spec_from_file_location("module_of_the_optimizer", file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{name}: no such module, and no file of it")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    optimizer: type[Optimizer] = attrgetter(location["class"])(module)
    return optimizer


class Barrier(MetaPathFinder):
    """Refuses to import what knows the answers."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise `ImportError` for a forbidden module; leave others to the usual finders."""
        if name.startswith(FORBIDDEN):
            raise ImportError(
                f"an optimizer never sees a benchmark or a table, and {name} was imported; where "
                "it is a test or a script that needs it, put the optimizer in a module of its own"
            )


def trials(optimizer: str | type[Optimizer], record: Mapping[str, Any]) -> list[Any]:
    """Make a record's calls; return what `ask` returned, up to the first answer that differs."""
    kwargs = dict(record["arguments"])
    kwargs["space"] = Space.from_json(kwargs["space"])
    kwargs["objectives"] = [Metric.from_json(raw) for raw in kwargs["objectives"]]
    kwargs["fidelities"] = [Fidelity.from_json(raw) for raw in kwargs["fidelities"]]
    kwargs["constraints"] = [Constraint(**raw) for raw in kwargs["constraints"]]
    kwargs["sources"] = [
        Source(
            raw["name"], tuple(raw["configs"]), tuple(Evaluation(**e) for e in raw["evaluations"])
        )
        for raw in kwargs["sources"]
    ]
    answers: list[Any] = []
    with closing(build(optimizer, **kwargs)) as instance:
        for call in record["calls"]:
            if "evaluation" in call:
                instance.tell(Trial(**call["trial"]), Evaluation(**call["evaluation"]))
                continue
            trial = instance.ask()
            answers.append(None if trial is None else asdict(trial))
            if answers[-1] != call["trial"]:
                break  # the evaluations on record are of other trials from here on
    return answers


def repeat(optimizer: str | type[Optimizer], records: Sequence[Record], folder: Path) -> list[Any]:
    """Return `trials` of each record, from a fresh process that works in an empty folder.

    Raises:
        AssertionError: the process failed, printed something, or left something behind.
    """
    order = {"address": address(optimizer), "records": [record.to_json() for record in records]}
    environment = {k: v for k, v in os.environ.items() if k != "HPOBENCH_LLM_DATA"} | {
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        # Another order of sets than here: an optimizer that follows it does not repeat.
        "PYTHONHASHSEED": "7",
        # A cache or a settings file that a library writes is found in the folder, and none is
        # read.
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        input=json.dumps(order),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or done.stderr:
        raise AssertionError(f"in another process it said:\n{done.stderr.strip()}")
    if strays := [path.name for path in folder.iterdir()]:
        raise AssertionError(f"in another process it left files behind: {', '.join(strays)}")
    answers: list[Any] = json.loads(done.stdout)
    return answers


def main() -> None:
    """Read an address and records from stdin, write the trials to stdout."""
    order = json.load(sys.stdin)
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever an optimizer prints is no part of the answers
    # The barrier stops imports alone: what is loaded already would get past it.
    loaded = [name for name in sys.modules if name.startswith(FORBIDDEN)]
    if loaded:
        raise ImportError(f"already imported: {', '.join(loaded)}")
    sys.meta_path.insert(0, Barrier())
    optimizer = find(order["address"])
    answers = [trials(optimizer, record) for record in order["records"]]
    with stdout:
        json.dump(answers, stdout)
