"""Budgets, resumed trials and what they cost on the clock."""

import math
import time
from dataclasses import replace

import pytest

from hpobench_llm.benchmarks.toy import toy_sphere
from hpobench_llm.errors import ConfigurationError, OptimizerError, UnknownNameError
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers.base import Trial
from hpobench_llm.replaying.budget import Budget
from hpobench_llm.replaying.clock import Clock, Rules
from hpobench_llm.replaying.replay import replay

HERE, THERE = {"x": 0.0, "y": 0.0, "z": 0.0}, {"x": 0.5, "y": 0.0, "z": 0.0}


class Script:
    """Asks for the trials of a list, each as soon as `told` holds the one that it waits for."""

    def __init__(self, trials, waits=()):
        self.trials, self.waits, self.told = list(trials), dict(waits), []

    def ask(self):
        if not self.trials or self.waits.get(self.trials[0].number, -1) in self.missing():
            return None
        return self.trials.pop(0)

    def missing(self):
        return set(self.waits.values()) - set(self.told)

    def tell(self, trial, evaluation):
        self.told.append(trial.number)


def run(trials, *, waits=(), budget=1000, **rules):
    problem = toy_sphere()
    chosen = (problem.metrics["val_loss"],)
    budget = Budget.of(budget, problem.fidelities)
    return Clock(problem, Script(trials, waits), chosen, budget, Rules(**rules)).run()


def at(number, step, config=HERE, resumes=None):
    return Trial(number, config, {"step": step}, resumes)


LADDER = [at(0, 1), at(1, 2, resumes=0), at(2, 8, resumes=1)]


@pytest.mark.parametrize(
    ("checkpoint_seconds", "seconds"),
    [(0.0, [1, 1, 6]), (0.5, [1, 1.5, 6.5]), (None, [1, 2, 8])],
)
def test_a_resumed_trial_costs_what_is_added(checkpoint_seconds, seconds):
    runs = run(LADDER, waits={1: 0, 2: 1}, checkpoint_seconds=checkpoint_seconds)
    assert [r.seconds for r in runs] == seconds
    assert [r.tokens for r in runs] == ([1, 2, 8] if checkpoint_seconds is None else [1, 1, 6])
    assert [r.finished for r in runs] == [sum(seconds[: n + 1]) for n in range(3)]
    assert runs[-1].evaluation.cost_seconds == 8  # the answer is of the whole run


def test_a_checkpoint_may_be_resumed_twice_and_on_any_worker():
    trials = [at(0, 2), at(1, 8, resumes=0), at(2, 4, resumes=0)]
    runs = run(trials, waits={1: 0}, workers=2)
    assert [(r.trial.number, r.worker, r.started, r.finished) for r in runs] == [
        (0, 0, 0, 2),
        (2, 1, 2, 4),
        (1, 0, 2, 8),
    ]


@pytest.mark.parametrize(
    ("budget", "numbers"),
    [
        (2, [0, 1]),
        ({"evaluations": 2}, [0, 1]),
        ({"seconds": 7.9}, [0, 1]),
        ({"seconds": 8}, [0, 1, 2]),
        ({"tokens": 7}, [0, 1]),
        ({"tokens": 8}, [0, 1, 2]),
        ({"step": 7}, [0, 1]),
        ({"step": 8}, [0, 1, 2]),
    ],
)
def test_a_trial_beyond_the_budget_is_not_run(budget, numbers):
    runs = run(LADDER, waits={1: 0, 2: 1}, budget=budget)
    assert [r.trial.number for r in runs] == numbers


class Priced(type(toy_sphere())):
    """A toy whose trials take the seconds and tokens that it was given."""

    def __init__(self, seconds, tokens):
        super().__init__("priced", toy_sphere().space)
        self.price = {"cost_seconds": seconds, "tokens": tokens}

    def query(self, config, **asked):
        return replace(super().query(config, **asked), **self.price)


@pytest.mark.parametrize(
    ("seconds", "tokens", "budget", "words"),
    [
        (1.0, math.nan, {"tokens": 100}, "`budget`: priced does not know the tokens of {'x': "),
        (1.0, 0.0, {"tokens": 100}, "1000 trials in a row on priced took no tokens"),
        (0.0, 1.0, {"seconds": 100}, "1000 trials in a row on priced took no seconds"),
    ],
)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_budget_that_would_never_end_is_refused(seconds, tokens, budget, words, workers):
    problem = Priced(seconds, tokens)
    with pytest.raises(ConfigurationError, match=words):
        replay(problem, "random", budget=budget, seed=0, workers=workers)
    ended = replay(problem, "random", budget=5, seed=0, workers=workers)
    assert len(ended.frame) == 5


def test_what_is_free_now_and_then_ends_a_budget_all_the_same():
    class Often(Priced):
        def query(self, config, **asked):
            self.price["tokens"] = float(config["x"] > 0.9)
            return super().query(config, **asked)

    frame = replay(Often(1.0, 0.0), "random", budget={"tokens": 3}, seed=0).to_frame()
    assert frame["tokens"].sum() == 3


def test_without_checkpoints_every_step_counts_again():
    runs = run(LADDER, waits={1: 0, 2: 1}, budget={"step": 10}, checkpoint_seconds=None)
    assert [r.trial.number for r in runs] == [0, 1]


def test_what_runs_when_the_time_is_up_counts_for_nothing():
    trials = [at(0, 8), at(1, 1), at(2, 4), at(3, 1)]
    runs = run(trials, budget={"seconds": 5}, workers=2)
    assert [r.trial.number for r in runs] == [1, 2]


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([at(0, 1), at(0, 2)], "two trials are numbered 0"),
        ([at(0, 1), at(1, 2, resumes=7)], "resumes trial 7, which is not done"),
        ([at(0, 4), at(1, 2, resumes=0)], r"cannot resume trial 0"),
        ([at(0, 1), at(1, 2, THERE, resumes=0)], r"trial 1 .* cannot resume trial 0"),
    ],
)
def test_trials_that_cannot_be_run_are_errors(trials, words):
    with pytest.raises(OptimizerError, match=words):
        run(trials)


def test_a_running_trial_cannot_be_resumed():
    with pytest.raises(OptimizerError, match="resumes trial 0, which is not done"):
        run([at(0, 1), at(1, 2, resumes=0)], workers=2)


def test_the_optimizer_s_own_time_may_be_counted():
    arguments = {"budget": 5, "seed": 0, "workers": 1}
    plain = replay("toy-bowl", "random", **arguments).to_frame()
    counted = replay("toy-bowl", "random", count_optimizer_seconds=True, **arguments).to_frame()
    assert plain["finished_seconds"].iloc[-1] == 40.0
    late = counted["finished_seconds"].iloc[-1] - 40.0
    assert 0 < late <= counted["optimizer_seconds"].sum()


def test_thinking_without_a_suggestion_is_recorded_too(monkeypatch):
    class Thinks(Script):
        def ask(self):
            asked = super().ask()
            if asked is None:
                time.sleep(0.05)
            return asked

    monkeypatch.setitem(globals(), "Script", Thinks)
    runs = run(LADDER, waits={1: 0, 2: 1}, workers=2)
    # Each time the second worker waits, and at the end two do for good.
    assert [run.optimizer_seconds > 0.05 for run in runs] == [False, True, True]
    assert sum(run.optimizer_seconds for run in runs) > 3 * 0.05


def test_six_replays_of_a_multi_fidelity_method_give_one_file(tmp_path):
    contents = {
        replay("toy-bowl", "asha", budget={"step": 300}, seed=3, workers=4)
        .save(tmp_path / f"{n}.parquet")
        .read_bytes()
        for n in range(6)
    }
    assert len(contents) == 1


STEPS = (Fidelity(name="step", unit="", values=(1, 2)),)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"second": 5}, UnknownNameError, "unknown unit 'second'; did you mean 'seconds'"),
        ({"epoch": 5}, UnknownNameError, "unknown unit 'epoch'"),
        ({"seconds": 0}, ConfigurationError, "more than 0 seconds, got 0"),
        ({"tokens": float("inf")}, ConfigurationError, "more than 0 tokens, got inf"),
        ({"tokens": float("nan")}, ConfigurationError, "got nan"),
        ({"step": "4"}, ConfigurationError, "got '4'"),
        ({}, ConfigurationError, "one unit is expected"),
        ({"step": 1, "tokens": 2}, ConfigurationError, "one unit is expected"),
        (0, ConfigurationError, "a whole number of at least 1, got 0"),
        (True, ConfigurationError, "got True"),
        ({"evaluations": 1.5}, ConfigurationError, "got 1.5"),
    ],
)
def test_budgets_that_cannot_be_are_named(given, error, words):
    with pytest.raises(error, match=words):
        Budget.of(given, STEPS)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_checkpoint_takes_some_time(value):
    with pytest.raises(ConfigurationError, match="`checkpoint_seconds`: 0 or more"):
        replay("toy-bowl", "random", budget=1, seed=0, checkpoint_seconds=value)


def test_a_budget_too_small_for_one_trial_is_an_error():
    with pytest.raises(OptimizerError, match="no trial was finished within the budget"):
        replay("toy-bowl", "random", budget={"seconds": 1}, seed=0)
