"""The importers of published sources, on small files of the same format written by hand."""

import numpy as np
import pytest

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.errors import DataError, IntegrityError
from hpobench_llm.tables.card import card
from hpobench_llm.tables.importers import steplaw, tinker_sft, tribes
from hpobench_llm.tables.importers.command import import_tables

DIMENSIONS = (
    '[{"label": "rank", "values": [8.0, 4.0, 1.0]}, {"label": "dropout", "values": [1.0, 6.0, '
    '6.0]}, {"label": "alpha", "values": [64.0, 60.0, 31.0]}, {"label": "lr", "values": [-3.3, '
    '-3.165, -5.0]}, {"label": "loss", "values": [0.9, 0.95, 1.2]}]'
)
EXCERPT = f'<script>Plotly.newPlot("x", [{{"dimensions": {DIMENSIONS}, "type": "p"}}]);</script>\n'
PAGE = '<html><script>var a={"dimensions":[1,2]};' + "x" * 5000 + "</script>" + EXCERPT + "</html>"
HISTORY = "  2  8  1  0.876 186.7 0.769 4296.5 \n\n  5 20 2  0.819 187.6 0.702 4353.6 \n"
STEPLAW = """h,ffnh,numh,numl,lr,bs,ti,loss,smooth loss,exp_name,D,N,D/N
960,9368,15,7,0.00138,64,10,2.6,2.5,a,4000000000,214663680,18
960,9368,15,7,0.00276,64,10,7.6,7.5,b,4000000000,214663680,18
960,9368,15,7,0.001381,64,10,2.4,2.3,c,11400000000,214663680,53
"""
SWEEP = """# Results

| a | table | before |

## maker/Some-8B

- Learning rates: [1e-04, 3e-03]
- LoRA ranks: [1, 4]

| LR | LoRA Rank | Test NLL | Train NLL | Wall Time (min) |
|---:|----------:|---------:|----------:|----------------:|
| 1e-04 | 1 | 0.5312 | 0.5839 | 10 |
| 1e-04 | 1 | 0.5314 | 0.5840 | 12 |
| 1e-04 | 4 | 0.5200 | 0.5700 | 11 |
| 3e-03 | 4 | 1.7000 | 1.8000 | 9 |

> **Note:** 1 run(s) diverged (test_nll > 2.0) at lr={3e-03} with rank={1} and are excluded.

## maker/Other

- Learning rates: [1e-04, 3e-03]
- LoRA ranks: [4, 16]

| LR | LoRA Rank | Test NLL | Train NLL | Wall Time (min) |
|---:|----------:|---------:|----------:|----------------:|
| 1e-04 | 4 | 0.5 | 0.6 | 10 |
| 3e-03 | 16 | 0.6 | 0.7 | 12 |

> **Note:** 2 run(s) diverged (test_nll > 2.0) at lr={3e-03} with rank={4, 16} and are excluded.
"""


@pytest.fixture
def bring(tmp_path):
    def made(source, files, allow_changed=True):
        for name, content in files.items():
            path = tmp_path / "given" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        tables = import_tables(
            source,
            from_path=tmp_path / "given",
            out=tmp_path / "out",
            allow_changed=allow_changed,
        )
        return {table.metadata.name: table for table in tables}

    return made


@pytest.mark.parametrize("figure", [EXCERPT, PAGE])
def test_tribes_of_the_page_and_of_its_excerpt(bring, figure):
    tables = bring("tribes", {"plot/broken.html": figure, "history.0.txt": HISTORY})
    rows = tables["tribes-2b"].frame.set_index("source_row")
    assert rows.loc[[1, 2, 3], "rank"].tolist() == [512, 32, 4]
    assert rows.loc[[1, 2, 3], "dropout"].tolist() == [0.0, 1.0, 1.0]
    np.testing.assert_allclose(rows.loc[[1, 2, 3], "lr"], [10**-3.3, 10**-3.165, 1e-5])
    assert rows.loc[[1, 2, 3], "flag"].tolist() == ["", "mislabelled", "adapter off: dropout 1"]
    flagged = tables["tribes-2b"].metadata.provenance["imported"]["flagged"]
    assert [entry["rows"] for entry in flagged] == [[2], [3]]
    assert tables["tribes-2b"].metadata.fidelities == ()
    third = tables["tribes-3"].frame.set_index("evaluation")
    assert third.loc[2, ["rank", "alpha_ratio", "alpha", "dropout"]].tolist() == [
        64,
        20,
        1280,
        1e-4,
    ]
    assert third.loc[2, ["val_loss", "train_loss"]].tolist() == [0.819, 0.702]
    assert third.loc[2, ["train_seconds", "eval_seconds"]].tolist() == [4353.6, 187.6]
    assert "adapter off" in card(tables["tribes-2b"])


@pytest.mark.parametrize(
    ("figure", "history", "words"),
    [
        ("<html></html>", HISTORY, "no `dimensions` array"),
        (EXCERPT[:200], HISTORY, "cannot be read"),
        ('"dimensions": ' + "[" * 100_000, HISTORY, "cannot be read"),
        (EXCERPT.replace("1.2]", "]"), HISTORY, "cannot be read"),
        (EXCERPT.replace(", 1.2]", "]"), HISTORY, r"lengths \[3, 3, 3, 3, 2\]"),
        (EXCERPT.replace("1.2]", '"alert(1)"]'), HISTORY, "loss 3 is no finite number: 'alert"),
        (EXCERPT.replace("[8.0", "[9.0"), HISTORY, "rank: 9.0 is no integer from 1 to 8"),
        (EXCERPT.replace("1.2]", "NaN]"), HISTORY, "loss 3 is no finite number: nan"),
        (EXCERPT, "", "is empty"),
        (EXCERPT, HISTORY.replace("4296.5", ""), "line 1: 7 numbers are expected, got 6"),
        (EXCERPT, HISTORY.replace("4353.6", "x"), "line 3: could not convert"),
        (EXCERPT, HISTORY.replace("4353.6", "nan"), "line 3: a number is not finite"),
        (EXCERPT, HISTORY.replace("  5 20", "  6 20"), "rank in line 3: 6.0 is no integer"),
    ],
)
def test_damaged_files_of_tribes(bring, tmp_path, figure, history, words):
    with pytest.raises(DataError, match=words):
        bring("tribes", {"broken.html": figure, "history.0.txt": history})
    assert not (tmp_path / "out").exists()


def test_steplaw_joins_learning_rates_and_keeps_what_broke(bring):
    tables = bring("steplaw", {"data/dense_lr_bs_loss.csv": STEPLAW})
    assert sorted(tables) == ["steplaw-n0.215b-d11.4b", "steplaw-n0.215b-d4b"]
    small, large = tables["steplaw-n0.215b-d4b"], tables["steplaw-n0.215b-d11.4b"]
    assert small.frame["lr"].tolist() == [0.001381, 0.002762]
    assert large.frame["lr"].tolist() == [0.001381]
    assert small.frame["printed_lr"].tolist() == [0.00138, 0.00276]
    assert small.frame["status"].tolist() == ["ok", "diverged"]
    assert small.frame["flag"].tolist() == ["", "diverged"]
    assert small.frame["smooth_loss"].tolist() == [2.5, 7.5]
    assert small.metadata.metrics["smooth_loss"].worst == 2.5  # the worst that did not break
    assert small.frame["tokens_seen"].tolist() == [4_000_000_000] * 2
    assert small.metadata.task == {"parameters": 214663680, "tokens": 4_000_000_000}
    assert small.metadata.space == large.metadata.space
    assert "train_seconds" not in small.frame


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("smooth loss", "smooth", "column `smooth loss` is missing"),
        ("0.001381,64", "0.001381", "line 4: 13 cells are expected, got 12"),
        ("0.00276,", "high,", "line 3: `lr`: a positive number is expected, got 'high'"),
        ("0.00276,", "nan,", "line 3: `lr`"),
        ("7.5,b", "inf,b", "line 3: `smooth loss`"),
        ("0.00276,64", "0.00276,64.5", "line 3: `bs`: a positive integer"),
        ("0.00276,", "0.001381,", r"lines \[2, 3\] measure one"),
    ],
)
def test_a_damaged_file_of_steplaw(bring, tmp_path, old, new, words):
    with pytest.raises(DataError, match=words):
        bring("steplaw", {"dense_lr_bs_loss.csv": STEPLAW.replace(old, new, 1)})
    assert not (tmp_path / "out").exists()


def test_tinker_s_diverged_runs_are_cells_again_where_the_note_is_clear(bring):
    tables = bring("tinker-sft", {"sft_sweep.md": SWEEP})
    assert sorted(tables) == ["tinker-sft-other", "tinker-sft-some-8b"]
    table = tables["tinker-sft-some-8b"]
    rows = table.frame.set_index(["lr", "rank", "seed"])
    assert rows.loc[(1e-4, 1, 0), "test_loss"] == 0.5312
    assert rows.loc[(1e-4, 1, 1), ["train_loss", "train_seconds"]].tolist() == [0.584, 720.0]
    assert rows.loc[(3e-3, 1, 0), "status"] == "diverged"
    assert np.isnan(rows.loc[(3e-3, 1, 0), "test_loss"])
    assert rows.loc[(3e-3, 1, 0), "source_row"] == 17
    assert rows.loc[(3e-3, 4, 0), "flag"] == "unstable: just under the cut of 2.0"
    assert table.metadata.task == {"model": "maker/Some-8B", "parameters_billion": 8.0}
    assert table.metadata.metrics["test_loss"].worst == 2.0
    assert table.metadata.seeds == (0, 1)
    # Two runs, one cell left: which they were cannot be told.
    unclear = tables["tinker-sft-other"]
    assert unclear.frame["status"].tolist() == ["ok", "ok"]
    assert unclear.frame["flag"].tolist() == ["", "a repeat may have diverged"]
    (entry,) = unclear.metadata.provenance["imported"]["dropped"]
    assert (entry["count"], entry["rows"]) == (2, [29])
    assert unclear.metadata.task == {"model": "maker/Other"}
    assert unclear.metadata.space == table.metadata.space


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("## maker/", "## ", "no section of a model"),
        ("Test NLL", "Test BPB", "line 10: the columns .* are expected, got .*'Test BPB'"),
        ("| 0.5839 | 10 |", "| 10 |", "line 12: 5 cells are expected"),
        ("0.5839", "low", "line 12: numbers are expected"),
        ("0.5839", "nan", "line 12: positive numbers are expected"),
        ("| 1e-04 | 4 |", "| 1e-04 | 5 |", "line 14: lr 0.0001 and rank 5.0 are not among"),
        ("lr={3e-03}", "lr=3e-03", "line 17: a note .* of another form"),
        ("lr={3e-03}", "lr={9e-03}", "line 17: the note names learning rates or ranks"),
        ("rank={1}", "rank={1 4}", "line 17: numbers are expected"),
    ],
)
def test_a_damaged_report_of_tinker(bring, tmp_path, old, new, words):
    count = -1 if old.startswith("##") else 1
    with pytest.raises(DataError, match=words):
        bring("tinker-sft", {"sft_sweep.md": SWEEP.replace(old, new, count)})
    assert not (tmp_path / "out").exists()


def test_a_changed_file_is_refused_or_recorded(bring, tmp_path):
    files = {"dense_lr_bs_loss.csv": STEPLAW}
    with pytest.raises(
        IntegrityError, match=f"{sha256_of_text(STEPLAW)}.*{steplaw.UPSTREAM.sha256}"
    ):
        bring("steplaw", files, allow_changed=False)
    assert not (tmp_path / "out").exists()
    (file,) = bring("steplaw", files)["steplaw-n0.215b-d4b"].metadata.provenance["imported"][
        "files"
    ]
    assert file["sha256"] == sha256_of_text(STEPLAW)
    assert file["pinned_sha256"] == steplaw.UPSTREAM.sha256
    assert file["form"] == "changed, allowed by hand"


def test_a_folder_without_the_files(bring, tmp_path):
    with pytest.raises(DataError, match=r"none of .*sft_sweep\.md is there"):
        bring("tinker-sft", {"README.md": ""})
    with pytest.raises(DataError, match="no such folder"):
        import_tables("tribes", from_path=tmp_path / "none", out=tmp_path / "out")


def test_the_date_of_an_import_is_no_part_of_its_rows(bring, monkeypatch):
    first = bring("steplaw", {"dense_lr_bs_loss.csv": STEPLAW})["steplaw-n0.215b-d4b"]
    content = (first.folder / "table.parquet").read_bytes()

    class Later:
        @staticmethod
        def now(zone):
            from datetime import datetime

            return datetime(2031, 1, 1, tzinfo=zone)

    monkeypatch.setattr("hpobench_llm.tables.importers.imported.datetime", Later)
    again = bring("steplaw", {})["steplaw-n0.215b-d4b"]
    assert (again.folder / "table.parquet").read_bytes() == content
    assert again.metadata.provenance["imported"]["date"] == "2031-01-01"


@pytest.mark.parametrize(
    "upstream", [tribes.FIGURE, tribes.HISTORY, steplaw.UPSTREAM, tinker_sft.UPSTREAM]
)
def test_every_source_is_pinned(upstream):
    assert len(upstream.sha256) == 64
    assert upstream.url == (
        f"https://raw.githubusercontent.com/{upstream.repository}/{upstream.commit}/{upstream.path}"
    )
    assert len(upstream.commit) == 40
