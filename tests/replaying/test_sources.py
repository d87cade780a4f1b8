"""Related benchmarks as sources: what is told of them, and what is refused."""

import numpy as np
import pytest

from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.benchmarks.toy import ToyBenchmark, toy_bowl, toy_sphere
from hpobench_llm.errors import ConfigurationError, OptimizerError, UnknownNameError
from hpobench_llm.metrics import Metric
from hpobench_llm.replaying.replay import replay
from hpobench_llm.replaying.sources import DRAWS, sources_of
from hpobench_llm.space import Float, Ordinal, Space
from hpobench_llm.tables.table import Table


class Other(ToyBenchmark):
    """A toy that differs in its name, and in its metrics if so told."""

    def __init__(self, name="other", space=None, metrics=None):
        super().__init__(name, space or toy_bowl().space)
        self.metrics = metrics or self.metrics


def chosen(problem, *names):
    return [problem.metrics[name] for name in names or ("val_loss",)]


@pytest.fixture
def tables(tmp_path, rows, seal_rows):
    """Two tables: `small`, and `less`, which lacks the rows of rank 4 with lr 1e-3 in full."""
    hole = (rows["rank"] == 4) & (rows["lr"] == 1e-3) & (rows["step"] == 16)
    small = seal_rows(tmp_path / "small", rows)
    less = seal_rows(tmp_path / "less", rows[~hole].reset_index(drop=True), "less")
    return [TabularBenchmark(Table.load(folder)) for folder in (small, less)]


def test_a_table_is_told_in_full_with_its_failed_runs_and_without_what_it_lacks(tables):
    small, less = tables
    (source,) = sources_of(small, [less], chosen(small))
    assert source.name == "less"
    assert len(source.configs) == 3 * 4 - 1
    assert {"rank": 4, "lr": 1e-3} not in source.configs
    for config, evaluation in zip(source.configs, source.evaluations, strict=True):
        assert evaluation == less.query(config)
    assert [e.status for e in source.evaluations].count("diverged") == 1


def test_configurations_outside_the_space_are_left_out(tables):
    small, _ = tables
    narrow = Other(space=Space((Ordinal("rank", (4, 16, 64)), Ordinal("lr", (1e-3, 1e-2)))))
    (source,) = sources_of(narrow, [small], chosen(narrow))
    assert {(c["rank"], c["lr"]) for c in source.configs} == {
        (rank, lr) for rank in (4, 16) for lr in (1e-3, 1e-2)
    }
    for config in source.configs:
        assert list(config) == list(narrow.space.names)


def test_a_space_that_cannot_be_listed_is_drawn_from():
    problem = Other("shifted", toy_sphere().space)
    (source,) = sources_of(problem, ["toy-sphere"], chosen(problem))
    assert len(source.configs) == DRAWS
    assert sources_of(problem, ["toy-sphere"], chosen(problem)) == (source,)
    mean = np.mean([list(config.values()) for config in source.configs])
    assert abs(mean) < 0.1


def test_the_order_is_kept():
    found = sources_of(Other("target"), [Other("b"), "toy-bowl", Other("a")], chosen(toy_bowl()))
    assert [source.name for source in found] == ["b", "toy-bowl", "a"]


ACCURACY = Metric(name="accuracy", unit="1", direction="maximize", worst=0.0)
TURNED = Metric(name="val_loss", unit="1", direction="maximize", worst=0.0)


@pytest.mark.parametrize(
    ("related", "error", "words"),
    [
        (["toy-bowl"], ConfigurationError, "toy-bowl cannot be its own source"),
        ([toy_bowl()], ConfigurationError, "toy-bowl cannot be its own source"),
        ([Other("a"), Other("a")], ConfigurationError, "the source a is listed twice"),
        (["toy-bawl"], UnknownNameError, "unknown benchmark 'toy-bawl'"),
        (
            ["toy-sphere"],
            ConfigurationError,
            r"the source toy-sphere of toy-bowl: toy-sphere has no axis dropout, lr, rank",
        ),
        (
            [Other("a", Space((*toy_bowl().space, Float("decay", 0.0, 1.0))))],
            ConfigurationError,
            "toy-bowl has no axis decay",
        ),
        (
            [Other("a", metrics={"accuracy": ACCURACY})],
            UnknownNameError,
            "the source a of toy-bowl: unknown metric 'val_loss'",
        ),
        (
            [Other("a", metrics={"val_loss": TURNED})],
            ConfigurationError,
            "val_loss is to maximize there, here to minimize",
        ),
        (
            [
                Other(
                    "a",
                    Space(tuple(Ordinal(n, (0.55, 0.66)) for n in ("rank", "lr", "dropout"))),
                )
            ],
            ConfigurationError,
            "the source a of toy-bowl: none of its configurations lies in the space",
        ),
    ],
)
def test_bad_sources_are_named(related, error, words):
    with pytest.raises(error, match=words):
        replay("toy-bowl", "zero-shot", budget=3, seed=0, sources=related)


def test_a_replay_without_sources_is_refused_where_they_are_needed():
    with pytest.raises(OptimizerError, match=r"zero-shot .* needs at least one source"):
        replay("toy-bowl", "zero-shot", budget=3, seed=0)


@pytest.mark.parametrize("name", ["zero-shot", "random+warm-start", "quantile-transfer"])
def test_a_replay_takes_what_its_sources_know(name):
    related: list[Benchmark] = [Other("a"), Other("b")]  # the same function under other names
    frame = replay("toy-bowl", name, budget=6, seed=0, sources=related).to_frame()
    assert frame["val_loss"].min() == pytest.approx(toy_bowl().optimum("val_loss")[1])
    again = replay("toy-bowl", name, budget=6, seed=0, sources=related).to_frame()
    apart = ["optimizer_seconds"]
    assert frame.drop(columns=apart).equals(again.drop(columns=apart))
