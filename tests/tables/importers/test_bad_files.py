"""Files and specs that break a rule: one error that names the place, and nothing written."""

import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpobench_llm.errors import DataError, HpobenchError, IntegrityError, SpecError
from hpobench_llm.tables.importers.command import import_tables
from hpobench_llm.tables.importers.generic.build import drafts_of_spec
from hpobench_llm.tables.importers.imported import seal_all

PLAIN = '[hyperparameters.lr]\n[metrics.loss]\ndirection = "minimize"\n'
CURVES = PLAIN + '[fidelities.epoch]\nunit = "epochs"\n'
LISTS = 'layout = "lists"\n' + CURVES
CATEGORY = '[hyperparameters.lr]\nkind = "categorical"\n'


def refuses(bring, tmp_path, spec, content, error, words, file="runs.csv"):
    with pytest.raises(error) as caught:
        bring(spec, content, file)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spec", "content", "words"),
    [
        (PLAIN, "lr,los\n1,2\n", ["runs.csv: column `loss`", "absent", "'los'"]),
        (PLAIN, "lr,loss,lr\n1,2,3\n", ["line 1", "two columns are called 'lr'"]),
        (PLAIN, "lr,loss\n1,2\n3\n", ["line 3", "2 cells", "got 1"]),
        (PLAIN, "lr,loss\n1,2\n3,4,5\n", ["line 3", "2 cells", "got 3"]),
        (PLAIN, 'lr,loss\n1,2\n"3,4\n', ["line 3", "broken CSV"]),
        (PLAIN, 'lr,loss\n1,"2"x\n', ["line 2", "broken CSV"]),
        (PLAIN, b"lr,loss\n1,\xff\n", ["not UTF-8"]),
        (PLAIN, "lr,loss\n", ["holds no rows"]),
        (PLAIN, "", ["`lr`", "absent"]),
        (PLAIN, "lr,loss\n1,2\n2,low\n", ["line 3: `loss`", "'low'", "number is expected"]),
        (PLAIN, "lr,loss\n1,2\n2,1_0\n", ["line 3: `loss`", "'1_0'"]),
        (PLAIN, "lr,loss\n1,2\nx,3\n", ["line 3: `lr`", "'x' is no number"]),
        (PLAIN, "lr,loss\n1,2\n,3\n", ["line 3: `lr`", "`missing`"]),
        (PLAIN, "lr,loss\n1,2\nnan,3\n", ["line 3: `lr`", "must have a value", "'nan'"]),
        (PLAIN, "lr,loss\n1,2\n1e999,3\n", ["line 3: `lr`", "finite number"]),
        (CATEGORY + PLAIN.partition("\n")[2], "lr,loss\nx,2\n,3\n", ["line 3: `lr`", "a value"]),
        (PLAIN, "lr,loss\n1,2\n1,2\n", ["line 3", "repeats line 2", "duplicates = 'repeats'"]),
        (PLAIN, "lr,loss\n1,2\n1,3\n", ["line 3", "contradicts line 2"]),
        (
            PLAIN,
            "lr,loss\n1,\n",
            ["no configuration ended ok", "1 failed", "`loss` is empty", "line 2"],
        ),
        (CURVES, "lr,epoch,loss\n1,1,2\n1,,3\n", ["line 3: `epoch`", "finite number"]),
        (CURVES, "lr,epoch,loss\n1,-1,2\n1,2,3\n", ["fidelity epoch", "from 0 up", "[-1, 2]"]),
        (CURVES, "lr,epoch,loss\n1,0,2\n2,0,3\n", ["fidelity epoch", "not all 0", "[0]"]),
        (CURVES, "lr,epoch,loss\n1,nan,2\n", ["line 2: `epoch`", "finite number"]),
        (
            'run = "id"\n' + CURVES,
            "id,lr,epoch,loss\na,1,1,2\na,2,2,3\n",
            ["line 3", "contradict each other", "another configuration"],
        ),
        (
            'run = "id"\n' + CURVES,
            "id,lr,epoch,loss\na,1,1,2\na,1,1,3\n",
            ["line 3 (run a)", "one run at one checkpoint"],
        ),
        (
            'short_curves = "error"\n' + CURVES,
            "lr,epoch,loss\n1,1,2\n1,2,2\n3,1,4\n",
            ["line 4", "ends at epoch 1", "short_curves"],
        ),
        (
            CURVES + "[costs.sec]\n",
            "lr,epoch,loss,sec\n1,1,2,-5\n",
            ["line 2: `sec`", "0 or more", "-5"],
        ),
        (
            CURVES + '[costs.sec]\ncounts = "whole_run"\n',
            "lr,epoch,loss,sec\n1,1,2,5\n1,2,2,9\n",
            ["line 2: `sec`", "differs within the run", "so_far"],
        ),
        (
            PLAIN + "high = 1\n",
            "lr,loss\n1,2\n2,0.5\n",
            ["line 2: `loss`", "2 is outside the range", "1]"],
        ),
        (
            PLAIN + '[status]\ncolumn = "s"\nvalues = {done = "ok"}\n',
            "lr,loss,s\n1,2,done\n3,4,gone\n",
            ["line 3: `s`", "'gone'", "'done'"],
        ),
        ('seed = "s"\n' + PLAIN, "lr,loss,s\n1,2,\n", ["line 2: `s`", "is empty"]),
        ('task = "t"\n' + PLAIN, "lr,loss,t\n1,2,//\n", ["no letter or digit"]),
        (
            'task = "t"\n' + PLAIN,
            "lr,loss,t\n1,2,a/b\n1,2,a b\n",
            ["two tables would be named 'mine-a-b'"],
        ),
        (LISTS + "first = 1\n", 'lr,loss\n1,"[2, x]"\n', ["line 2: `loss`", "JSON list"]),
        (LISTS + "first = 1\n", "lr,loss\n1,7\n", ["line 2: `loss`", "a list is expected"]),
        (
            LISTS,
            'lr,loss,epoch\n1,"[2, 3]",[1]\n',
            ["line 2: `epoch`", "1 entries", "`loss` has 2"],
        ),
        (LISTS, 'lr,loss,epoch\n1,"[2, 3]","[1, null]"\n', ["line 2: `epoch`", "finite number"]),
        (
            "[limits]\nrows = 2\n" + PLAIN,
            "lr,loss\n1,2\n3,4\n5,6\n",
            ["more than 2 rows", "`limits.rows`"],
        ),
        (
            LISTS + "first = 1\n[limits]\ncells = 5\n",
            'lr,loss\n1,"[2, 3, 4, 5, 6]"\n2,"[2]"\n',
            ["line 3", "more than 5 cells", "`limits.cells`"],
        ),
        (
            "[limits]\ncells = 20\n" + CURVES,
            "lr,epoch,loss\n" + "".join(f"{i},{i},1\n" for i in range(6)),
            ["36 cells", "hardly meet", "keep = 'last'"],
        ),
        (
            "[limits]\ndecoded_bytes = 1000\n" + PLAIN,
            "lr,loss\n" + "1,2\n" * 1000,
            ["more than 1000 bytes", "`limits.decoded_bytes`"],
        ),
    ],
)
def test_a_file_that_breaks_a_rule(bring, tmp_path, spec, content, words):
    refuses(bring, tmp_path, spec, content, DataError, words)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("[metrics.loss]\n", ["`hyperparameters`", "required"]),
        (PLAIN.replace("minimize", "down"), ["`metrics.loss.direction`", "'down'"]),
        (PLAIN + "wurst = 3\n", ["`metrics.loss.wurst`", "'worst'"]),
        (PLAIN + 'worst = "bad"\n', ["`metrics.loss.worst`", "'bad'"]),
        (PLAIN.replace("lr]", 'lr]\nname = "seed"'), ["'seed'", "rename"]),
        (PLAIN.replace("lr]", 'lr]\nname = "loss"'), ["'loss'", "rename"]),
        (PLAIN.replace("lr]", "lr]\nlog = true\nlow = 0.0\nhigh = 5"), ["`hyperparameters.lr`"]),
        (PLAIN.replace("lr]", 'lr]\nkind = "integer"'), ["`hyperparameters.lr`", "0.5 occurs"]),
        ('layout = "lists"\n' + PLAIN, ["exactly one fidelity"]),
        ('keep = "last"\n' + PLAIN, ["keep = 'last'"]),
        (PLAIN.replace("metrics.loss", 'metrics."loss_*"'), ["layout 'wide'"]),
        (PLAIN + '[costs.s]\nunit = "tokens"\n', ["`costs.s`", "train_seconds"]),
        ("[limits]\nrows = 0\n" + PLAIN, ["`limits`", "rows must be at least 1"]),
    ],
)
def test_a_spec_that_breaks_a_rule(bring, tmp_path, spec, words):
    refuses(bring, tmp_path, spec, "lr,loss\n0.5,2\n1,3\n", SpecError, ["spec.toml", *words])


@pytest.mark.parametrize("name", ["tokens", "cost_seconds"])
def test_a_metric_is_not_called_as_every_answer_calls_its_own(bring, tmp_path, name):
    spec = PLAIN + f'[metrics.{name}]\ndirection = "maximize"\n'
    content = f"lr,loss,{name}\n0.5,2,1\n1,3,2\n"
    refuses(bring, tmp_path, spec, content, IntegrityError, [f"a metric `{name}`", "`name`"])


@pytest.mark.parametrize("name", ["../mine", "a/b", "a..b", "", ".hidden", "a\\\\b"])
def test_a_name_that_is_no_folder_of_its_own(tmp_path, name):
    path = tmp_path / "spec.toml"
    path.write_text(f'name = "{name}"\ndescription = ""\nlicence = ""\nfile = "x.csv"\n' + PLAIN)
    with pytest.raises(SpecError, match="cannot name a table"):
        import_tables("generic", spec=path, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"lr": 1, "loss": ', ["line 2", "broken JSON"]),
        ("[1, 2]", ["line 2", "an object is expected"]),
        ("[" * 100_000, ["line 2", "broken JSON"]),
        ('{"lr": 2, "loss": [1]}', ["line 2: `loss`", "number is expected"]),
        ('{"lr": true, "loss": 1}', ["line 2: `lr`", "True"]),
        ('{"lr": {"a": 1}, "loss": 1}', ["line 2: `lr`"]),
        ('{"lr": 1' + "0" * 400 + ', "loss": 1}', ["line 2: `lr`"]),
    ],
)
def test_a_broken_line_of_jsonl(bring, tmp_path, line, words):
    content = '{"lr": 1, "loss": 2}\n' + line
    refuses(bring, tmp_path, PLAIN, content, DataError, words, "runs.jsonl")


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def test_a_parquet_column_that_decodes_to_gigabytes(bring, tmp_path):
    rows = 4_000_000
    one = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 9999])
    )
    numbers = pa.array(np.zeros(rows))
    content = parquet(pa.table({"lr": one, "loss": numbers}), compression="zstd")
    assert len(content) < 1_000_000  # 40 GB of text, and hardly anything on disk
    words = ["runs.parquet", "`lr`", "bytes when decoded", "limits.decoded_bytes"]
    refuses(
        bring,
        tmp_path,
        CATEGORY + PLAIN.partition("\n")[2],
        content,
        DataError,
        words,
        "runs.parquet",
    )
    limits = "[limits]\ndecoded_bytes = 1000000\n"
    content = parquet(pa.table({"lr": numbers, "loss": numbers}), compression="zstd")
    refuses(
        bring, tmp_path, limits + PLAIN, content, DataError, ["`lr`", "32000000"], "runs.parquet"
    )
    words = ["more than 1000 rows", "limits.rows"]
    refuses(
        bring,
        tmp_path,
        "[limits]\nrows = 1000\n" + PLAIN,
        content,
        DataError,
        words,
        "runs.parquet",
    )


def test_a_bomb_in_a_column_that_nobody_asked_for_is_not_decoded(bring):
    bomb = pa.DictionaryArray.from_arrays(
        pa.array([0, 0], pa.int32()), pa.array(["x" * 9_999_999])
    )
    table = pa.table({"lr": [0.1, 0.2], "loss": [1.0, 2.0], "prompt": bomb})
    limits = "[limits]\ndecoded_bytes = 100000\n"
    found = bring(limits + PLAIN, parquet(table), "runs.parquet")["mine"]
    assert found.frame["loss"].tolist() == [1.0, 2.0]


def test_parquet_that_points_at_another_file(bring, tmp_path):
    inner = tmp_path / "inner.parquet"
    pq.write_table(pa.table({"lr": [0.1], "loss": [1.0]}), inner)
    metadata = pq.read_metadata(inner)
    metadata.set_file_path("../../etc/passwd")
    outer = tmp_path / "runs.parquet"
    metadata.write_metadata_file(outer)
    words = ["runs.parquet", "`lr`", "another file", "../../etc/passwd"]
    refuses(bring, tmp_path, PLAIN, None, DataError, words, "runs.parquet")


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.97])
def test_damaged_parquet(bring, tmp_path, place):
    content = bytearray(parquet(pa.table({"lr": [0.1, 0.2], "loss": [1.0, 2.0]})))
    at = int(place * len(content))
    content[at : at + 8] = b"\xff" * 8
    with pytest.raises(DataError, match=r"runs\.parquet"):
        bring(PLAIN, bytes(content), "runs.parquet")
    assert not (tmp_path / "out").exists()


def test_parquet_of_other_types(bring, tmp_path):
    table = pa.table({"lr": [{"a": 1}], "loss": [1.0]})
    words = ["`lr`", "struct", "numbers, texts, durations and lists"]
    refuses(bring, tmp_path, PLAIN, parquet(table), DataError, words, "runs.parquet")


def test_nan_in_parquet_is_a_value_and_null_is_missing(bring):
    loss = pa.array([1.0, float("nan"), None])
    table = pa.table({"lr": [1.0, 2.0, 3.0], "loss": loss})
    frame = bring(PLAIN, parquet(table), "runs.parquet")["mine"].frame
    assert frame["status"].tolist() == ["ok", "diverged", "failed"]


def test_a_gzip_bomb_and_a_broken_gzip(bring, tmp_path):
    limits = "[limits]\ndecoded_bytes = 100000\n"
    bomb = gzip.compress(b"lr,loss\n" + b"0" * 50_000_000)
    words = ["runs.csv.gz", "more than 100000 bytes"]
    refuses(bring, tmp_path, limits + PLAIN, bomb, DataError, words, "runs.csv.gz")
    refuses(bring, tmp_path, PLAIN, bomb[:-20], DataError, ["runs.csv.gz"], "runs.csv.gz")
    refuses(bring, tmp_path, PLAIN, b"no gzip", DataError, ["cannot be read"], "runs.csv.gz")


def test_a_format_that_the_suffix_does_not_tell(bring, tmp_path):
    words = ["runs.txt", "`format`"]
    refuses(bring, tmp_path, PLAIN, "lr,loss\n1,2\n", DataError, words, "runs.txt")


def test_what_is_no_import_is_not_replaced(bring, tmp_path):
    occupied = tmp_path / "out" / "mine"
    occupied.mkdir(parents=True)
    (occupied / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match="is no import by 'generic mine'"):
        bring(PLAIN, "lr,loss\n1,2\n")
    assert [path.name for path in occupied.iterdir()] == ["precious.txt"]


def test_all_tables_are_written_or_none(bring, tmp_path, monkeypatch):
    (tmp_path / "runs.csv").write_text("lr,loss,t\n1,2,a\n3,4,a\n1,2,b\n3,4,b\n")
    spec = tmp_path / "spec.toml"
    head = 'name = "mine"\ndescription = ""\nlicence = ""\nfile = "runs.csv"\ntask = "t"\n'
    spec.write_text(head + PLAIN)
    drafts = drafts_of_spec(spec)
    written = []

    def fail_at_the_second(table):
        written.append(table)
        if len(written) == 2:
            raise OSError("the disk is full")

    monkeypatch.setattr("hpobench_llm.tables.draft.write_documents", fail_at_the_second)
    with pytest.raises(DataError, match=r"out: cannot be written: the disk is full"):
        seal_all(drafts, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_options_that_do_not_fit(tmp_path, monkeypatch):
    monkeypatch.delenv("HPOBENCH_LLM_DATA", raising=False)
    with pytest.raises(HpobenchError, match=r"HPOBENCH_LLM_DATA .* or give --out"):
        import_tables("steplaw", from_path=tmp_path)
    with pytest.raises(HpobenchError, match=r"--spec SPEC\.toml is required"):
        import_tables("generic", out=tmp_path)
    with pytest.raises(HpobenchError, match="--spec is for `import generic`"):
        import_tables("steplaw", spec=tmp_path, out=tmp_path)
    with pytest.raises(HpobenchError, match="not generic"):
        import_tables("generic", spec=tmp_path, out=tmp_path, allow_changed=True)


@pytest.mark.slow
def test_the_command_line(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "hpobench_llm", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    spec = tmp_path / "spec.toml"
    spec.write_text('name = "mine"\ndescription = ""\nlicence = ""\nfile = "runs.csv"\n' + PLAIN)
    out = ("--out", tmp_path / "out")
    (tmp_path / "runs.csv").write_text("lr,loss\n1,2\n3,low\n")
    done = run("import", "generic", "--spec", spec, *out)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "line 3: `loss`" in done.stderr
    (tmp_path / "runs.csv").write_text("lr,loss\n1,2\n3,4\n")
    done = run("import", "generic", "--spec", spec, *out)
    assert done.returncode == 0
    assert "lr: ordinal, the 2 values that occur" in done.stderr  # what was decided
    assert done.stdout.startswith(f"{tmp_path / 'out' / 'mine'}: 2 rows, sha256 ")
    assert json.loads((tmp_path / "out/mine/table.json").read_text())["name"] == "mine"
    assert run("check", tmp_path / "out/mine").returncode == 0
    assert run("import", "elsewhere").returncode == 2


def test_from_names_another_file_or_folder(tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text('name = "mine"\ndescription = ""\nlicence = ""\nfile = "a/runs.csv"\n' + PLAIN)
    (tmp_path / "b").mkdir()
    pd.DataFrame({"lr": [1, 2], "loss": [3, 4]}).to_csv(tmp_path / "b/runs.csv", index=False)
    for given in ("b", "b/runs.csv"):
        (table,) = import_tables(
            "generic", spec=spec, from_path=tmp_path / given, out=tmp_path / "out"
        )
        assert table.frame["loss"].tolist() == [3.0, 4.0]
    with pytest.raises(SpecError, match="`file`: no such file"):
        import_tables("generic", spec=spec, out=tmp_path / "out")
    with pytest.raises(DataError, match="no such file"):
        import_tables("generic", spec=spec, from_path=tmp_path / "c.csv", out=tmp_path / "out")
