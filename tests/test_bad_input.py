"""What a user types wrong: one clear line, exit status 2, no traceback, nothing lost."""

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module

import pytest

COLLECT = "hpobench_llm.cli.collect"
MAIN = "hpobench_llm.cli"


def run(module, *arguments):
    """Run a command in this process, where its libraries are imported once."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = import_module(module).main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def start(module, *arguments, env=None):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", module.removesuffix(".cli"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )


def complains(done, *words):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last, last


CAMPAIGN = """
name = "bad"
version = "0"
description = "d"
seeds = [0]
checkpoints = [0, 1]
[base]
path = "{base}"
[data]
max_tokens = 48
val_rows = 4
test_rows = 4
[[data.source]]
name = "s"
generated_tasks = 200
[grid]
rank = [2]
"""


@pytest.fixture
def campaign(tmp_path, project_root):
    def write(*pairs):
        text = CAMPAIGN.replace("{base}", str(project_root / "collect" / "bases" / "tiny"))
        for old, new in pairs:
            text = text.replace(old, new)
        path = tmp_path / "bad.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[grid]", "[girds]", ["bad.toml", "`girds`", "unknown key", "'grid'"]),
        ("rank = [2]", "", ["bad.toml", "`grid` is empty"]),
        ("rank = [2]", "rank = [-2]", ["bad.toml", "rank = -2", "outside its range"]),
        (
            "generated_tasks = 200",
            'path = "no.json"',
            ["bad.toml", "`data.source[0].path`", "no.json"],
        ),
        ("bases/tiny", "bases/none", ["bad.toml", "`base.path`", "no such file or folder"]),
        ("generated_tasks = 200", 'path = "$NOT_SET_X/a"', ["NOT_SET_X is not set"]),
    ],
)
def test_a_bad_campaign(campaign, tmp_path, old, new, words):
    path = campaign((old, new))
    complains(run(COLLECT, path, "--out", tmp_path / "out"), *words)


@pytest.mark.slow
def test_bad_options_of_collect(campaign, tmp_path):
    path, out = campaign(), tmp_path / "out"
    complains(run(COLLECT, path, "--out", out, "--shard", "2/2"), "--shard 2/2", "0 <= K < N")
    complains(run(COLLECT, path, "--out", out, "--workers", "0"), "--workers", "0")
    complains(run(COLLECT, path, "--out", out, "--device", "cuda"), "--device cuda", "no GPU")
    complains(run(COLLECT, tmp_path / "none.toml", "--out", out), "none.toml", "no such file")
    assert start(COLLECT).returncode == 2
    for given, words in {
        ("--pack-size", "-1"): ["--pack-size", "at least 0", "-1"],
        ("--gpus-per-worker", "1.5"): ["--gpus-per-worker", "share of one GPU", "1.5"],
        ("--gpus-per-worker", "nan"): ["--gpus-per-worker", "nan"],
        ("--ledger", "nonesuch://x"): ["--ledger nonesuch://x", "nonesuch"],
    }.items():
        complains(run(COLLECT, path, "--out", out, *given), *words)
    assert not out.exists()


@pytest.mark.slow
def test_a_ray_cluster_that_is_not_there(campaign, tmp_path):
    pytest.importorskip("ray")
    address = ["--executor", "ray", "--ray-address", "127.0.0.1:1"]
    done = start(COLLECT, campaign(), "--out", tmp_path / "out", *address)
    complains(done, "--ray-address 127.0.0.1:1", "no Ray cluster there", "refused")
    address[-1] = "here"
    done = start(COLLECT, campaign(), "--out", tmp_path / "out", *address)
    complains(done, "--ray-address here", "no Ray cluster there")


def test_a_folder_that_is_no_ledger_of_ours(campaign, tmp_path):
    (tmp_path / "campaign.json").write_text('{"format": 1, "campaign": "bad"}')
    done = run(COLLECT, campaign(), "--out", tmp_path)
    complains(done, "campaign.json", "format 1", "reads 2", "give another --out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "given", "extra"),
    [
        ("ray", ["--executor", "ray"], "[ray]"),
        ("transformers", [], "[collect]"),
    ],
)
def test_collecting_without_a_library_names_the_extra(campaign, tmp_path, library, given, extra):
    program = (
        "import sys; sys.modules[sys.argv[1]] = None\n"
        "from hpobench_llm.cli.collect import main; sys.exit(main(sys.argv[2:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, library, str(campaign()), "--out", tmp_path / "o", *given],
        capture_output=True,
        text=True,
    )
    complains(done, library, extra)


def test_weights_that_are_not_safetensors(campaign, tmp_path, project_root):
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    path = campaign((str(project_root / "collect" / "bases" / "tiny"), str(base)))
    complains(
        run(COLLECT, path, "--out", tmp_path / "out"),
        "`base.path`",
        "no config.json and *.safetensors",
    )


@pytest.mark.slow
def test_another_campaign_in_the_folder_loses_nothing(campaign, tmp_path):
    out = tmp_path / "out"
    assert run(COLLECT, campaign(), "--out", out).returncode == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    other = campaign(("val_rows = 4", "val_rows = 5"))
    complains(run(COLLECT, other, "--out", out), "the recipe has changed")
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_changed_byte_in_a_table(table_folder):
    path = table_folder / "table.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    words = ["table.parquet", "sha256 is", "table.json says"]
    complains(run(MAIN, "check", table_folder), *words)
    complains(run(MAIN, "fit", table_folder, "--out", table_folder / "s"), *words)
    assert not (table_folder / "s").exists()


STUDY = """
name = "s"
title = "S"
benchmarks = ["toy-bowl"]
optimizers = ["random"]
seeds = 2
budget = 3
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["random"]', '["nomadd"]', ["`optimizers`", "unknown optimizer 'nomadd'", "'nomad'"]),
        ('["toy-bowl"]', '["toy-bow"]', ["`benchmarks`", "'toy-bow'", "'toy-bowl'"]),
        ("budget = 3", 'budget = 3\nobjective = "val_los"', ["'val_los'", "'val_loss'"]),
        ("budget = 3", "budget = -3", ["`budget`", "-3"]),
        ("seeds = 2", "sede = 2", ["`sede`", "'seeds'"]),
    ],
)
def test_a_bad_study(tmp_path, old, new, words):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace(old, new))
    complains(run(MAIN, "replay", path, "--out", tmp_path / "out"), "study.toml", *words)
    assert not (tmp_path / "out").exists()


def test_names_and_folders_that_do_not_exist(tmp_path):
    complains(run(MAIN, "check", "lora-nanno"), "unknown table 'lora-nanno'", "'lora-nano'")
    complains(run(MAIN, "fit", "lora-nanno", "--out", tmp_path), "unknown table 'lora-nanno'")
    complains(run(MAIN, "compare", tmp_path), "study.json", "no such file")
    assert run(MAIN, "comapre", tmp_path).returncode == 2
    assert start(MAIN).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("nni", ["replay", "{study}", "--out", "{out}"], "[nni]"),
        ("optuna", ["replay", "{study}", "--out", "{out}"], "[optuna]"),
        ("lightgbm", ["fit", "{table}", "--out", "{out}"], "[surrogate]"),
        ("sklearn", ["fit", "{table}", "--out", "{out}"], "[surrogate]"),
        ("torch", ["make-base", "{study}", "--out", "{out}"], "[collect]"),
    ],
)
def test_a_missing_library_names_the_extra(tmp_path, table_folder, library, arguments, extra):
    study = tmp_path / "study.toml"
    study.write_text(STUDY.replace('"random"', f'"random", "tpe-{library}"'))
    places = {"study": study, "out": tmp_path / "out", "table": table_folder}
    given = [argument.format(**places) for argument in arguments]
    # Absent from every process: a module in its place that cannot be found either.
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / f"{library}.py").write_text(
        f'raise ModuleNotFoundError("No module named {library}", name="{library}")'
    )
    path = os.pathsep.join([str(tmp_path / "absent"), os.environ.get("PYTHONPATH", "")])
    done = start(MAIN, *given, env=os.environ | {"PYTHONPATH": path})
    complains(done, library, extra)
    assert not (tmp_path / "out").exists()


def test_a_table_that_cannot_be_read_hides_no_other(table_folder):
    shelf = table_folder.parent
    for name, damage in {
        "cut": lambda f: (f / "table.json").write_text("{"),
        "deep": lambda f: (f / "table.json").write_text("[" * 100_000),
        "gone": lambda f: (f / "table.parquet").unlink(),
        "folder": lambda f: ((f / "table.json").unlink(), (f / "table.json").mkdir()),
    }.items():
        shutil.copytree(table_folder, shelf / name)
        damage(shelf / name)
    env = os.environ | {"HPOBENCH_LLM_DATA": str(shelf)}
    done = start(MAIN, "ls", "benchmarks", "--json", env=env)
    assert done.returncode == 2
    listed = json.loads(done.stdout)["benchmarks"]
    assert {"lora-nano", "toy-bowl"} < set(listed)
    assert (listed["small"]["version"], listed["small"]["axes"]) == ("0.0.1", ["rank", "lr"])
    for name in ("cut", "deep", "gone", "folder"):
        assert name not in listed
        assert f"ls: error: {shelf / name}" in done.stderr


def test_listing_is_data_on_stdout(tmp_path):
    done = start(MAIN, "ls", "--json")
    listed = json.loads(done.stdout)
    assert {"nomad", "random", "tpe-nni", "tpe-optuna"} <= set(listed["optimizers"])
    shown = listed["optimizers"]["nomad"]
    assert (shown["family"], shown["objectives"], shown["distribution"], shown["sequential"]) == (
        "direct search",
        "one",
        "PyNomadBBO",
        True,
    )
    assert "toy-bowl" in listed["benchmarks"]
    assert done.stderr == ""
