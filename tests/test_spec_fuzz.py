"""Specs that were damaged in some way: read, or refused in one line that names the file.

The mutations are seeded. What TOML itself says of a text decides what may be expected: a text that
is no TOML is refused, one that means what the sound spec means is read.
"""

import random
import re
import tomllib

import pytest

from hpobench_llm.cli import main
from hpobench_llm.cli.collect import main as collect_grid
from hpobench_llm.collect.lora.bases.spec import BaseSpec
from hpobench_llm.console import run_command
from hpobench_llm.spec import read_spec
from hpobench_llm.studies import checks

MUTATIONS = 120  # of each kind of spec
VALUES = [
    "-1", "0", "1", "0.5", "-0.0", "1e308", "1e999", "nan", "-inf", "true", '""', '"x"',
    '"\\u0000"', '"~nosuchuser/x"', '"$NO_SUCH_VARIABLE/x"', '"a/b"', '"\\n"', '"ü"',
    '"' + "x" * 300 + '"',
    "9223372036854775808", "1" + "0" * 400, "0x" + "f" * 5000, "9" * 5000, "[]", "{}", "[[]]",
    "[1, 1]", "[0]", "[-1]", "[1.5]", '["a"]', "{a = 1}", "{low = 1, high = 2}", "1979-05-27",
    "[" * 5000 + "]" * 5000, "{low = 0, high = 9e9}",
]  # fmt: skip

CAMPAIGN = """
name = "fuzz"
version = "0.1"
description = "A few steps on generated tasks."
seeds = [0, 1]
checkpoints = [0, 2, 4]
step_rows = 8
diverged_factor = 1.0
per_example_runs = 2
[base]
path = "{base}"
precision = "float32"
[data]
max_tokens = 48
train_rows = 64
val_rows = 8
test_rows = 8
val_subsets = [4]
leaked_rows = 4
template = "{instruction}"
[[data.source]]
name = "generated"
generated_tasks = 400
[defaults]
dropout = 0.1
target_modules = "q_proj,v_proj"
[grid]
rank = [2, 4]
lr = [1e-3, 1e-2]
scaling = ["lora", "rslora"]
[[repeat]]
first = 2
seeds = [2]
[[repeat]]
configs = [{rank = 2, lr = 1e-3, scaling = "lora"}]
seeds = [3]
[[score]]
name = "exact"
kind = "exact-match"
checkpoints = [0, 4]
items = 4
"""

BASE = """
name = "fuzz"
seed = 0
[architecture]
family = "llama"
vocabulary = 512
hidden_size = 96
layers = 3
heads = 4
intermediate_size = 256
context_tokens = 128
[[corpus]]
generated_sentences = 300
min_characters = 1
[training]
steps = 12
batch_rows = 4
row_tokens = 96
peak_lr = 4e-3
"""

STUDY = """
name = "fuzz"
title = "A study"
benchmarks = ["toy-bowl", "toy-sphere"]
optimizers = ["random", "regularized-evolution"]
seeds = 2
budget = {seconds = 30}
objectives = ["val_loss"]
workers = 2
initial = 1
checkpoint_seconds = 0.5
timeout_seconds = 10
kind = {toy-bowl = "table"}
[constraints]
cost_seconds = 9
"""

IMPORT = """
name = "fuzz"
description = "Twelve runs."
licence = "CC0-1.0"
file = "runs.csv"
run = "id"
seed = "seed"
[hyperparameters.lr]
log = true
low = 1e-5
high = 1.0
[hyperparameters.optim]
name = "method"
kind = "categorical"
values = ["adam", "sgd"]
[fidelities.epoch]
unit = "epochs"
[metrics.loss]
name = "val_loss"
direction = "minimize"
unit = "nats"
worst = 9.0
[metrics.acc]
direction = "maximize"
low = 0
high = 1
[costs.runtime]
unit = "minutes"
counts = "so_far"
[status]
column = "state"
values = {done = "ok", crashed = "failed"}
[limits]
rows = 1000
"""


def runs():
    yield "id,seed,lr,optim,epoch,loss,acc,runtime,state"
    for number in range(12):
        for epoch in (1, 2):
            state = "crashed" if number == 5 else "done"
            lr, name = 10 ** -(1 + number / 3), ("adam", "sgd")[number % 2]
            loss = 1 + number / 10 - epoch / 5
            yield f"{number},0,{lr},{name},{epoch},{loss},0.{number},2.5,{state}"


def replace_value(rng, lines):
    number = rng.choice([n for n, line in enumerate(lines) if "=" in line])
    lines[number] = f"{lines[number].partition('=')[0]}= {rng.choice(VALUES)}"


def misspell(rng, lines):
    number = rng.randrange(len(lines))
    line = lines[number]
    if line:
        place = rng.randrange(len(line))
        lines[number] = (
            line[:place] + rng.choice(["", "x", '"', "]", "\t", "#", "é"]) + line[place + 1 :]
        )


def leave_out(rng, lines):
    del lines[rng.randrange(len(lines))]


def repeat(rng, lines):
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))


def add(rng, lines):
    key = rng.choice(["a", '"a b"', "a.b", "name", "base", '""', ".".join("a" * 3000)])
    lines.insert(rng.randrange(len(lines)), f"{key} = {rng.choice(VALUES)}")


MUTATE = [replace_value, replace_value, replace_value, misspell, leave_out, repeat, add]


def mutated(rng, text):
    """Return the bytes of a spec after one to three mutations."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 2, 3])):
        rng.choice(
            [replace_value, replace_value, replace_value, misspell, leave_out, repeat, add]
        )(rng, lines)
    content = "\n".join(lines).encode()
    return rng.choice(
        [
            *[content] * 8,
            b"\xef\xbb\xbf" + content,
            content.decode().encode("utf-16"),
            content[: rng.randrange(len(content))],
            content.replace(b"a", b"\xed\xa0\x80", 1),
            content.replace(b"=", b"= \x00", 1),
            content.replace(b"\n", b"\r\n"),
        ]
    )


def meaning(content):
    """Return what TOML says that a text means; None: it is none."""
    try:
        return repr(tomllib.loads(content.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        return None


@pytest.fixture
def kinds(tmp_path, project_root, monkeypatch):
    """Return a sound spec of each kind, and how its file is read."""
    monkeypatch.setattr(checks, "_build", lambda *_: None)  # a process for each spec
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("\n".join(runs()))
    base = str(project_root / "collect" / "bases" / "tiny")
    return {
        "campaign": (
            CAMPAIGN.replace("{base}", base),
            lambda path: collect_grid([str(path), "--out", "out", "--dry-run"]),
        ),
        "base": (BASE, lambda path: run_command("x", lambda: read_spec(path, BaseSpec) and 0)),
        "study": (STUDY, lambda path: run_command("x", lambda: checks.read_study(path) and 0)),
        "import": (
            IMPORT,
            lambda path: main(["import", "generic", "--spec", str(path), "--out", "out"]),
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["campaign", "base", "study", "import"])
def test_a_damaged_spec_is_read_or_refused_in_one_line(kind, kinds, tmp_path, capsys):
    text, read = kinds[kind]
    path = tmp_path / "spec.toml"
    rng = random.Random(kind)
    refused = 0
    for number in range(MUTATIONS):
        content = text.encode() if number == 0 else mutated(rng, text)
        path.write_bytes(content)
        what = f"{kind} {number}: {content!r}"
        status = read(path)  # an exception fails the test
        said = capsys.readouterr().err.splitlines()
        assert status in (0, 2), what
        if meaning(content) is None:
            assert status == 2, what
        if meaning(content) == meaning(text.encode()):
            assert status == 0, (what, said)
        if status == 2:
            refused += 1
            errors = [line for line in said if re.match(r"[a-z-]+: error: ", line)]
            assert len(errors) == 1, (what, said)
            assert said[-1] == errors[0], (what, said)
            assert len(errors[0]) < 2000, what
            assert "spec.toml" in errors[0] or "runs.csv" in errors[0], (what, said)
    assert MUTATIONS / 3 < refused < MUTATIONS


@pytest.mark.parametrize("kind", ["campaign", "base", "study", "import"])
def test_what_is_no_spec_file_is_named(kind, kinds, tmp_path, capsys):
    _, read = kinds[kind]
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "file").write_text("")
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    for name, words in {
        "none.toml": "no such file",
        "folder.toml": "is a folder",
        "loop.toml": "Too many levels of symbolic links",
        "file/a.toml": "Not a directory",
        "a" * 300 + ".toml": "File name too long",
        "endless.toml": "more than 16,777,216 bytes",
    }.items():
        assert read(tmp_path / name) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert name in said
        assert words in said
