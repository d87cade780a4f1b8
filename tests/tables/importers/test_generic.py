"""A spec and a file become the table they describe: layouts, costs, statuses, seeds, tasks."""

import gzip
import io
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.space import Categorical, Float, Integer, Ordinal
from hpobench_llm.tables.card import card
from hpobench_llm.tables.importers.generic.cells import number, text
from hpobench_llm.tables.table import Table

PLAIN = """
[hyperparameters.lr]
log = true
[metrics.loss]
direction = "minimize"
unit = "nats"
"""
CURVES = (
    PLAIN
    + """
[metrics.acc]
direction = "maximize"
[fidelities.epoch]
unit = "epochs"
"""
)
LONG = """lr,epoch,loss,acc,sec
0.1,1,3.0,0.1,10
0.1,2,2.0,0.2,20
0.1,3,1.0,0.3,30
0.2,1,2.5,0.2,11
0.2,2,1.5,,21
0.3,1,nan,,12
"""


def rows_of(table):
    return table.frame.set_index(["lr", *(f.name for f in table.metadata.fidelities)])


def test_one_row_a_run_without_any_fidelity(bring):
    table = bring(PLAIN, "lr,loss,note\n0.1,1.0,a\n0.01,2.0,b\n0.001,inf,c\n")["mine"]
    assert table.metadata.fidelities == ()
    assert table.frame["lr"].tolist() == [0.001, 0.01, 0.1]
    assert table.frame["status"].tolist() == ["diverged", "ok", "ok"]
    assert table.frame["source_row"].tolist() == [4, 3, 2]
    assert np.isnan(table.frame["loss"][0])
    assert table.metadata.metrics["loss"].worst == 2.0  # the worst finite value of the table
    notes = " ".join(table.metadata.provenance["imported"]["notes"])
    assert "loss: a run without a value counts as 2, the worst of the table" in notes
    assert "note" not in table.frame
    assert table.metadata.space.config_id({"lr": 0.1}) in set(table.frame["config_id"])


def test_roles_follow_from_place_name_and_direction_or_are_said(bring):
    spec = "[hyperparameters.lr]\n" + "".join(
        f'[metrics.{name}]\ndirection = "{direction}"\n{role}'
        for name, direction, role in (
            ("train_loss", "minimize", ""),
            ("train_acc", "maximize", ""),
            ("acc", "maximize", ""),
            ("loss", "minimize", ""),
            ("watts", "minimize", 'role = "cost"\n'),
        )
    )
    table = bring(spec, "lr,train_loss,train_acc,acc,loss,watts\n1,1,1,1,1,1\n2,2,2,2,2,2\n")[
        "mine"
    ]
    assert {name: metric.role for name, metric in table.metadata.metrics.items()} == {
        "train_loss": "objective",  # it stands first
        "train_acc": "diagnostic",
        "acc": "score",
        "loss": "objective",
        "watts": "cost",
    }


def test_curves_of_unequal_length_are_never_carried_on(bring):
    costs = '[costs.sec]\ncounts = "so_far"\n'
    table = bring(CURVES + costs, LONG)["mine"]
    rows = rows_of(table)
    assert table.metadata.fidelities[0].values == (1, 2, 3)
    assert rows.loc[(0.1, 3), "loss"] == 1.0
    assert (0.2, 3) not in rows.index  # the run ends ok at 2: nothing is known beyond
    assert np.isnan(rows.loc[(0.2, 2), "acc"])
    assert rows.loc[(0.2, 2), "status"] == "ok"
    # The run that diverged stays so, without values, at the cost of its end.
    broken = rows.loc[0.3]
    assert broken["status"].tolist() == ["diverged"] * 3
    assert broken["train_seconds"].tolist() == [12.0] * 3
    assert broken["loss"].isna().all()
    assert broken["added_after_end"].tolist() == [False, True, True]
    text = card(table)
    assert "1 runs end before the last checkpoint" in text
    assert "1 runs ended diverged" in text


@pytest.mark.parametrize("status", ["failed", "diverged", "out_of_memory"])
def test_short_curves_may_be_a_status(bring, status):
    rows = rows_of(bring(f'short_curves = "{status}"\n' + CURVES, LONG)["mine"])
    assert rows.loc[(0.2, 2), "status"] == "ok"
    assert rows.loc[(0.2, 3), "status"] == status
    assert np.isnan(rows.loc[(0.2, 3), "loss"])


def test_short_curves_may_be_dropped_and_are_counted(bring):
    table = bring('short_curves = "drop"\n' + CURVES, LONG)["mine"]
    assert sorted(set(table.frame["lr"])) == [0.1, 0.3]
    (entry,) = table.metadata.provenance["imported"]["dropped"]
    assert (entry["count"], entry["rows"]) == (1, [6])


def test_keep_last_makes_a_table_without_a_fidelity(bring):
    table = bring('keep = "last"\n' + CURVES, LONG)["mine"]
    assert table.metadata.fidelities == ()
    assert table.frame[["lr", "epoch", "loss"]].to_numpy()[:2].tolist() == [
        [0.1, 3.0, 1.0],
        [0.2, 2.0, 1.5],
    ]
    assert table.frame["status"].tolist() == ["ok", "ok", "diverged"]


def test_a_gap_in_the_main_metric_is_no_failure_where_the_run_goes_on(bring):
    content = "lr,epoch,loss,acc\n0.1,1,,0.5\n0.1,2,2.0,0.5\n0.2,1,3.0,0.5\n0.2,2,,0.5\n"
    rows = rows_of(bring(CURVES, content)["mine"])
    assert rows["status"].to_dict() == {
        (0.1, 1): "ok",
        (0.1, 2): "ok",
        (0.2, 1): "ok",
        (0.2, 2): "failed",
    }


LAYOUTS = {
    "long.csv": "lr,epoch,loss,acc\n0.1,1,3.0,0.1\n0.1,2,2.0,0.2\n0.2,1,5.0,0.3\n",
    "long.jsonl": "\n".join(
        json.dumps({"config": {"lr": lr}, "epoch": epoch, "loss": loss, "acc": acc})
        for lr, epoch, loss, acc in ((0.1, 1, 3.0, 0.1), (0.1, 2, 2.0, 0.2), (0.2, 1, 5.0, 0.3))
    ),
    "lists.csv": 'lr,loss,acc\n0.1,"[3.0, 2.0]","[0.1, 0.2]"\n0.2,[5.0],[0.3]\n',
    "lists.jsonl": '{"lr": 0.1, "epoch": [1, 2], "loss": [3.0, 2.0], "acc": [0.1, 0.2]}\n'
    '{"lr": 0.2, "epoch": [1], "loss": [5.0], "acc": [0.3]}\n',
    "objects.jsonl": '{"lr": 0.1, "curve": [{"epoch": 1, "loss": 3.0, "acc": 0.1}, '
    '{"epoch": 2, "loss": 2.0, "acc": 0.2}]}\n'
    '{"lr": 0.2, "curve": [{"epoch": 1, "loss": 5.0, "acc": 0.3}]}\n',
    "wide.csv": "lr,loss_1,loss_2,acc_1,acc_2,loss_best\n0.1,3.0,2.0,0.1,0.2,2\n0.2,5.0,,0.3,,5\n",
}
RULES = {
    "long.csv": CURVES,
    "long.jsonl": CURVES.replace(
        "[hyperparameters.lr]", '[hyperparameters."config.lr"]\nname="lr"'
    ),
    "lists.csv": 'layout = "lists"\n' + CURVES + "first = 1\n",
    "lists.jsonl": 'layout = "lists"\n' + CURVES,
    "objects.jsonl": 'layout = "lists"\n'
    + CURVES.replace("metrics.loss]", 'metrics."curve.loss"]\nname="loss"')
    .replace("metrics.acc]", 'metrics."curve.acc"]\nname="acc"')
    .replace("fidelities.epoch]", 'fidelities."curve.epoch"]\nname="epoch"'),
    "wide.csv": 'layout = "wide"\n'
    + CURVES.replace("metrics.loss]", 'metrics."loss_*"]').replace(
        "metrics.acc]", 'metrics."acc_*"]'
    ),
}


@pytest.mark.parametrize("file", LAYOUTS)
def test_every_layout_gives_the_same_rows(bring, file):
    table = bring(RULES[file], LAYOUTS[file], file)["mine"]
    found = table.frame[["lr", "epoch", "loss", "acc", "status"]].to_numpy().tolist()
    assert found == [[0.1, 1, 3.0, 0.1, "ok"], [0.1, 2, 2.0, 0.2, "ok"], [0.2, 1, 5.0, 0.3, "ok"]]
    assert table.metadata.fidelities[0].values == (1, 2)


def test_parquet_with_lists_and_gzipped_csv_read_alike(bring):
    frame = pd.DataFrame(
        {"lr": [0.1, 0.2], "loss": [[3.0, 2.0], [5.0]], "acc": [[0.1, 0.2], [0.3]]}
    )
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame), sink)
    spec = RULES["lists.csv"]
    one = bring(spec, sink.getvalue(), "runs.parquet")["mine"].frame
    other = bring(spec, gzip.compress(LAYOUTS["lists.csv"].encode()), "runs.csv.gz")["mine"].frame
    pd.testing.assert_frame_equal(one.drop(columns="source_row"), other.drop(columns="source_row"))
    assert one["source_row"].tolist() == [1, 1, 2]
    assert other["source_row"].tolist() == [2, 2, 3]


@pytest.mark.parametrize(
    ("cost", "given", "expected"),
    [
        ('unit = "minutes"', (1, 2, 4), (60.0, 120.0, 240.0)),
        ('counts = "since_last"', (10, 20, 5), (10.0, 30.0, 35.0)),
        ('counts = "since_last"', (10, "", 5), (10.0, math.nan, math.nan)),
        ('counts = "whole_run"', (9, 9, 9), (math.nan, math.nan, 9.0)),
        ('counts = "whole_run_evenly"', (9, 9, 9), (3.0, 6.0, 9.0)),
        ('name = "tokens_seen"\nunit = "tokens"', (5, 6, 7), (5.0, 6.0, 7.0)),
    ],
)
def test_costs_become_what_a_run_had_cost_so_far(bring, cost, given, expected):
    lines = [f"0.1,{e},1.0,0.5,{c}" for e, c in zip((1, 2, 3), given, strict=True)]
    content = "\n".join(["lr,epoch,loss,acc,sec", *lines])
    frame = bring(CURVES + f"[costs.sec]\n{cost}\n", content)["mine"].frame
    name = "tokens_seen" if "tokens" in cost else "train_seconds"
    np.testing.assert_allclose(frame[name], expected)


def test_the_cost_of_a_run_with_lists_stands_at_its_end(bring):
    content = "lr,loss,acc,sec\n" + '0.1,"[3.0, 2.0]","[0.1, 0.2]",50\n'
    spec = RULES["lists.csv"] + '[costs.sec]\ncounts = "whole_run"\n'
    frame = bring(spec, content)["mine"].frame
    assert np.isnan(frame["train_seconds"][0])
    assert frame["train_seconds"][1] == 50.0


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("lists.csv", 'lr,loss,acc,sec\n0.1,"[3, 2]","[0.1, 0.2]",50\n0.2,[],[],7\n'),
        ("wide.csv", "lr,loss_1,loss_2,acc_1,acc_2,sec\n0.1,3,2,0.1,0.2,50\n0.2,,,,,7\n"),
    ],
)
def test_a_run_without_a_checkpoint_is_a_failure_with_its_cost(bring, file, content):
    spec = RULES[file] + '[costs.sec]\ncounts = "whole_run"\n'
    rows = rows_of(bring(spec, content)["mine"]).loc[0.2]
    assert rows["status"].to_dict() == {1: "failed", 2: "failed"}
    assert rows["train_seconds"].tolist() == [7.0, 7.0]
    assert rows["added_after_end"].tolist() == [False, True]


def test_a_metric_of_the_run_stands_at_its_end(bring):
    content = 'lr,loss,acc\n0.1,"[3.0, 2.0]",0.7\n0.2,[4.0],0.6\n'
    spec = RULES["lists.csv"].replace('"maximize"', '"maximize"\nper_run = true')
    frame = bring(spec, content)["mine"].frame
    np.testing.assert_array_equal(frame["acc"], [np.nan, 0.7, 0.6])
    assert frame["status"].tolist() == ["ok"] * 3


def test_stated_statuses_are_mapped_and_dropped_rows_counted(bring):
    status = (
        '[status]\ncolumn = "state"\nvalues = {done = "ok", oom = "out_of_memory", "" = "drop"}\n'
    )
    content = "lr,loss,state\n0.1,1.0,done\n0.2,,oom\n0.3,9.0,\n0.4,,done\n"
    table = bring(PLAIN + status, content)["mine"]
    assert table.frame["status"].tolist() == ["ok", "out_of_memory", "failed"]
    (entry,) = table.metadata.provenance["imported"]["dropped"]
    assert (entry["count"], entry["rows"]) == (1, [4])


def test_repeats_become_seeds_and_say_so(bring):
    content = "lr,loss\n0.1,1.0\n0.1,2.0\n0.2,3.0\n"
    table = bring('duplicates = "repeats"\n' + PLAIN, content)["mine"]
    assert table.frame[["lr", "seed", "loss"]].to_numpy().tolist() == [
        [0.1, 0, 1.0],
        [0.1, 1, 2.0],
        [0.2, 0, 3.0],
    ]
    assert table.metadata.seeds == (0, 1)
    assert "no random seed" in " ".join(table.metadata.provenance["imported"]["notes"])


def test_repeats_of_curves_keep_their_checkpoints_together(bring):
    content = "lr,epoch,loss,acc\n0.1,1,3,0\n0.1,2,2,0\n0.1,1,30,0\n0.1,2,20,0\n"
    frame = bring('duplicates = "repeats"\n' + CURVES, content)["mine"].frame
    assert frame.groupby("seed")["loss"].apply(list).to_dict() == {0: [3.0, 2.0], 1: [30.0, 20.0]}


def test_a_run_column_tells_runs_apart(bring):
    content = "id,lr,epoch,loss,acc\nb,0.1,1,3,0\na,0.1,1,30,0\na,0.1,2,20,0\nb,0.1,2,2,0\n"
    spec = 'duplicates = "repeats"\nrun = "id"\n' + CURVES
    frame = bring(spec, content)["mine"].frame
    assert frame.groupby("seed")["loss"].apply(list).to_dict() == {0: [3.0, 2.0], 1: [30.0, 20.0]}


def test_seeds_are_the_file_s_where_they_are_integers(bring):
    content = "lr,loss,s,t\n0.1,1.0,7,x\n0.1,2.0,-3,y\n"
    assert bring('seed = "s"\n' + PLAIN, content)["mine"].metadata.seeds == (-3, 7)
    frame = bring('seed = ["s", "t"]\n' + PLAIN, content)["mine"].frame
    assert frame[["seed", "source_s", "source_t"]].to_numpy().tolist() == [
        [0, "-3", "y"],
        [1, "7", "x"],
    ]


def test_each_task_is_a_table_of_the_same_space(bring):
    content = "lr,loss,data,size\n0.1,1.0,My Data/..,7\n0.2,2.0,My Data/..,7\n0.3,3.0,b,1.5\n"
    tables = bring('task = ["data", "size"]\n' + PLAIN, content)
    assert sorted(tables) == ["mine-b-1.5", "mine-my-data-7"]
    odd = tables["mine-my-data-7"].metadata
    assert odd.family == "mine"
    assert odd.task == {"data": "My Data/..", "size": 7}
    assert odd.space == tables["mine-b-1.5"].metadata.space
    assert odd.space.dimensions[0].values == (0.1, 0.2, 0.3)


def test_several_fidelities(bring):
    content = "lr,epoch,share,loss,acc\n" + "\n".join(
        f"0.1,{e},{s},{e + s},0" for e in (1, 2) for s in (0.5, 1.0)
    )
    table = bring(CURVES + '[fidelities.share]\nunit = "of the rows"\n', content)["mine"]
    assert [f.values for f in table.metadata.fidelities] == [(1, 2), (0.5, 1.0)]
    assert len(table.frame) == 4
    assert "4 rows" in card(table)


def test_axes_are_inferred_or_stated(bring):
    n = 40
    columns = {
        "a": [0.001 * 1.1**i for i in range(n)],
        "b": [*range(n)],
        "c": [2 ** (i % 3) for i in range(n)],
        "d": ["x", "y"] * (n // 2),
        "e": ["", "True"] * (n // 2),
    }
    content = pd.DataFrame(columns | {"loss": 1.0}).to_csv(index=False)
    axes = "".join(f"[hyperparameters.{name}]\n" for name in "bcd")
    axes += "[hyperparameters.a]\nlog = true\nlow = 1e-4\nhigh = 1\n"
    axes += '[hyperparameters.e]\nmissing = "no"\n'
    table = bring(PLAIN.replace("[hyperparameters.lr]\nlog = true", axes), content)["mine"]
    assert table.metadata.space.dimensions == (
        Integer("b", 0, n - 1),
        Ordinal("c", (1, 2, 4)),
        Categorical("d", ("x", "y")),
        Float("a", 1e-4, 1.0, log=True),
        Categorical("e", ("True", "no")),
    )
    notes = table.metadata.provenance["imported"]["notes"]
    assert "b: low and high are the extremes that occur" in notes


@pytest.mark.slow
def test_a_typical_random_search_nobody_has_seen(bring):
    """2,000 runs, unequal curves, two held-out sets, some that broke: closed forms all along."""
    rng = np.random.default_rng(0)
    runs = 2000
    lr, width = 10 ** rng.uniform(-5, -1, runs), rng.integers(8, 513, runs)
    ends = rng.integers(1, 21, runs)
    parts = [
        pd.DataFrame(
            {
                "trial": i,
                "lr": lr[i],
                "width": width[i],
                "act": "relu" if i % 2 else "gelu",
                "epoch": np.arange(1, ends[i] + 1),
                "valid": lr[i] + 1 / np.arange(1, ends[i] + 1),
                "test": 2 * lr[i] + 1 / np.arange(1, ends[i] + 1),
                "seconds": 0.5,
            }
        )
        for i in range(runs)
    ]
    frame = pd.concat(parts, ignore_index=True)
    broken = frame["trial"] % 50 == 0
    frame.loc[broken & ~frame.duplicated("trial", keep="last"), "valid"] = np.inf
    axes = "[hyperparameters.lr]\nlog = true\n[hyperparameters.width]\nlog = true\n"
    spec = f"""run = "trial"
{axes}[hyperparameters.act]
[fidelities.epoch]
unit = "epochs"
[metrics.valid]
name = "val_loss"
direction = "minimize"
[metrics.test]
name = "test_loss"
direction = "minimize"
[costs.seconds]
counts = "since_last"
"""
    table = bring(spec, frame.to_csv(index=False))["mine"]
    assert [type(d).__name__ for d in table.metadata.space] == ["Float", "Integer", "Categorical"]
    assert table.frame["config_id"].nunique() == runs
    real = table.frame[~table.frame["added_after_end"]]
    assert len(real) == len(frame)
    assert (real["train_seconds"] == 0.5 * real["epoch"]).all()
    ok = real[real["status"] == "ok"]
    np.testing.assert_allclose(ok["val_loss"], ok["lr"] + 1 / ok["epoch"])
    assert (real["status"] == "diverged").sum() == runs // 50
    added = table.frame[table.frame["added_after_end"]]
    assert (added["status"] == "diverged").all()
    assert len(added) == (20 - ends[::50]).sum()
    assert "2000 runs of 2000 configurations" in card(table)


def test_equal_imports_give_equal_rows_and_replace_the_old(bring):
    one = bring(CURVES, LONG)["mine"]
    before = (one.folder / "table.parquet").read_bytes()
    again = bring(CURVES, LONG)["mine"]
    assert (again.folder / "table.parquet").read_bytes() == before
    assert Table.load(again.folder).metadata == again.metadata
    assert (again.folder / "CARD.md").is_file()


def test_the_spec_of_the_readme(bring, project_root):
    text = (project_root / "tables" / "README.md").read_text(encoding="utf-8")
    spec = text.partition("```toml\n")[2].partition("```")[0]
    spec = "\n".join(spec.splitlines()[4:])  # name to file, which `bring` writes itself
    lines = [
        {
            "trial_id": trial,
            "seed": 3,
            "dataset": "a",
            "lr": 0.01 * (trial + 1),
            "optim": {"name": "adam"},
            "epoch": epoch,
            "valid_loss": 1 / epoch,
            "valid_acc": 0.5,
            "runtime": epoch,
            "state": "finished" if trial else "running",
        }
        for trial in range(3)
        for epoch in (1, 2)
    ]
    content = "\n".join(map(json.dumps, lines))
    frame = bring(spec, content, "runs.jsonl")["mine-a"].frame
    assert frame["lr"].tolist() == [0.02, 0.02, 0.03, 0.03]
    assert frame["train_seconds"].tolist() == [60.0, 120.0] * 2
    assert frame["val_loss"].tolist() == [1.0, 0.5] * 2
    assert frame["optimizer"].tolist() == ["adam"] * 4


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_their_spelling(value):
    assert number(repr(value)) == value
    assert number(f" {value!r} ") == value


@given(st.integers(-(2**52), 2**52))
def test_a_whole_number_is_one_name_however_it_is_spelled(value):
    assert text(float(value)) == text(value) == text(str(value))
