"""What people's files hold beside plain columns: conditions, durations, lists, pruned runs."""

import io
import json
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.errors import DataError, HpobenchError, SpecError
from hpobench_llm.space import Categorical, Ordinal
from hpobench_llm.tables.card import card
from hpobench_llm.tables.columns import Column
from hpobench_llm.tables.importers.command import import_tables
from hpobench_llm.tables.importers.generic.costs import seconds

PLAIN = '[hyperparameters.lr]\n[metrics.loss]\ndirection = "minimize"\n'
CURVES = PLAIN + '[fidelities.epoch]\nunit = "epochs"\n'
PARAMETER = (
    '[hyperparameters.kernel]\n[hyperparameters.gamma]\n{}\n[metrics.loss]\ndirection="minimize"\n'
)


def notes(table):
    return " ".join(table.metadata.provenance["imported"]["notes"])


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def jsonl(*rows):
    return "\n".join(map(json.dumps, rows)) + "\n"


# Statuses


NESTED = "id,state,lr,parent,fold,loss\n" + "".join(
    f"p{i},FINISHED,{lr},,parent,\n"
    + "".join(f"c{i}{f},FINISHED,{lr},p{i},fold{f},{i + f / 10}\n" for f in range(3))
    for i, lr in enumerate((0.1, 0.01))
)
FOLDS = (
    'run = "id"\nseed = "fold"\n'
    + PLAIN
    + '[status]\ncolumn = "state"\nvalues = {FINISHED="ok"}\n'
)


def test_a_table_in_which_no_configuration_is_ok_is_refused(bring, tmp_path):
    with pytest.raises(DataError) as caught:
        bring(FOLDS, NESTED)
    for words in (
        "no configuration ended ok",
        "6 ok, 2 failed",
        "`loss` is empty",
        "line 2",
        "[filters.",
    ):
        assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_filter_leaves_parent_runs_out_and_counts_them(bring):
    table = bring(FOLDS + '[filters.parent]\nwithout = [""]\n', NESTED)["mine"]
    assert table.frame["status"].tolist() == ["ok"] * 6
    (dropped,) = table.metadata.provenance["imported"]["dropped"]
    assert (dropped["count"], dropped["rows"]) == (2, [2, 6])
    assert "`parent` must be none of ''" in dropped["reason"]
    assert "Runs ended 6 ok; 2 of 2 configurations ended ok" in card(table)


def test_some_runs_that_fail_by_an_empty_cell_alone_are_said(bring):
    table = bring(PLAIN, "lr,loss\n0.1,1\n0.2,\n")["mine"]
    assert "1 runs have no `loss` and are not said to have failed" in notes(table)
    assert "line 3" in notes(table)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("only = [1, 2]", [1, 2]),
        ('only = ["1.0", ""]', [1, 4]),
        ("low = 2", [2, 3]),
        ("low = 1.5\nhigh = 2", [2]),
        ("without = [2, 3]", [1, 4]),
        ('without = ["", 1]', [2, 3]),
    ],
)
def test_filters(bring, rule, kept):
    content = "lr,loss,k\n1,1,1\n2,1,2\n3,1,3.0\n4,1,\n"
    table = bring(PLAIN + f"[filters.k]\n{rule}\n", content)["mine"]
    assert table.frame["lr"].tolist() == kept


def test_a_filter_that_keeps_nothing(bring):
    with pytest.raises(DataError, match="no row is left: all are left out because `k` must be"):
        bring(PLAIN + "[filters.k]\nlow = 9\n", "lr,loss,k\n1,1,1\n")
    with pytest.raises(SpecError, match=r"filters\.k.*needs `only`"):
        bring(PLAIN + "[filters.k]\n", "lr,loss,k\n1,1,1\n")


def test_pruned_runs_are_ok_as_far_as_they_went(bring):
    status = '[status]\ncolumn = "s"\nvalues = {done = "ok", cut = "pruned"}\n'
    content = "lr,epoch,loss,s\n1,1,3,done\n1,2,2,done\n2,1,4,cut\n3,1,,cut\n"
    table = bring('short_curves = "failed"\n' + CURVES + status, content)["mine"]
    rows = table.frame[["lr", "epoch", "status"]].to_numpy().tolist()
    assert rows == [[1, 1, "ok"], [1, 2, "ok"], [2, 1, "ok"]]
    (dropped,) = table.metadata.provenance["imported"]["dropped"]
    assert dropped["rows"] == [5]
    assert "1 runs were pruned" in notes(table)
    # The value at which a run was given up is not that of a run in full.
    content = "lr,loss,s\n1,3,done\n2,4,cut\n"
    table = bring(PLAIN + status, content)["mine"]
    assert table.frame["lr"].tolist() == [1]
    assert table.metadata.provenance["imported"]["dropped"][0]["rows"] == [3]


# Hyperparameters


@pytest.mark.parametrize("empty", [None, float("nan"), "", "NaN", "none"])
def test_what_stands_in_for_an_empty_cell_is_counted(bring, empty):
    rows = [{"kernel": k, "gamma": g, "loss": 1} for k, g in (("lin", empty), ("rbf", 0.5))]
    table = bring(PARAMETER.format("missing = 1"), jsonl(*rows), "runs.jsonl")["mine"]
    assert table.frame["gamma"].tolist() == [1, 0.5]
    assert "gamma: empty in 1 of 2 rows, filled in with 1" in card(table)
    assert '`only_if = {"kernel" = ["rbf"]}`' in notes(table)
    with pytest.raises(DataError, match=r"line 1: `gamma`: .*`missing`.*only_if"):
        bring(PARAMETER.format(""), jsonl(*rows), "runs.jsonl")


def test_an_axis_that_exists_under_a_condition(bring, tmp_path):
    rows = [
        {"kernel": "lin", "gamma": None, "loss": 3},
        {"kernel": "rbf", "gamma": 0.5, "loss": 2},
        {"kernel": "rbf", "gamma": 0.1, "loss": 1},
        {"kernel": "poly", "gamma": 7, "loss": 4},  # what has no meaning there is not an axis
    ]
    spec = PARAMETER.format('missing = 0.5\nonly_if = {kernel = ["rbf"]}')
    table = bring(spec, jsonl(*rows), "runs.jsonl")["mine"]
    assert table.frame[["kernel", "gamma"]].to_numpy().tolist() == [
        ["lin", 0.5],
        ["poly", 0.5],
        ["rbf", 0.1],
        ["rbf", 0.5],
    ]
    said = "exists only where `kernel` is rbf; elsewhere (2 of 4 rows) 0.5 stands for it, 1 times"
    assert said in card(table)
    assert table.metadata.provenance["imported"]["axes"] == {
        "gamma": {"only_if": {"kernel": ["rbf"]}, "otherwise": 0.5}
    }
    assert load(str(table.folder)).query({"kernel": "lin", "gamma": 0.5}).metrics == {"loss": 3.0}
    rows[1]["gamma"] = None
    with pytest.raises(DataError, match=r"line 2: `gamma`: is empty where `kernel` is rbf"):
        bring(spec, jsonl(*rows), "runs.jsonl")
    for wrong, words in (
        ('only_if = {kernel = ["rbf"]}', "needs `missing`"),
        ('missing = 1\nonly_if = {kernal = ["rbf"]}', "did you mean 'kernel'"),
    ):
        with pytest.raises(SpecError, match=words):
            bring(PARAMETER.format(wrong), jsonl(*rows), "runs.jsonl")


def test_a_name_may_be_none(bring):
    content = "kernel,gamma,loss\nnone,1,1\nrbf,2,2\n"
    table = bring(PARAMETER.format(""), content)["mine"]
    assert table.metadata.space.dimensions[0] == Categorical("kernel", ("none", "rbf"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_are_names(bring, kind):
    modules = [["q", "v"], ["q"], ["q", "v"]]
    if kind == "parquet":
        content = parquet(lr=modules, loss=[1.0, 2.0, 3.0])
    else:
        content = jsonl(*({"lr": m, "loss": i + 1.0} for i, m in enumerate(modules)))
    table = bring('duplicates = "repeats"\n' + PLAIN, content, f"runs.{kind}")["mine"]
    assert table.metadata.space.dimensions == (Categorical("lr", ('["q", "v"]', '["q"]')),)
    assert table.frame["seed"].tolist() == [0, 1, 0]


def test_names_in_an_order_are_numbered_and_the_card_says_how(bring):
    axis = 'kind = "ordinal"\nvalues = ["small", "medium", "large"]\n'
    spec = PLAIN.replace("[metrics", axis + "[metrics")
    table = bring(spec, "lr,loss\nlarge,1\nsmall,2\n")["mine"]
    assert table.metadata.space.dimensions == (Ordinal("lr", (0, 1, 2)),)
    assert table.frame[["lr", "loss"]].to_numpy().tolist() == [[0, 2], [2, 1]]
    assert "0 is 'small', 1 is 'medium', 2 is 'large'" in card(table)
    assert table.metadata.provenance["imported"]["axes"]["lr"]["names"][1] == "medium"
    with pytest.raises(DataError, match=r"line 2: `lr`: 'huge' is not among the `values`"):
        bring(spec, "lr,loss\nhuge,1\n")


def test_axes_may_be_called_as_they_like(bring, tmp_path):
    """Neither the importer's own columns nor those of a LoRA campaign are reserved words."""
    names = ["dropout", "rank", "run", "task", "config", "record", "repeat", "stated", "label"]
    names += ["level", "given_seed", "optimizer", "step"]
    content = ",".join([*names, "loss"]) + "\n"
    content += "".join(",".join([f"{n}{i}" for n in names] + [str(i)]) + "\n" for i in range(2))
    spec = "".join(f"[hyperparameters.{n}]\n" for n in names)
    table = bring(spec + PLAIN.partition("\n")[2], content)["mine"]
    assert table.metadata.space.names == tuple(names)
    assert table.frame[names].to_numpy().tolist() == [[f"{n}{i}" for n in names] for i in (0, 1)]
    assert load(str(table.folder)).query({n: f"{n}1" for n in names}).metrics == {"loss": 1.0}
    with pytest.raises(SpecError, match="'train_seconds' is in every table"):
        bring(PLAIN.replace("lr]", 'lr]\nname = "train_seconds"'), "lr,loss\n1,1\n")


def test_every_column_carries_its_unit_and_meaning(bring):
    spec = PLAIN + 'unit = "nats"\nstderr = "se"\n'
    table = bring(spec.replace("lr]", 'lr]\nunit = "1/s"'), "lr,loss,se\n1,2,3\n")["mine"]
    columns = table.metadata.columns
    assert list(columns) == list(table.frame.columns)
    assert columns["lr"].unit == "1/s"
    assert columns["loss"] == Column("nats", "metric, minimized")
    assert columns["se"].meaning == "standard error of loss"


# Seeds


def test_a_seed_of_its_own_for_every_run(bring):
    """Seeds that no two configurations share number the runs of each configuration instead."""
    content = "lr,loss,s\n" + "".join(f"{i // 2},{i},{900 - i}\n" for i in range(3000))
    table = bring('seed = "s"\n' + PLAIN, content)["mine"]
    assert table.metadata.seeds == (0, 1)
    assert table.frame["source_s"].tolist()[:3] == ["899", "900", "897"]
    assert "Hardly any two configurations share a seed" in notes(table)
    limits = "[limits]\ncells = 20000\n"  # 1,500 configurations and 3,000 seeds would be too many
    assert len(bring('seed = "s"\n' + PLAIN + limits, content)["mine"].frame) == 3000


def test_seeds_that_configurations_share_are_kept(bring):
    content = "lr,loss,s\n" + "".join(f"{i % 3},{i},{i // 3 * 7}\n" for i in range(6))
    assert bring('seed = "s"\n' + PLAIN, content)["mine"].metadata.seeds == (0, 7)


def test_too_many_cells_are_blamed_on_what_makes_them(bring):
    content = "lr,loss,s\n" + "".join(f"{i},{i},{i // 2}\n" for i in range(40))
    with pytest.raises(DataError, match=r"800 cells.*seeds hardly meet"):
        bring('seed = "s"\n' + PLAIN + "[limits]\ncells = 700\n", content)


# Costs


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9999)))
def test_a_duration_is_read_as_pandas_python_and_iso_write_it(duration):
    days, rest = duration.days, duration.seconds
    hours, minutes = rest // 3600, rest // 60 % 60
    second = rest % 60 + duration.microseconds / 1e6
    spellings = (
        f"{days} days {hours:02d}:{minutes:02d}:{second:09.6f}",
        str(duration),
        f"P{days}DT{hours}H{minutes}M{second:.6f}S",
        f"{days}d {hours}h {minutes}m {second:.6f}s",
        duration,
    )
    for spelling in spellings:
        assert seconds(spelling) == pytest.approx(duration.total_seconds(), abs=1e-5)


@pytest.mark.parametrize("text", ["", "1:02", "P1Y", "P", "PT", "tomorrow", "12", 12.0, None])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration such as"):
        seconds(text)


def test_durations_are_costs(bring):
    content = "lr,loss,t\n1,1,0 days 00:01:02.5\n2,1,PT1M2.5S\n3,1,\n"
    spec = PLAIN + '[costs.t]\nunit = "duration"\n'
    frame = bring(spec, content)["mine"].frame
    np.testing.assert_array_equal(frame["train_seconds"], [62.5, 62.5, np.nan])
    column = pa.array([timedelta(seconds=62.5), None], pa.duration("ns"))
    frame = bring(spec, parquet(lr=[1, 2], loss=[1, 1], t=column), "r.parquet")["mine"].frame
    np.testing.assert_array_equal(frame["train_seconds"], [62.5, np.nan])
    with pytest.raises(DataError, match=r"line 2: `t`: .*a duration needs unit = 'duration'"):
        bring(PLAIN + "[costs.t]\n", content)
    with pytest.raises(DataError, match=r"line 2: `t`: .*0 or more and finite, got -1"):
        bring(spec, "lr,loss,t\n1,1,-1 days +23:59:59\n")


# Files


PAIRS = 'layout = "pairs"\n' + CURVES + '[metrics.acc]\ndirection = "maximize"\n[costs.t]\n'


@pytest.mark.parametrize("file", ["runs.jsonl", "runs.csv"])
def test_pairs_of_step_and_value(bring, file):
    first = {"lr": 1, "loss": [[1, 3.0], [2, 2.0]], "acc": [[2, 0.5]], "t": [[1, 5], [2, 9]]}
    second = {"lr": 2, "loss": [[1, 4.0]], "acc": [], "t": [[1, 6]]}
    content = jsonl(first, second)
    if file.endswith("csv"):
        content = "lr,loss,acc,t\n" + "".join(
            ",".join(f'"{json.dumps(cell)}"' for cell in row.values()) + "\n"
            for row in (first, second)
        )
    frame = bring(PAIRS, content, file)["mine"].frame
    np.testing.assert_array_equal(
        frame[["lr", "epoch", "loss", "acc", "train_seconds"]].to_numpy(dtype=float),
        [[1, 1, 3, np.nan, 5], [1, 2, 2, 0.5, 9], [2, 1, 4, np.nan, 6]],
    )


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([[1, 2], [1, 3]], "two pairs are at 1"),
        ([[1, 2, 3]], "a pair"),
        ([5], "a pair"),
        ([[None, 3]], "finite number"),
        ([[1, "low"]], "'low'"),
    ],
)
def test_pairs_that_are_none(bring, curve, words):
    row = {"lr": 1, "loss": curve, "acc": [], "t": []}
    with pytest.raises(DataError, match=f"line 1: `loss`: .*{words}"):
        bring(PAIRS, jsonl(row), "runs.jsonl")


def spec_of(tmp_path, text):
    path = tmp_path / "spec.toml"
    path.write_text('name = "mine"\ndescription = "d"\n' + text)
    return path


def test_several_files_of_one_layout_with_a_fidelity_each(tmp_path):
    (tmp_path / "small.csv").write_text("lr,loss\n1,4\n2,3\n")
    (tmp_path / "large.csv").write_text("loss,other,lr\n2,x,1\n1,y,2\n")
    spec = spec_of(
        tmp_path,
        PLAIN + '[fidelities.share]\nunit = "of the rows"\n[files."small.csv"]\nshare = 0.1\n'
        '[files."large.csv"]\nshare = 1\n',
    )
    (table,) = import_tables("generic", spec=spec, out=tmp_path / "out")
    columns = ["lr", "share", "loss", "source_file", "source_row"]
    assert table.frame[columns].to_numpy().tolist() == [
        [1, 0.1, 4, "small.csv", 2],
        [1, 1.0, 2, "large.csv", 2],
        [2, 0.1, 3, "small.csv", 3],
        [2, 1.0, 1, "large.csv", 3],
    ]
    files = table.metadata.provenance["imported"]["files"]
    assert [file["path"] for file in files] == ["small.csv", "large.csv"]
    assert len({file["sha256"] for file in files}) == 2
    (tmp_path / "large.csv").write_text("loss,lr\nlow,1\n")
    with pytest.raises(DataError, match=r"large\.csv, line 2: `loss`: .*'low'"):
        import_tables("generic", spec=spec, out=tmp_path / "out")
    (tmp_path / "large.csv").write_text("loss,lr,share\n2,1,1\n")
    with pytest.raises(DataError, match=r"large\.csv: the file has a column `share` too"):
        import_tables("generic", spec=spec, out=tmp_path / "out")


def test_a_pattern_of_files_and_a_task_for_each(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in "ab":
        (tmp_path / "runs" / f"{name}.csv").write_text(f"lr,loss\n1,{ord(name)}\n2,3\n")
    spec = spec_of(tmp_path, 'file = "runs/*.csv"\ntask = "source_file"\n' + PLAIN)
    tables = import_tables("generic", spec=spec, out=tmp_path / "out")
    assert [t.metadata.name for t in tables] == ["mine-a.csv", "mine-b.csv"]
    assert [t.frame["loss"][0] for t in tables] == [97, 98]
    with pytest.raises(SpecError, match="no such file"):
        import_tables("generic", spec=spec_of(tmp_path, 'file = "*.tsv"\n' + PLAIN), out=tmp_path)


def test_the_limits_hold_over_all_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("lr,loss\n1,2\n")
    spec = spec_of(
        tmp_path, 'file = "*.csv"\nduplicates = "repeats"\n[limits]\nrows = 1\n' + PLAIN
    )
    with pytest.raises(DataError, match=r"b\.csv: holds more than 1 rows"):
        import_tables("generic", spec=spec, out=tmp_path / "out")


def test_json(bring):
    rows = [{"lr": 1, "loss": 2}, {"lr": 2, "loss": 3}]
    for value, records in ((rows, ""), ({"a": {"b": rows}}, 'records = "a.b"\n')):
        frame = bring(records + PLAIN, json.dumps(value), "runs.json")["mine"].frame
        assert frame[["lr", "loss", "source_row"]].to_numpy().tolist() == [[1, 2, 1], [2, 3, 2]]
    assert len(bring(PLAIN, json.dumps(rows[0]), "run.json")["mine"].frame) == 1
    with pytest.raises(DataError, match=r"runs\.json: `records` .*'c' is not there"):
        bring('records = "a.c"\n' + PLAIN, json.dumps({"a": {"b": rows}}), "runs.json")
    for broken in ("[1", "[1]", "3", "[" * 100_000, '{"lr": ' * 5000 + "1" + "}" * 5000):
        with pytest.raises(DataError, match=r"runs\.json"):
            bring(PLAIN, broken, "runs.json")


def test_decimals_and_half_floats(bring):
    content = parquet(
        lr=pa.array([Decimal("0.10"), Decimal("0.20")], pa.decimal128(8, 2)),
        loss=pa.array(np.array([1.0, 2.0], np.float16)),
        size=pa.array([Decimal(64), Decimal(64)], pa.decimal128(8, 2)),
    )
    spec = PLAIN.replace("[metrics", '[hyperparameters.size]\nkind = "categorical"\n[metrics')
    frame = bring(spec, content, "runs.parquet")["mine"].frame
    assert frame[["lr", "size", "loss"]].to_numpy().tolist() == [[0.1, "64", 1.0], [0.2, "64", 2]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("file", ["runs.csv", "runs.jsonl", "runs.json"])
def test_byte_order_marks(bring, tmp_path, encoding, file):
    content = {"runs.csv": "lr,loss\n1,2\n", "runs.jsonl": '{"lr": 1, "loss": 2}\n'}
    text = content.get(file, '[{"lr": 1, "loss": 2}]')
    assert bring(PLAIN, text.encode(encoding), file)["mine"].frame["loss"].tolist() == [2.0]


def test_a_spec_with_a_byte_order_mark_and_no_licence(tmp_path):
    (tmp_path / "runs.csv").write_text("lr,loss\n1,2\n")
    spec = tmp_path / "spec.toml"
    text = 'name = "mine"\ndescription = "d"\nfile = "runs.csv"\n' + PLAIN
    spec.write_bytes(text.encode("utf-8-sig"))
    (table,) = import_tables("generic", spec=spec, out=tmp_path / "out")
    assert table.metadata.licence == "not stated"
    assert "Licence of the table: not stated" in card(table)


def test_an_empty_run_name_is_no_run(bring):
    with pytest.raises(HpobenchError, match=r"line 3: `id`: is empty; a run's name"):
        bring('run = "id"\n' + PLAIN, "id,lr,loss\na,1,1\n,2,2\n")
