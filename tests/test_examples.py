"""Every example of a docstring runs and prints what stands there, and what is public has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import hpobench_llm
from hpobench_llm import adapters, space
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.optimizers.base import Suggestion
from hpobench_llm.replaying.trajectory import Trajectory

HOME = Path(hpobench_llm.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(HOME.parent).with_suffix("").parts)
    for path in HOME.rglob("*.py")
    if ">>>" in path.read_text("utf-8")
)
# What people call: functions, and classes with the methods that are asked for most.
PUBLIC = [
    *(getattr(hpobench_llm, name) for name in hpobench_llm.__all__ if name != "__version__"),
    *(space.Space, space.Float, space.Integer, space.Ordinal, space.Categorical, space.Simplex),
    *(Metric, Fidelity, Evaluation, Suggestion, Trajectory.to_frame, Trajectory.save),
    *(Benchmark.query, Benchmark.query_many, Benchmark.configurations, Benchmark.optimum),
    *(Benchmark.pareto_front, Benchmark.hypervolume, Benchmark.noise, Benchmark.constrained),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    try:
        module = importlib.import_module(name)
    except (ImportError, MissingDependencyError) as error:
        pytest.skip(f"a library is missing: {error}")
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__qualname__)
def test_what_is_public_has_an_example(public):
    assert ">>>" in (inspect.getdoc(public) or ""), f"{public.__module__}.{public.__qualname__}"


def test_every_adapter_has_an_example():
    examples = "".join(path.read_text("utf-8") for path in (HOME / "adapters").glob("*.py"))
    lines = [line for line in examples.splitlines() if ">>>" in line]
    for name in adapters.__all__:
        assert any(f"{name}(" in line for line in lines), name
