"""Making a base: it repeats, it can be loaded, its recipe is written down."""

import json
import lzma
import signal
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.lora.bases.architecture import untrained
from hpobench_llm.collect.lora.bases.base_model import CHECKPOINT, make_base
from hpobench_llm.collect.lora.bases.spec import Architecture
from hpobench_llm.collect.training.synthetic import FAMILIES, instructions, sentences
from hpobench_llm.errors import DataError, SpecError

SPEC = """
name = "mini"
seed = 3
[architecture]
vocabulary = 320
hidden_size = 16
layers = 1
heads = 2
intermediate_size = 32
context_tokens = 64
[[corpus]]
generated_sentences = 200
min_characters = 1
[training]
steps = 12
batch_rows = 4
row_tokens = 32
peak_lr = 1e-2
warmup_steps = 2
"""


def write(tmp_path, *pairs):
    text = SPEC
    for old, new in pairs:
        text = text.replace(old, new)
    path = tmp_path / "mini.toml"
    path.write_text(text)
    return path


def test_a_base_repeats_and_can_be_loaded(tmp_path):
    spec = write(tmp_path)
    seen = []
    for name in ("one", "two"):
        make_base(spec, tmp_path / name, progress=lambda done, total, text: seen.append(done))
    recipe = json.loads((tmp_path / "one" / "base.json").read_text())
    for name, digest in recipe["sha256"].items():
        assert sha256_of_file(tmp_path / "one" / name) == digest
        assert sha256_of_file(tmp_path / "two" / name) == digest
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= recipe["sha256"].keys()
    assert seen[-1] == 12
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert model.config.model_type == "llama"
    assert recipe["parameters"] == model.num_parameters()
    text = "3 plus 4 is 7, naïvely."
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert recipe["val_loss_nats_per_token"] < 5.77  # log(320): better than guessing


def test_text_files_are_read_from_where_they_are_told_to(tmp_path):
    text = "SKIP ME " * 20 + "\n\n" + "\n\n".join(sentences(150, seed=0)) + "\n\nshort"
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "text.txt.xz").write_bytes(lzma.compress(text.encode()))
    digest = []
    for name in ("text.txt", "text.txt.xz"):
        corpus = f'path = "{name}"\nskip_bytes = 160'
        spec = write(tmp_path, ("generated_sentences = 200\nmin_characters = 1", corpus))
        out = make_base(spec, tmp_path / f"base-{name}")
        digest.append(sha256_of_file(out / "model.safetensors"))
        assert "SKIP" not in (out / "tokenizer.json").read_text()
    assert digest[0] == digest[1]


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("hidden_size = 16", "hidden_size = 15", SpecError, "`architecture`: hidden_size 15"),
        ("vocabulary = 320", "vocabulary = 32", SpecError, "vocabulary 32 must hold 256 bytes"),
        (
            "generated_sentences = 200",
            'path = "no.txt"',
            SpecError,
            r"`corpus\[0\].path`: no such",
        ),
        ("generated_sentences = 200", "", SpecError, "either `path` or `generated_sentences`"),
        ("row_tokens = 32", "row_tokens = 65", SpecError, "row_tokens = 65 exceeds .* = 64"),
        ("layers = 1", 'layers = 1\nfamily = "gpt"', SpecError, "`architecture.family`.*'gpt2'"),
        ("layers = 1", "layers = 0", SpecError, "`architecture`: layers must be at least 1"),
        ("peak_lr = 1e-2", "peak_lr = 1e30", DataError, r"loss is (nan|inf).*peak_lr = 1e\+30"),
        ("peak_lr = 1e-2", 'peak_lr = "high"', SpecError, "`training.peak_lr`: expected a number"),
    ],
)
def test_a_bad_recipe_is_named(tmp_path, old, new, error, words):
    with pytest.raises(error, match=words):
        make_base(write(tmp_path, (old, new)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_that_is_too_short_is_named(tmp_path):
    pairs = ("generated_sentences = 200", "generated_sentences = 1"), ("= 32\npeak", "= 64\npeak")
    with pytest.raises(DataError, match="gives 1 rows of 64 tokens; at least 2 are needed"):
        make_base(write(tmp_path, *pairs), tmp_path / "out")


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_each_family_learns_and_can_be_loaded(tmp_path, family):
    spec = write(tmp_path, ("layers = 1", f'layers = 1\nfamily = "{family}"'))
    out = make_base(spec, tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.config.model_type == family
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    shape = Architecture(
        vocabulary=320,
        hidden_size=16,
        layers=1,
        heads=2,
        intermediate_size=32,
        context_tokens=64,
        family=family,
    )
    assert model.num_parameters() == untrained(shape, 0).num_parameters()
    model.train()  # no dropout: training sees the model that evaluation sees
    ids = torch.arange(40)[None]
    assert torch.equal(model(ids).logits, model.eval()(ids).logits)
    assert json.loads((out / "base.json").read_text())["val_loss_nats_per_token"] < 5.77


KILLED = """
import os, signal, sys
from pathlib import Path
from hpobench_llm.collect.lora.bases.base_model import make_base

import hpobench_llm.collect.lora.bases.pretrain as pretrain
save = pretrain._save
def save_and_die(place, model, optimizer, state):
    save(place, model, optimizer, state)
    if state["step"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
pretrain._save = save_and_die
make_base(Path(sys.argv[1]), Path(sys.argv[2]), checkpoint_seconds=0.0)
"""


@pytest.mark.slow
def test_a_killed_pretraining_ends_with_the_same_bits(tmp_path):
    spec = write(tmp_path)
    whole = make_base(spec, tmp_path / "whole")
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, spec, out], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    partial = tmp_path / "out.partial"
    assert [path.name for path in partial.iterdir()] == [CHECKPOINT]
    steps = []
    make_base(spec, out, progress=lambda step, *_: steps.append(step))
    assert min(steps) > 7
    assert max(steps) == 12
    assert not partial.exists()
    assert sha256_of_file(out / "model.safetensors") == sha256_of_file(whole / "model.safetensors")
    first, second = (json.loads((d / "base.json").read_text()) for d in (whole, out))
    assert first["val_loss_nats_per_token"] == second["val_loss_nats_per_token"]
    assert (first["restarts"], second["restarts"]) == (0, 1)


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_used_is_named(tmp_path):
    spec, out = write(tmp_path), tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED, spec, out], capture_output=True)
    stored = tmp_path / "out.partial" / CHECKPOINT
    other = write(tmp_path, ("seed = 3", "seed = 4"))
    with pytest.raises(DataError, match=r"checkpoint of another recipe \(.*recipe"):
        make_base(other, out)
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"checkpoint.safetensors: damaged"):
        make_base(write(tmp_path), out)


def test_what_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(SpecError, match="is not empty"):
        make_base(write(tmp_path), tmp_path / "out")


def test_generated_tasks_are_exact_distinct_and_seeded():
    tasks = instructions(700, seed=0)
    assert tasks == instructions(700, seed=0) != instructions(700, seed=1)
    assert len({(task["instruction"], task["input"]) for task in tasks}) == 700
    assert len({task["family"] for task in tasks}) == len(FAMILIES)
    for task in tasks:
        if task["family"] == "addition":
            assert sum(map(int, task["input"].split())) == int(task["output"])
        if task["family"] == "larger":
            assert max(map(int, task["input"].split())) == int(task["output"])
        if task["family"] in ("last word", "odd one out"):
            assert task["output"] in task["input"].split()
