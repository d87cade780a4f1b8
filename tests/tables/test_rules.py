"""The rules of a problem worth an optimizer: closed forms, and a table that breaks some."""

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.practice import default_configuration, swept_axis
from hpobench_llm.space import Categorical, Float, Space
from hpobench_llm.tables.anova import coordinates, single_index, total_shares
from hpobench_llm.tables.card import card
from hpobench_llm.tables.rules import reliability, table_rules
from hpobench_llm.tables.table import Table
from hpobench_llm.testing.benchmarks import shares
from tests.problems import table


def test_total_shares_of_a_sum_and_a_product_are_the_closed_forms():
    x, y, z = np.meshgrid([-1.0, 1.0], [-2.0, 2.0], [-1.0, 0.0, 1.0], indexing="ij")
    # Variances 1 and 4 of the parts of the sum; z does nothing.
    assert total_shares(x + y) == pytest.approx([1 / 5, 4 / 5, 0])
    # A product of centred factors is interaction alone: all of it belongs to each.
    assert total_shares(x * y * z) == pytest.approx([1, 1, 1])
    assert total_shares(np.ones((2, 3))) == pytest.approx([0, 0])


def test_one_index_explains_a_ridge_and_not_two_of_them():
    units = np.array(np.meshgrid(*[np.linspace(0, 1, 10)] * 3)).reshape(3, -1).T
    noise = np.random.default_rng(0).normal(size=len(units))
    ridge = np.sin(3 * (units @ [1.0, 0.5, -0.3]))
    assert single_index(units, ridge) > 0.95
    crossed = (units[:, 0] - 0.5) * (units[:, 1] - 0.5)
    assert single_index(units, crossed) < 0.8  # the rule
    assert single_index(units, noise) < 0.2


def test_twins_do_not_explain_each_other():
    # An axis that does nothing gives every configuration a twin of the same loss.
    rng = np.random.default_rng(1)
    twice = np.repeat(rng.normal(size=300), 2)
    columns = np.column_stack([np.repeat(rng.random((300, 3)), 2, axis=0), np.tile([0, 1], 300)])
    assert single_index(columns, twice) < 0.5


def test_a_name_may_shift_the_index():
    space = Space((Float("x", 0.0, 1.0), Categorical("m", ("a", "b", "c"))))
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(300)]
    shift = {"a": 0.0, "b": 1.5, "c": 0.7}
    losses = np.array([np.sin(2 * (c["x"] + shift[c["m"]])) for c in configs])
    columns = coordinates(space, space.to_unit(configs))
    assert columns.shape == (300, 3)
    assert single_index(columns, losses) > 0.95


def test_reliability_is_the_share_between_configurations():
    rng = np.random.default_rng(0)
    configs = pd.Series(np.repeat(np.arange(400), 4))
    values = pd.Series(np.repeat(rng.normal(0, 2.0, 400), 4) + rng.normal(0, 1.0, 1600))
    assert reliability(configs, values) == pytest.approx(0.8, abs=0.03)
    assert reliability(configs, pd.Series(rng.normal(size=1600))) == pytest.approx(0, abs=0.05)
    assert np.isnan(reliability(pd.Series(range(9)), pd.Series(np.arange(9.0))))


def test_a_table_is_held_against_every_rule(tmp_path, rows, seal_rows):
    rng = np.random.default_rng(0)
    noisy = rows.assign(val_loss=rows["val_loss"] + rng.normal(0, 1e-4, len(rows)))
    table = Table.load(seal_rows(tmp_path / "noisy", noisy))
    rules = {rule.asked.split(" ")[0]: rule for rule in table_rules(table)}
    by_asked = {rule.asked: rule for rule in table_rules(table)}
    assert rules["8"].measured == "3 of step"
    assert rules["8"].met is False
    # The bowl lies at 0.4 of either axis: rank 4 and lr 1e-3 of (1, 4, 16) and four rates.
    assert (
        by_asked["the optimum is interior on all axes of three values or more, but one"].measured
        == "interior on all"
    )
    # Rank 8 is nearest to 4 or 16 alike in the logarithm; the first of them is the optimum's.
    sweep = next(rule for asked, rule in by_asked.items() if asked.startswith("a sweep of lr"))
    assert float(sweep.measured.partition(",")[0]) < 1e-3
    assert sweep.measured.endswith("noises")
    assert sweep.met is False


def test_a_score_without_signal_is_held_against_no_rule(tmp_path, rows, seal_rows):
    for name, values in (("told", rows["score_toy"]), ("silent", 0.5)):
        built = Table.load(seal_rows(tmp_path / name, rows.assign(score_toy=values)))
        asked = [rule.asked for rule in table_rules(built) if "score_toy" in rule.asked]
        assert len(asked) == (name == "told")


def test_the_card_says_which_rules_are_met(table_folder):
    text = card(Table.load(table_folder))
    section = text.partition("## Is this problem worth an optimizer?")[2].partition("\n## ")[0]
    rules = table_rules(Table.load(table_folder))
    assert section.count("\n| ") == len(rules) + 1
    assert section.count("**not met**") == sum(rule.met is False for rule in rules) > 0


def test_a_sparse_table_has_no_shape(tmp_path, rows, seal_rows):
    ids = rows["config_id"].unique()[:-1]
    table = Table.load(seal_rows(tmp_path / "few", rows[rows["config_id"].isin(ids)]))
    assert table_rules(table)[0].met is None
    assert "sparse" in table_rules(table)[0].measured


def test_a_simplex_counts_as_one_axis_and_defaults_lie_on_it(tmp_path):
    space = shares().space
    built = table(tmp_path / "t", space, list(space.configurations()))
    rules = {rule.asked: rule for rule in table_rules(built)}
    idle = next(rule for asked, rule in rules.items() if asked.startswith("no axis has less"))
    assert [part.split()[0] for part in idle.measured.split(", ")] == ["rank", "share"]
    assert default_configuration(space) == {
        "rank": 4,
        "share_chat": 0.25,
        "share_code": 0.25,
        "share_maths": 0.5,
    }
    assert swept_axis(space).name == "rank"
    pure = Space(space.dimensions[1:], space.simplexes)  # no axis can be swept alone
    sweeps = table_rules(table(tmp_path / "p", pure, list(pure.configurations())))
    assert [r.met for r in sweeps if "sweep" in r.asked] != []
