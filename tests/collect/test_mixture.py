"""Shares of the sources as axes: which rows a run is trained on, and what its table says."""

import json

import pytest

from hpobench_llm import load, replay
from hpobench_llm.cli.collect import main
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.data.mixing import in_turns, mixed
from hpobench_llm.errors import DataError, SpecError

SOURCES = """generated_tasks = 400

[[data.source]]
name = "sums"
path = "{path}"

[[data.source]]
name = "words"
path = "{path}"
question = "q"
answer = "a"

[mixture]
generated = [0, 0.5, 1]
sums = [0, 0.5, 1]
words = [0, 0.5, 1]
"""
CHEAPER = (
    ("seeds = [0, 1]", "seeds = [0]"),
    ("rank = [2, 4]", "rank = [2]"),
    ("lr = [1e-3, 1e-2]", "lr = [1e-2]"),
)


@pytest.fixture
def write_mixture(tmp_path, write_campaign):
    rows = [{"prompt": f"Add {n} and 1.", "completion": str(n + 1)} for n in range(200)]
    words = [{"q": f"Say w{n}.", "a": f"w{n}"} for n in range(200)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    other = tmp_path / "words.jsonl"
    other.write_text("\n".join(map(json.dumps, words)))
    text = SOURCES.replace("{path}", str(path), 1).replace("{path}", str(other))

    def write(*pairs):
        file = write_campaign(
            ("generated_tasks = 400", text), ("val_rows = 8", "val_rows = 9"), *CHEAPER
        )
        changed = file.read_text()
        for old, new in pairs:
            assert old in changed
            changed = changed.replace(old, new)
        file.write_text(changed)
        return file

    return write


def test_rows_of_a_larger_share_hold_those_of_a_smaller():
    rows = {"a": list(range(100)), "b": list(range(100, 200)), "c": list(range(200, 300))}
    small = mixed(rows, (("a", 0.25), ("b", 0.5), ("c", 0.25)), 40)
    large = mixed(rows, (("a", 0.5), ("b", 0.5), ("c", 0.0)), 40)
    assert [row // 100 for row in small] == [0] * 10 + [1] * 20 + [2] * 10
    assert {row for row in small if row < 200} <= set(large)
    thirds = mixed(rows, (("a", 1 / 3), ("b", 1 / 3), ("c", 1 / 3)), 40)
    assert len(thirds) == 40
    assert in_turns(rows, 5, "here") == [0, 100, 200, 1, 101]


@pytest.mark.slow
def test_a_mixture_is_collected_sealed_and_replayed(tmp_path, write_mixture, capsys):
    file = write_mixture(("seeds = [0]", "seeds = [0]\nsolo_runs = 0"))
    campaign = read_campaign(file)
    assert campaign.space.size == 6
    out = tmp_path / "out"
    assert main([str(file), "--out", str(out), "--pack-size", "6"]) == 0
    capsys.readouterr()
    table = load(str(out))
    assert table.density == "dense: all 6 configurations of its grid"
    frame = table.table.frame
    last = frame[frame["step"] == 4]
    parts = [f"val_loss_{name}" for name in ("generated", "sums", "words")]
    assert last[parts].notna().all(axis=None)
    assert last[["share_generated", "share_sums", "share_words"]].sum(axis=1).eq(1.0).all()
    pure = last[last["share_words"] == 1.0]
    other = last[last["share_words"] == 0.0]
    assert pure["val_loss_words"].mean() < other["val_loss_words"].mean()
    assert table.optimum("val_loss")[0] in list(table.space.configurations())
    runs = replay(table, "gp", budget=12, seed=0).to_frame()
    shares = runs[[c for c in runs if "share_" in c]]
    assert shares.shape[1] == 3
    assert shares.sum(axis=1).eq(1.0).all()


def test_validation_rows_are_equal_parts_and_a_dry_run_says_what_would_run(
    tmp_path, write_mixture, capsys
):
    file = write_mixture()
    args = [str(file), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main(args) == 0
    said = capsys.readouterr().out
    assert "share_words: 0, 0.5, 1" in said
    assert "rows that can be used" in said


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("words = [0, 0.5, 1]", "words = [0.3]"), "no combination of its levels sums to one"),
        (("words = [0, 0.5, 1]", "words = [0, 1.5]"), "a proportion lies in [0, 1]"),
        (("words = [0, 0.5, 1]\n", ""), "levels for each of data.source"),
        (("train_rows = 64", "train_rows = 0"), "needs data.train_rows"),
        (("rank = [2]", "rank = [2]\ntrain_fraction = [0.5, 1.0]"), "neither data.leaked_rows"),
        (
            (
                "seeds = [0]",
                "seeds = [0]\nrepeat = [{seeds = [1], configs = [{rank = 2, lr = "
                "1e-2, share_generated = 0.5, share_sums = 0.5, share_words = 0.5}]}]",
            ),
            "sum to 1.5, not to one",
        ),
    ],
)
def test_what_is_no_mixture_ends_with_one_line_and_status_2(
    tmp_path, write_mixture, capsys, pair, words
):
    file = write_mixture(pair)
    assert main([str(file), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


def test_a_source_that_is_too_small_is_named(tmp_path, write_mixture, capsys):
    file = write_mixture(("train_rows = 64", "train_rows = 190"))
    assert main([str(file), "--out", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err
    assert "`mixture.sums` reaches 1 of 190 rows" in said


def test_levels_leave_a_ledger_known_and_a_mixture_does_not(write_mixture):
    known = read_campaign(write_mixture()).identity().recipe_sha256
    fewer = write_mixture(("words = [0, 0.5, 1]", "words = [0, 1]"))
    assert read_campaign(fewer).identity().recipe_sha256 == known
    with pytest.raises(DataError):
        in_turns({"a": [1], "b": []}, 2, "val")
    with pytest.raises(SpecError):
        read_campaign(write_mixture(("words = [", "words = 'x' # [")))
