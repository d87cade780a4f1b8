"""What people type into Python: taken where it can mean one thing only, else one clear line."""

import dataclasses
import json
from importlib import metadata

import numpy as np
import pytest

import hpobench_llm
from hpobench_llm import installation
from hpobench_llm.errors import (
    ConfigurationError,
    MissingDependencyError,
    OptimizerError,
    UnknownNameError,
    nearest,
    shown,
)
from hpobench_llm.metrics import Metric, objective_of, select
from hpobench_llm.optimizers.base import SingleObjectiveOptimizer, Suggestion
from hpobench_llm.tables.table import Table


def test_the_kind_of_a_benchmark_may_stand_second(table_folder):
    assert hpobench_llm.load(table_folder, "table").name == "small"
    assert hpobench_llm.load(str(table_folder)).name == "small"
    with pytest.raises(UnknownNameError, match="unknown kind of benchmark 'tabel'"):
        hpobench_llm.load("toy-bowl", "tabel")
    with pytest.raises(UnknownNameError, match="unknown benchmark 'toy-bow'; did you mean"):
        hpobench_llm.load("toy-bow")


def test_one_objective_may_be_a_text():
    named = hpobench_llm.replay("toy-bowl", "random", budget=3, seed=0, objectives="score_toy")
    listed = hpobench_llm.replay("toy-bowl", "random", budget=3, seed=0, objectives=["score_toy"])
    assert (
        named.to_frame()
        .drop(columns="optimizer_seconds")
        .equals(listed.to_frame().drop(columns="optimizer_seconds"))
    )
    with pytest.raises(UnknownNameError, match="unknown metric 'val_los'; did you mean"):
        hpobench_llm.replay("toy-bowl", "random", budget=3, seed=0, objectives="val_los")


class OffTheAxis(SingleObjectiveOptimizer):
    """Suggests a learning rate between two levels."""

    def suggest(self, number):
        return Suggestion({"rank": 4, "lr": 2e-3})

    def learn(self, trial, evaluation):
        self.learned = trial.config


def test_a_suggestion_off_an_axis_ends_the_replay(table_folder):
    with pytest.raises(OptimizerError, match=r"trial 0: `lr`: 0.002 is not on its axis .* 0.001"):
        hpobench_llm.replay(hpobench_llm.load(table_folder), OffTheAxis, budget=2, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(ConfigurationError, match="`seed`: a whole number from 0 up"):
        hpobench_llm.replay("toy-bowl", "random", budget=3, seed=seed)


def test_without_a_name_the_objective_is_the_benchmarks(tmp_path, rows, seal_rows):
    metadata = Table.load(seal_rows(tmp_path / "t", rows)).metadata
    rest = {name: metric for name, metric in metadata.metrics.items() if name != "val_loss"}
    Table.write(tmp_path / "u", dataclasses.replace(metadata, metrics=rest), rows)
    bench = hpobench_llm.load(tmp_path / "u")
    assert objective_of(bench.metrics).name == "test_loss"
    frame = hpobench_llm.replay(bench, "random", budget=3, seed=0).to_frame()
    assert frame["test_loss"].notna().any()


def test_roles_of_metrics():
    loss = {"unit": "nats", "direction": "minimize", "worst": 9.0}
    old = [{"name": name, **loss} for name in ("test_loss", "val_loss", "score_a_margin")]
    read = {raw["name"]: Metric.from_json(raw) for raw in old}
    assert [metric.role for metric in read.values()] == ["diagnostic", "objective", "score"]
    assert objective_of(read).name == "val_loss"
    said = Metric(name="score_a", role="objective", **loss)
    assert Metric.from_json(said.to_json()) == said
    assert objective_of({"b": Metric(name="b", role="cost", **loss)}).name == "b"
    assert [m.name for m in select(read, "val_loss", "x")] == ["val_loss"]
    with pytest.raises(ValueError, match="unknown role 'scroe'"):
        Metric(name="a", role="scroe", **loss)
    table = Table.load(hpobench_llm.load("lora-nano").table.folder)
    roles = {name: metric.role for name, metric in table.metadata.metrics.items()}
    assert roles["val_loss"] == "objective"
    assert roles["score_blimp_margin"] == "score"
    assert roles["leaked_val_loss"] == "diagnostic"


def test_the_sign_of_a_metric_turns_values_into_losses_and_back():
    up = Metric(name="a", unit="1", direction="maximize", worst=0.0)
    down = Metric(name="a", unit="1", direction="minimize", worst=0.0)
    values = np.array([[1.0, np.nan], [-2.0, np.inf]])
    np.testing.assert_array_equal(down.losses(values), values)
    np.testing.assert_array_equal(up.losses(values), -values)
    for metric in (up, down):
        assert metric.losses(np.array([3.0]))[0] == metric.to_loss(3.0) == metric.sign * 3.0
        assert metric.from_loss(metric.to_loss(3.0)) == 3.0
        assert metric.to_loss(float("nan")) == metric.to_loss(metric.worst)


def test_the_words_of_other_libraries_are_known():
    names = ("rank", "alpha_ratio", "lr")
    assert nearest("alpha", names) == "; here it is 'alpha_ratio', which is alpha / rank"
    assert nearest("r", names).startswith("; here it is 'rank'")
    assert nearest("alpha", ["alpha_1"]) == "; did you mean 'alpha_1'?"


def test_a_value_is_shown_on_one_short_line():
    assert shown("a\nb") == repr("a\nb")
    nested = []
    for _ in range(5000):
        nested = [nested]
    for value in (nested, 10**5000, "x" * 10**6, hpobench_llm.load("lora-nano").configurations()):
        assert len(shown(value)) < 200
        assert "\n" not in shown(value)


class Installed:
    def __init__(self, origin):
        self.origin = origin

    def read_text(self, name):
        assert name == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


def hint(extra="nni"):
    return str(MissingDependencyError("nni", extra, "x")).partition("pip install ")[2]


def test_how_to_install_more_follows_from_how_it_was_installed(monkeypatch, tmp_path):
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text("")
    monkeypatch.setattr(installation, "_CHECKOUT", checkout)
    monkeypatch.chdir(tmp_path)
    assert hint() == f"'{checkout}[nni]'"
    monkeypatch.chdir(checkout)
    assert hint() == "'.[nni]'"
    assert hint("") == "nni"
    monkeypatch.setattr(installation, "_CHECKOUT", tmp_path)  # what a wheel's code lies in
    local = {"dir_info": {}, "url": checkout.as_uri()}
    git = {"vcs_info": {"vcs": "git"}, "url": "https://example.org/a.git"}
    archive = {"archive_info": {}, "url": "file:///a/hpobench_llm-1-py3-none-any.whl"}
    for origin, expected in (
        (local, "'.[nni]'"),
        (git, "'hpobench-llm[nni] @ git+https://example.org/a.git'"),
        (archive, "'hpobench-llm[nni] @ file:///a/hpobench_llm-1-py3-none-any.whl'"),
        ({"dir_info": {}, "url": "file:///is/gone"}, "'hpobench-llm[nni]'"),
        (None, "'hpobench-llm[nni]'"),
    ):
        monkeypatch.setattr(metadata, "distribution", lambda _, o=origin: Installed(o))
        assert hint() == expected
