"""Making a base: it repeats, it can be loaded, its recipe is written down."""

import json
import lzma

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.base_model import make_base
from hpobench_llm.collect.synthetic import FAMILIES, instructions, sentences
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
        ("row_tokens = 32", "row_tokens = 32000", DataError, "at least 2 are needed"),
        ("peak_lr = 1e-2", 'peak_lr = "high"', SpecError, "`training.peak_lr`: expected a number"),
    ],
)
def test_a_bad_recipe_is_named(tmp_path, old, new, error, words):
    with pytest.raises(error, match=words):
        make_base(write(tmp_path, (old, new)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
