"""Advice by closed forms: the best rate, coverage, what recipes cost, and what is not known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import hpobench_llm
from hpobench_llm.advice.judged_table import JudgedTable
from hpobench_llm.advice.portfolio import Candidates
from hpobench_llm.advice.settings import configuration_of, settings_of
from hpobench_llm.cli import main
from hpobench_llm.errors import ConfigurationError, HpobenchError
from hpobench_llm.metrics import Metric
from hpobench_llm.practice import default_configuration
from hpobench_llm.space import Categorical, Ordinal, Space
from hpobench_llm.tables.draft import Draft
from hpobench_llm.tables.table import Table

RATES = (1e-5, 1e-4, 1e-3, 1e-2)
LOSS = Metric(name="val_loss", unit="nats", direction="minimize", worst=9.0)


def made(name, loss, *, axes=None, rows=None, family="", defaults=None):
    """A table in memory whose loss is a function of the configuration and the seed."""
    axes = axes or (Ordinal("rank", (4, 16), log=True), Ordinal("lr", RATES, log=True))
    space = Space(axes)
    rows = rows or [(config, 0) for config in space.configurations()]
    values = [loss(config) + 0.001 * (seed % 3) * (config["lr"] > 1e-4) for config, seed in rows]
    frame = pd.DataFrame([config | {"seed": seed} for config, seed in rows])
    frame["val_loss"] = values
    frame["status"] = np.where(np.isnan(frame["val_loss"]), "diverged", "ok")
    checked = Draft(
        name=name,
        version="1",
        description="",
        context=f"context of {name}",
        licence="",
        space=space,
        metrics=[LOSS],
        rows=frame,
        family=family,
        provenance={"defaults": defaults or {}},
    ).checked()
    return Table(checked.metadata, checked.frame, None)


def bowl(best):
    """Return a loss that is 1 where the rate is best; rank 4 adds 0.001."""
    return lambda c: 1 + abs(math.log10(c["lr"] / best)) + 0.001 * (c["rank"] == 4)


def test_the_best_rate_by_rank_with_its_spread():
    tables = [made(f"t{n}", bowl(best)) for n, best in enumerate((1e-4, 1e-3, 1e-3, 1e-2))]
    (group,) = hpobench_llm.advise(tables).groups
    assert [(rate.rank, rate.batch, rate.tables) for rate in group.rates] == [
        (4, None, 4),
        (16, None, 4),
    ]
    for rate in group.rates:
        assert (rate.middle, rate.low, rate.high) == (pytest.approx(1e-3), 1e-4, 1e-2)
        assert rate.at_edge == 1


def test_the_portfolio_covers_greedily():
    bests = [1e-4, 1e-3, 1e-3, 1e-3, 1e-2]
    tables = [made(f"t{n}", bowl(best)) for n, best in enumerate(bests)]
    (group,) = hpobench_llm.advise(tables).groups
    rates = [pick.settings["lr"] for pick in group.portfolio]
    assert rates[0] == 1e-3
    assert set(rates) == {1e-4, 1e-3, 1e-2}
    assert {pick.settings["rank"] for pick in group.portfolio} == {16}
    assert [len(pick.near) for pick in group.portfolio] == [3, 1, 1]
    assert group.covered == 5
    assert len(hpobench_llm.advise(tables, length=1).groups[0].portfolio) == 1


def test_left_out_tables_have_no_part_in_what_is_tried_on_them():
    alike = [made(f"t{n}", bowl(1e-3)) for n in range(3)]
    odd = made("odd", bowl(1e-5))
    (group,) = hpobench_llm.advise([*alike, odd]).groups
    by_table, by_family = group.held_out
    assert (by_table.unit, by_table.folds, by_family.unit) == ("table", 4, "family")
    assert group.covered == 4  # with its own rows the odd one is covered too
    assert (by_table.best.tables, by_table.best.near) == (4, 3)
    regrets = np.array([0, 0.001, 1, 1.001, 2, 2.001, 3, 3.001])
    assert by_table.best.worst == pytest.approx(2 / np.median(regrets))
    assert not hpobench_llm.advise(alike[:2]).groups[0].held_out


def test_what_the_defaults_cost_in_noises():
    """Rate 1e-4 is nearest to the defaults' 5e-5 and loses 1; repeats differ by 0 or 0.001."""
    axes = (Ordinal("rank", (4, 8, 16), log=True), Ordinal("lr", RATES, log=True))
    rows = [(config, seed) for config in Space(axes).configurations() for seed in range(4)]
    table = made("t", lambda c: 1 + abs(math.log10(c["lr"] / 1e-3)), axes=axes, rows=rows)
    (group,) = hpobench_llm.advise([table]).groups
    (cost,) = group.costs["defaults"]
    (problem,) = group.tables
    assert cost.regret == pytest.approx(1.0, abs=2e-3)
    assert not cost.near
    assert cost.typical == pytest.approx(cost.regret / problem.typical)
    assert cost.noises == pytest.approx(cost.regret / problem.noise)
    (single,) = hpobench_llm.advise([made("u", bowl(1e-3))]).groups[0].costs["defaults"]
    assert math.isnan(single.noises)


def test_a_diverged_run_costs_what_the_worst_costs():
    table = made("t", lambda c: math.nan if c["lr"] > 1e-3 else bowl(1e-3)(c))
    problem = JudgedTable.of(table, LOSS)
    assert problem.regret_of({"rank": 16, "lr": 1e-2}) == pytest.approx(9.0 - 1.0)


def test_far_settings_are_not_measured_and_alpha_must_be_known_of_both():
    problem = JudgedTable.of(made("t", bowl(1e-3)), LOSS)
    assert problem.regret_of({"rank": 16, "lr": 1.9e-3}) == pytest.approx(0)
    assert math.isnan(problem.regret_of({"rank": 16, "lr": 0.1}))
    assert math.isnan(problem.regret_of({"rank": 128, "lr": 1e-3}))
    assert not problem.tells({"rank": 16, "lr": 1e-3, "alpha_ratio": 1.0})
    stated = JudgedTable.of(made("t", bowl(1e-3), defaults={"alpha_ratio": 2.0}), LOSS)
    assert stated.tells({"rank": 16, "lr": 1e-3, "alpha_ratio": 1.0})
    both = Candidates.of([problem, stated], 0.1)
    says = np.array(["alpha_ratio" in settings for settings in both.settings])
    assert (np.isnan(both.regrets) == [says, ~says]).all()


def test_settings_of_one_table_are_read_on_another():
    theirs = Space(
        (
            Ordinal("lora_r", (2, 8, 32), log=True),
            Ordinal("learning_rate", RATES, log=True),
            Ordinal("lora_alpha", (4, 16, 64), log=True),
            Categorical("target_modules", ("attention", "all-linear")),
        )
    )
    config = {"lora_r": 8, "learning_rate": 1e-3, "lora_alpha": 16, "target_modules": "attention"}
    settings = settings_of(config)
    assert settings == {"rank": 8, "lr": 1e-3, "alpha_ratio": 2.0, "target_modules": "attention"}
    assert configuration_of(settings, theirs) == config
    assert configuration_of({}, theirs) == default_configuration(theirs)


def test_what_says_nothing_is_named():
    flat = made("flat", lambda c: 1.0)
    assert hpobench_llm.advise([flat, made("t", bowl(1e-3))]).left_out == {
        "flat": "half of its configurations are as good as the best"
    }
    with pytest.raises(HpobenchError, match=r"no table can say anything \(flat: half"):
        hpobench_llm.advise([flat])
    with pytest.raises(ConfigurationError, match="tables or a suite, not both"):
        hpobench_llm.advise([flat], suite="lora")
    for wrong in ({"length": 0}, {"near": 0.0}, {"near": math.nan}):
        with pytest.raises(ConfigurationError, match=f"`{next(iter(wrong))}` must be"):
            hpobench_llm.advise([flat], **wrong)


def test_one_table_alone_says_so():
    text = hpobench_llm.advise([made("t", bowl(1e-3))]).summary()
    assert "One table alone says nothing about the next problem" in text
    assert "that takes three or more" in text


@pytest.mark.slow
def test_the_code_to_paste_is_that_of_the_first_settings():
    fixed = {"target_modules": "q_proj,v_proj", "warmup_fraction": 0.1, "alpha_ratio": 2.0}
    advice = hpobench_llm.advise([made("t", bowl(1e-3), defaults=fixed)])
    names = {}
    exec(compile(advice.peft(), "pasted", "exec"), names)  # as a person would
    lora, training = names["lora_config"], names["training_arguments"]
    assert (lora.r, lora.lora_alpha, sorted(lora.target_modules)) == (16, 32, ["q_proj", "v_proj"])
    assert (training.learning_rate, training.get_warmup_steps(200)) == (1e-3, 20)
    assert training.lr_scheduler_type == "cosine"
    unknown = hpobench_llm.advise([made("t", bowl(1e-3))]).peft()
    assert "# lora_alpha: the table does not say it" in unknown
    assert "# context of t" in unknown


def test_the_command(tmp_path, rows, seal_rows, capsys, monkeypatch):
    seal_rows(tmp_path / "tables" / "small", rows)
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    assert main(["advise", "small", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert list(read["groups"][0]["tables"]) == ["small"]
    assert main(["advise", "small"]) == 0
    assert "Portfolio: one of these is near the best on 1 of 1 table" in capsys.readouterr().out
    assert main(["advise", "small", "--peft"]) == 0
    assert "LoraConfig(" in capsys.readouterr().out
    for wrong, words in (
        (["smal"], "unknown table 'smal'; did you mean 'small'?"),
        (["--suite", "lara"], "unknown suite 'lara'; did you mean 'lora'?"),
        (["small", "--near", "-1"], "`near` must be above 0"),
    ):
        assert main(["advise", *wrong]) == 2
        assert words in capsys.readouterr().err


def test_odd_axes_are_read_as_they_are():
    axes = (
        Categorical("rank", ("small", "large")),
        Ordinal("lr", (1e-4, 1e-3, 1e-2), log=True),
        Ordinal("lora_alpha", (0, 16)),
        Ordinal("batch", (0, 8)),
    )
    table = made("odd", lambda c: 1 + c["lr"] + 0.1 * c["batch"], axes=axes, defaults={"x": "y"})
    advice = hpobench_llm.advise([table, made("t", bowl(1e-3), defaults={"alpha_ratio": "two"})])
    assert advice.summary()
    json.dumps(advice.to_json(), allow_nan=False)
    zero = made("zero", lambda c: c["lr"], axes=(Ordinal("lr", (0.0, 0.1, 0.2)),))
    with pytest.raises(HpobenchError, match="learning rates are 0 or below"):
        hpobench_llm.advise([zero])
