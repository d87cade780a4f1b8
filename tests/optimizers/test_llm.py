"""`llm` and `llm-cmaes`: what the model is told, what is read and kept, and what goes wrong."""

import json
import socket
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.constraints import Constraint
from hpobench_llm.errors import ConfigurationError, IntegrityError, OptimizerError
from hpobench_llm.evaluation import Evaluation
from hpobench_llm.metrics import Metric
from hpobench_llm.optimizers.language_model.endpoint import Endpoint
from hpobench_llm.optimizers.language_model.prompt import (
    SHOWN,
    FinishedTrial,
    question,
    read_configuration,
)
from hpobench_llm.replaying.replay import replay
from hpobench_llm.space import Categorical, Float, Ordinal, Space
from hpobench_llm.testing.benchmarks import bowl, mixture, sphere
from hpobench_llm.testing.drive import configs, trials
from tests.endpoint import StandIn, answer, completion

SPACE = Space(
    (Float("lr", 1e-5, 1e-2, log=True), Ordinal("rank", (4, 8)), Categorical("target", ("q", "v")))
)
LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0)
GOOD = {"lr": 1e-3, "rank": 8, "target": "v"}


@pytest.fixture
def endpoint(monkeypatch, tmp_path):
    """Return what starts a stand-in with a reply of its own, and an empty folder of answers."""
    started = []

    def start(reply=None):
        started.append(StandIn(reply))
        monkeypatch.setenv("HPOBENCH_LLM_ENDPOINT", started[-1].url)
        return started[-1]

    monkeypatch.setenv("HPOBENCH_LLM_ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setattr(Endpoint, "pauses", (0.0, 0.0))
    yield start
    for stand_in in started:
        stand_in.close()


def says(text: str) -> Callable[..., tuple[int, bytes]]:
    return lambda body: (200, completion(text))


def answered(body):
    return 200, completion(answer(body))


def known(number, loss=1.0, status="ok", **excess):
    return FinishedTrial(
        number,
        GOOD,
        Evaluation(
            metrics={"val_loss": loss}, cost_seconds=1.0, status=status, constraints=excess
        ),
    )


def test_the_prompt_holds_space_goal_limits_trials_and_what_runs():
    memory = Constraint(name="peak_memory_bytes", bound=4e9, unit="bytes")
    past = [known(0, 1.5), known(1, status="diverged"), known(2, 1.4, peak_memory_bytes=2e9)]
    text = question(SPACE, [LOSS], [memory], past, [GOOD | {"rank": 4}], 20)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert Space.from_json(lines[:3]) == SPACE
    assert lines[3:] == [
        {"trial": 0, "config": GOOD, "status": "ok", "val_loss": 1.5},
        {"trial": 1, "config": GOOD, "status": "diverged"},
        {
            "trial": 2,
            "config": GOOD,
            "status": "ok",
            "val_loss": 1.4,
            "beyond_limit_by": {"peak_memory_bytes": 2e9},
        },
        GOOD | {"rank": 4},
    ]
    assert "minimize val_loss (nats)" in text
    assert "peak_memory_bytes at most 4e+09 bytes" in text
    assert "3 of 20" in text


def test_a_long_history_is_its_best_and_its_latest():
    past = [known(number, loss=abs(number - 20.0)) for number in range(100)]
    text = question(SPACE, [LOSS], [], past, [], 200)
    numbers = [json.loads(line)["trial"] for line in text.splitlines() if '"trial"' in line]
    assert len(numbers) == SHOWN
    assert numbers == [*range(13, 28), *range(85, 100)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"<think>{{not json}} maybe {json.dumps(GOOD | {'rank': 4})}?</think>\n{json.dumps(GOOD)}",
        f"```json\n{json.dumps(GOOD | {'why': 'a guess'}, indent=2)}\n```\nGood luck! {{}}",
    ],
)
def test_the_last_object_with_all_axes_is_read(text):
    assert read_configuration(text, SPACE) == GOOD


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr = 1e-3, rank = 8", "no JSON object with a value for each of lr, rank, target"),
        ('{"lr": 0.001, "rank": 8}', "no JSON object"),
        (json.dumps(GOOD | {"rank": 16}), "16 is not on its axis"),
        (json.dumps(GOOD | {"lr": 1.0}), "outside its range"),
        (json.dumps(GOOD | {"lr": "1e-3"}), "a number is expected"),
        ('{"lr": NaN, "rank": 8, "target": "v"}', "finite number"),
        ('{"lr": 1e-3, "rank": true, "target": "v"}', "a number is expected"),
        ('{"lr": __import__("os").getcwd(), "rank": 8, "target": "v"}', "no JSON object"),
        ("{" * 20_000, "no JSON object"),
        ('{"lr": 1' + "0" * 5000 + ', "rank": 8, "target": "v"}', "no JSON object"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(text, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        read_configuration(text, SPACE)
    assert "\n" not in str(caught.value)


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_nonsense_is_an_error_and_nothing_else(text):
    with pytest.raises(ConfigurationError):
        read_configuration(text, SPACE)


@pytest.mark.parametrize("name", ["llm", "llm-cmaes"])
def test_a_replay_repeats_without_the_endpoint(endpoint, monkeypatch, name, tmp_path):
    stand_in = endpoint()
    monkeypatch.setenv("HPOBENCH_LLM_API_KEY", "sk-secret")
    once = replay("toy-sphere", name, budget=16, seed=3, workers=2).save(tmp_path / "once.parquet")
    asked = len(stand_in.requests)
    assert asked == {"llm": 16, "llm-cmaes": 2}[name]  # of 10 to 15 every third: 12 and 15
    assert {body["seed"] for body in stand_in.requests} == {3}
    assert all(headers["Authorization"] == "Bearer sk-secret" for _, headers in stand_in.headers)
    stand_in.close()
    monkeypatch.delenv("HPOBENCH_LLM_ENDPOINT")
    monkeypatch.delenv("HPOBENCH_LLM_API_KEY")
    again = replay("toy-sphere", name, budget=16, seed=3, workers=2).save(
        tmp_path / "again.parquet"
    )
    assert again.read_bytes() == once.read_bytes()
    kept = [path.read_text() for path in (tmp_path / "answers").iterdir()]
    assert len(kept) == asked
    assert not any("sk-secret" in text for text in [*kept, once.read_bytes().decode("latin-1")])
    with pytest.raises(OptimizerError, match="`HPOBENCH_LLM_ENDPOINT`: the base address"):
        replay("toy-sphere", name, budget=20, seed=4)


def test_an_answer_off_the_space_is_sent_back_with_the_reason(endpoint):
    def reply(body):
        wrong = json.dumps({"x": 7.0, "y": 0.0, "z": 0.0})
        return (200, completion(wrong)) if len(body["messages"]) == 1 else answered(body)

    stand_in = endpoint(reply)
    assert len(configs("llm", sphere(), budget=2)) == 2
    first, second = stand_in.requests[:2]
    assert second["messages"][:1] == first["messages"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert "`x`: 7.0 is outside its range [-1.0, 1.0]" in second["messages"][2]["content"]


FAULTS = {
    "nonsense": (says("I am not sure."), "none of 3 answers can be run, the last: no JSON object"),
    "off the space": (
        says('{"rank": 3, "lr": 1, "dropout": 0}'),
        "none of 3 answers can be run, the last: `rank`: 3 is not on its axis",
    ),
    "not JSON": (lambda body: (200, b"<html>hello</html>"), "no chat completion: '<html>hello"),
    "other JSON": (lambda body: (200, b'{"choices": []}'), "no chat completion"),
    "refused": (lambda body: (401, b"bad key\nsk-secret"), "HTTP 401: bad key \\.\\.\\.$"),
    "busy": (lambda body: (503, b"later"), r"HTTP 503: later \(3 times\)"),
    "moved": (lambda body: (307, b"http://elsewhere.invalid/"), "HTTP 307"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_what_was_answered_is_kept(endpoint, monkeypatch, fault):
    reply, words = FAULTS[fault]
    monkeypatch.setenv("HPOBENCH_LLM_API_KEY", "sk-secret")

    def sometimes(body):
        return reply(body) if "5 of 9" in body["messages"][0]["content"] else answered(body)

    stand_in = endpoint(sometimes)
    with pytest.raises(OptimizerError, match=words) as caught:
        configs("llm", bowl(), budget=9)
    assert "\n" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)
    assert len(stand_in.requests) > 5
    stand_in = endpoint()
    assert len(configs("llm", bowl(), budget=9)) == 9
    assert len(stand_in.requests) == 4  # the five before the fault are not asked for again


def test_whoever_is_second_with_an_answer_takes_the_first(endpoint, tmp_path):
    stand_in = endpoint()

    def meanwhile(body):
        stand_in.reply = answered
        (first,) = configs("llm", bowl(), budget=1)  # as another process would
        return 200, completion(json.dumps(first | {"dropout": 0.1 - first["dropout"]}))

    stand_in.reply = meanwhile
    mine = configs("llm", bowl(), budget=1)
    assert len(stand_in.requests) == 2
    assert mine == configs("llm", bowl(), budget=1)
    assert len([*(tmp_path / "answers").iterdir()]) == 1


def test_an_endpoint_that_is_late_or_gone_is_one_line(endpoint, monkeypatch):
    monkeypatch.setenv("HPOBENCH_LLM_TIMEOUT", "0.1")
    endpoint(lambda body: (time.sleep(0.5), (200, completion("{}")))[1])
    with pytest.raises(
        OptimizerError, match=r"127\.0\.0\.1:\d+: no answer within 0\.1 s \(3 times\)"
    ):
        configs("llm", bowl(), budget=1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HPOBENCH_LLM_ENDPOINT", f"http://127.0.0.1:{port}/v1?token=pass")
    with pytest.raises(
        OptimizerError, match=rf"^\S*127\.0\.0\.1:{port}: no answer: .*refused"
    ) as e:
        configs("llm", bowl(), budget=1)
    assert "pass" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "HPOBENCH_LLM_ENDPOINT",
            "file:///etc/passwd",
            "`HPOBENCH_LLM_ENDPOINT`: the base address",
        ),
        (
            "HPOBENCH_LLM_ENDPOINT",
            "http://a:b@127.0.0.1/",
            "`HPOBENCH_LLM_ENDPOINT`: names a user",
        ),
        ("HPOBENCH_LLM_MODEL", "", "`HPOBENCH_LLM_MODEL`: a model has to be named"),
        ("HPOBENCH_LLM_ANSWERS", "", "`HPOBENCH_LLM_ANSWERS`: the folder"),
        ("HPOBENCH_LLM_TIMEOUT", "soon", "`HPOBENCH_LLM_TIMEOUT`: seconds"),
        ("HPOBENCH_LLM_API_KEY", "a\nb", "`HPOBENCH_LLM_API_KEY`: holds characters"),
    ],
)
def test_an_environment_that_cannot_be_is_named(endpoint, monkeypatch, name, value, words):
    endpoint()
    monkeypatch.setenv(name, value)
    with pytest.raises(OptimizerError, match=words) as caught:
        configs("llm", bowl(), budget=1)
    assert "\n" not in str(caught.value)
    assert "a:b" not in str(caught.value)


def test_a_damaged_answer_is_named(endpoint, tmp_path):
    endpoint()
    configs("llm", bowl(), budget=1)
    (path,) = (tmp_path / "answers").iterdir()
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"request": {}}))
    with pytest.raises(IntegrityError, match=rf"{path.name}: not the answer to its request"):
        configs("llm", bowl(), budget=1)
    path.write_text("{")
    with pytest.raises(IntegrityError, match="not readable as JSON"):
        configs("llm", bowl(), budget=1)


def test_the_hybrid_shows_the_state_of_cma_es_and_learns_the_answer(endpoint):
    best = {"x": -0.4, "y": -0.4, "z": -0.4}
    stand_in = endpoint(says(json.dumps(best)))
    run = trials("llm-cmaes", sphere(), budget=40)
    turns = [trial.number for trial in run if trial.config == best]
    assert turns == [*range(12, 40, 3)]
    prompt = stand_in.requests[-1]["messages"][0]["content"]
    advice = prompt.split("Its state:\n")[1]
    mean = json.loads(advice.splitlines()[0].removeprefix("mean: "))
    covariance = json.loads(advice.splitlines()[2].partition(": ")[2])
    assert set(mean) == {"x", "y", "z"}
    assert len(covariance) == len(covariance[0]) == 3
    # A third of what CMA-ES learns is the optimum: its mean has come near.
    assert max(abs(mean[axis] - best[axis]) for axis in mean) < 0.3


def test_proportions_are_shown_and_read_as_such(endpoint):
    stand_in = endpoint()
    problem = mixture()
    run = configs("llm", problem, budget=3)
    prompt = stand_in.requests[-1]["messages"][0]["content"]
    shown = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"trial"')]
    assert [line["config"] for line in shown] == run[:2]
    assert "stick_" not in prompt
