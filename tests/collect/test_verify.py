"""Retraining rows of a table: what is chosen, what is caught, and what is refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes
from hpobench_llm.cli import main
from hpobench_llm.cli.collect import main as collect_grid
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.verdict import Difference
from hpobench_llm.collect.verify import (
    check_recipe,
    check_sources,
    choose_runs,
    compare,
    metrics_of,
    seed_noise,
)
from hpobench_llm.errors import IntegrityError, UnknownNameError
from hpobench_llm.locate import find_campaign
from hpobench_llm.tables.table import Table

NOT_SOLO = ('version = "0.0.1"', 'version = "0.0.1"\nsolo_runs = 0')


@pytest.fixture
def verify(capsys):
    """Return a function that runs `hpobench-llm verify`: status, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        status = main(["verify", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def collect(write_campaign, tmp_path):
    def run(engine, *pairs):
        file = write_campaign(NOT_SOLO, *pairs)
        assert collect_grid([str(file), "--out", str(tmp_path / "out"), "--engine", engine]) == 0
        return file, tmp_path / "out"

    return run


def alter(folder, change):
    """Seal a table again with changed rows, so that its sums are right."""
    table = Table.load(folder)
    frame = change(table.frame.copy())
    digest = sha256_of_bytes(frame_to_parquet(frame))
    Table.write(folder, dataclasses.replace(table.metadata, table_sha256=digest), frame)


@pytest.mark.slow
def test_a_table_agrees_with_itself_and_a_changed_one_is_caught(collect, verify, monkeypatch):
    file, folder = collect("peft")
    status, out, err = verify(folder, "--campaign", file, "--rows", 9, "--json")
    assert status == 0
    assert "the table has 4 configurations: a run of each is trained" in err
    found = json.loads(out)
    assert found["agrees"]
    assert found["machine"] == {}
    assert [run["role"] for run in found["runs"]] == ["incumbent"] * 2 + ["random"] * 2
    assert len({json.dumps(run["config"]) for run in found["runs"]}) == 4
    for run in found["runs"]:
        assert run["engine"] == "peft"
        assert list(run["metrics"]) == ["val_loss", "test_loss"]  # no run learns an answer
        assert all(metric["difference"] == 0 for metric in run["metrics"].values())
    assert found["untrained"]["val_loss"]["difference"] == 0
    assert found["largest"]["val_loss"] == {"difference": 0, "ratio": 0}

    worst, odd = found["runs"][0]["run_id"][:16], found["runs"][3]["run_id"][:16]

    def change(frame):
        end = frame["step"] == 4
        frame.loc[end & (frame["config_id"] == worst), "val_loss"] += 2.0
        frame.loc[end & (frame["config_id"] == odd), "status"] = "diverged"
        return frame

    alter(folder, change)
    (file.parent / "collect").mkdir()
    file.rename(file.parent / "collect" / "mini.toml")  # where it is looked for by itself
    monkeypatch.chdir(file.parent)
    status, out, _ = verify(folder, "--rows", 4)
    assert status == 1
    verdict = out.splitlines()[-1]
    assert verdict.startswith("verdict: DIFFERENT: ")
    assert f"{worst}-" in verdict
    assert "val_loss off by 2" in verdict
    assert f"{odd}-" in verdict
    assert "diverged in the table, ok live" in verdict
    assert verdict.count("; ") == 1


@pytest.mark.slow
def test_packed_runs_are_trained_packed(collect, verify):
    file, folder = collect("packed", ("lr = [1e-3, 1e-2]", "lr = [1e-2]"))
    status, out, _ = verify(folder, "--campaign", file, "--rows", 2, "--json", "--seed", 3)
    found = json.loads(out)
    assert status == 0
    for run in found["runs"]:
        assert run["engine"] == "packed"
        assert abs(run["metrics"]["val_loss"]["difference"]) < 1e-5
    _, out, _ = verify(folder, "--campaign", file, "--rows", 1, "--engine", "peft")
    assert "incumbent  ok; rank 4, lr 0.01" in out
    assert out.splitlines()[-1].startswith("verdict: agrees: all 1 runs")


def test_what_is_chosen(table_folder, rows):
    table = Table.load(table_folder)
    chosen = choose_runs(table, 8, seed=0)
    assert [c.role for c in chosen] == ["incumbent"] * 4 + ["random"] * 4
    ids = [c.run.config_id for c in chosen]
    assert len(set(ids)) == 8
    full = rows[(rows["step"] == 16)].groupby("config_id")["val_loss"].mean()
    assert sorted(full[ids[:4]]) == sorted(full)[:4]
    assert choose_runs(table, 8, seed=0) == chosen != choose_runs(table, 8, seed=1)
    everything = choose_runs(table, 99, seed=0)
    assert len({c.run.config_id for c in everything}) == len(everything) == 12
    broken = set(rows[rows["status"] == "diverged"]["config_id"])
    assert broken <= {c.run.config_id for c in everything if c.role == "random"}
    assert all(type(value) in (int, float) for c in chosen for value in c.run.config.values())


def test_configurations_may_have_different_seeds(tmp_path, rows, seal_rows):
    ids = sorted(set(rows["config_id"]))
    few = rows[(rows["seed"] == 0) | rows["config_id"].isin(ids[:5])]
    table = Table.load(seal_rows(tmp_path / "few", few))
    for seed in range(5):
        for chosen in choose_runs(table, 12, seed):
            assert chosen.run.seed == 0 or chosen.run.config_id in ids[:5]
    assert all(seed_noise(table, name)["val_loss"] > 0 for name in ids)
    once = Table.load(seal_rows(tmp_path / "once", rows[rows["seed"] == 0]))
    assert np.isnan(seed_noise(once, ids[0])["val_loss"])


def test_noise_is_that_of_runs_about_as_good_and_never_the_run_s_own(tmp_path, rows, seal_rows):
    end = rows[(rows["step"] == 16) & (rows["status"] == "ok")]
    order = list(end.groupby("config_id")["val_loss"].mean().sort_values().index)
    rank = {name: place for place, name in enumerate(order)}
    chaotic = rows["config_id"].map(rank).fillna(99) >= 8
    rows.loc[chaotic & (rows["seed"] == 1), "val_loss"] += 0.2
    rows.loc[(rows["config_id"] == order[0]) & (rows["seed"] == 1), "val_loss"] += 0.5
    table = Table.load(seal_rows(tmp_path / "t", rows))
    # Two seeds that differ by d have the standard deviation d / sqrt(2).
    assert seed_noise(table, order[0])["val_loss"] == pytest.approx(0.01 / 2**0.5)
    assert seed_noise(table, order[-1])["val_loss"] == pytest.approx(0.21 / 2**0.5)
    assert metrics_of(table) == ["val_loss", "test_loss", "score_toy"]


@pytest.mark.parametrize(
    ("there", "here", "problem"),
    [
        ({"status": "ok", "val_loss": 3.0}, {"status": "ok", "val_loss": 3.0199}, ""),
        (
            {"status": "ok", "val_loss": 3.0},
            {"status": "ok", "val_loss": 3.0201},
            "val_loss off by 0.0201",
        ),
        (
            {"status": "ok", "val_loss": 3.0},
            {"status": "diverged"},
            "ok in the table, diverged live",
        ),
        ({"status": "diverged", "val_loss": 9.0}, {"status": "diverged", "val_loss": 8.0}, ""),
    ],
)
def test_two_noises_are_the_limit(table_folder, there, here, problem):
    (chosen,) = choose_runs(Table.load(table_folder), 1, 0)
    assert compare(chosen, "peft", there, here, {"val_loss": 0.01}, "val_loss").problem == problem


def test_differences_without_a_noise():
    assert np.isnan(Difference(3.0, 3.0).ratio)
    assert Difference(3.0, 3.0005).agrees
    assert not Difference(3.0, 3.002).agrees
    assert Difference(3.0, 3.0, 0.0).agrees
    assert not Difference(3.0, 3.1, 0.0).agrees
    assert Difference(3.0, 3.1, 0.0).to_json()["ratio"] is None


def test_another_recipe_is_refused(table_folder, write_campaign, verify):
    status, out, err = verify(table_folder, "--campaign", write_campaign())
    assert (status, out) == (2, "")
    said = err.splitlines()[-1]
    for words in (
        "mini.toml: not the recipe of the table small 0.0.1",
        "`name` is 'mini', there 'small'",
        "`checkpoints` is [0, 2, 4], there [0, 8, 16]",
    ):
        assert words in said


def test_other_parts_of_the_recipe_and_other_sources_are_named(table_folder, write_campaign):
    table = Table.load(table_folder)
    file = write_campaign(('name = "mini"', 'name = "small"'), ("[0, 2, 4]", "[0, 8, 16]"))
    file.write_text(file.read_text().replace("checkpoints = [0, 4]", "checkpoints = [0, 16]"))
    with pytest.raises(IntegrityError, match="base, data, scores or another part"):
        check_recipe(table, read_campaign(file), file)
    sources = json.loads(json.dumps(table.metadata.provenance["sources"]))
    check_sources(table, sources, file)
    sources["data"]["rows"]["train"] = 2
    with pytest.raises(IntegrityError, match=r"`sources.data.rows.train` is 2 here.*with 1"):
        check_sources(table, sources, file)


def test_bad_arguments(table_folder, verify, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        (["lora-nanno"], "unknown table 'lora-nanno'"),
        ([table_folder, "--rows", 0], "--rows must be 1 or more, got 0"),
        ([table_folder, "--seed", -1], "--seed must be 0 or more, got -1"),
        ([table_folder], "unknown campaign 'small'"),
        ([table_folder, "--campaign", "none.toml"], "none.toml: no such file"),
    ):
        status, out, err = verify(*arguments)
        assert (status, out) == (2, "")
        assert words in err.splitlines()[-1]


def test_a_campaign_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_campaign("lora-nano").name == "lora-nano.toml"
    folder = tmp_path / "collect" / "own"
    folder.mkdir(parents=True)
    (folder / "a.toml").write_text('name = "lora-nano"')
    (folder / "broken.toml").write_text("name = [")
    assert find_campaign("lora-nano") == Path("collect", "own", "a.toml")  # one's own comes first
    with pytest.raises(UnknownNameError, match="unknown campaign 'lora-nan'; did you mean"):
        find_campaign("lora-nan")


@pytest.mark.slow
def test_without_torch_the_extra_is_named(collect):
    file, folder = collect("peft", ("lr = [1e-3, 1e-2]", "lr = [1e-2]"))
    program = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError('No module named torch', name=name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from hpobench_llm.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "verify", str(folder), "--campaign", str(file)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "[collect]" in done.stderr
    assert "Traceback" not in done.stderr
