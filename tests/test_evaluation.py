"""An evaluation travels between processes, and stays what it is."""

import copy
import pickle
from types import MappingProxyType

import pytest

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.evaluation import Evaluation


@pytest.mark.parametrize(
    "again", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy, copy.copy]
)
def test_a_copy_is_equal_and_as_read_only(again):
    measured = load("lora-nano").query(load("lora-nano").space.sample(0))
    received = again(measured)
    assert received == measured
    assert isinstance(received.metrics, MappingProxyType)
    with pytest.raises(TypeError):
        received.metrics["val_loss"] = 0.0
    with pytest.raises(AttributeError):
        received.status = "failed"


def test_a_copy_is_one_of_its_own():
    values = {"loss": 1.0}
    measured = Evaluation(metrics=values, cost_seconds=2.0, tokens=3.0, status="diverged")
    received = copy.deepcopy(measured)
    values["loss"] = 5.0
    assert received.metrics == {"loss": 1.0}
    assert (received.cost_seconds, received.tokens, received.status) == (2.0, 3.0, "diverged")
