"""Bases and benchmark files that are damaged in every way: one clear line, nothing silent."""

import json
import random
import shutil

import pytest
import torch

from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.model import load_base
from hpobench_llm.collect.lora.data.rows import Split
from hpobench_llm.collect.lora.scores.scorer import build_scorers
from hpobench_llm.errors import HpobenchError, SpecError

CPU = torch.device("cpu")
DAMAGED_BASES, DAMAGED_FILES = 60, 150
STRANGE = (None, True, -1, 0, 10**400, 1e308, "", "x", [], {}, [[]], {"a": {}}, "\ud800", "\x00")


@pytest.fixture
def base(project_root, tmp_path):
    return shutil.copytree(project_root / "collect" / "bases" / "tiny", tmp_path / "base")


@pytest.fixture
def load(write_campaign, project_root, base):
    shipped = project_root / "collect" / "bases" / "tiny"
    file = write_campaign((f'path = "{shipped}"', f'path = "{base}"'))
    return lambda: load_base(read_campaign(file), file, CPU)


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def test_one_flipped_bit_of_a_base_is_refused(load, base):
    """Wherever it is: in the weights, the config or the tokenizer, or in a sum."""
    rng = random.Random(5)
    load()
    stated = json.loads((base / "base.json").read_text())["sha256"]
    for name in [*stated, *["model.safetensors"] * 5]:
        whole = (base / name).read_bytes()
        flip(base / name, rng)
        with pytest.raises(SpecError) as caught:
            load()
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
        (base / name).write_bytes(whole)
    (base / "generation_config.json").unlink()
    with pytest.raises(SpecError, match=r"generation_config.json is missing, but base.json says"):
        load()


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": 3}', "[" * 10**5, "\xff"])
def test_sums_that_cannot_be_read_are_named(load, base, text):
    (base / "base.json").write_text(text, encoding="latin-1")
    with pytest.raises(SpecError, match=r"base.json: cannot be read"):
        load()


def test_weights_that_do_not_fit_the_config_are_not_drawn_at_random(load, base):
    (base / "base.json").unlink()
    config = json.loads((base / "config.json").read_text())
    for key, value in {"num_hidden_layers": 4, "intermediate_size": 128}.items():
        (base / "config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(SpecError, match="base"):
            load()


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    yield path
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in list(inner)[:50]:
            yield from places(one, (*path, key))


def changed(value, rng):
    """Return a JSON value with one value inside it replaced by a strange one."""
    *path, last = rng.choice([place for place in places(value) if place])
    target = value
    for key in path:
        target = target[key]
    target[last] = rng.choice(STRANGE)
    return value


@pytest.mark.slow
def test_damaged_bases_are_one_line(load, base, project_root):
    shipped = project_root / "collect" / "bases" / "tiny"
    rng, refused = random.Random(11), []
    for _ in range(DAMAGED_BASES):
        shutil.rmtree(base)
        shutil.copytree(shipped, base)
        (base / "base.json").unlink()
        name = rng.choice(["config.json", "tokenizer.json", "tokenizer_config.json", "model"])
        if name == "model":
            path = base / "model.safetensors"
            content = path.read_bytes()
            header = bytearray(content[:4000])
            header[rng.randrange(len(header))] = rng.randrange(256)
            path.write_bytes((header + content[4000:])[: rng.choice([None, 5, 3000, -1])])
        elif rng.random() < 0.2:
            (base / name).write_text(rng.choice(["", "{", "null", "[" * 10**5, "\ud800x"[1:]]))
        else:
            (base / name).write_text(
                json.dumps(changed(json.loads((base / name).read_text()), rng))
            )
        try:
            load()
        except HpobenchError as error:
            refused.append(str(error))
    assert len(refused) > DAMAGED_BASES / 4
    assert not [text for text in refused if "\n" in text]


@pytest.mark.slow
def test_damaged_benchmark_files_are_one_line(write_campaign, load, tmp_path):
    _, tokenizer, _ = load()
    items = {
        "minimal-pairs": {"good": "The cat runs.", "bad": "The cat run."},
        "multiple-choice": {"query": "Who?", "choices": ["a cat", "a dog"], "gold": 1},
    }
    rng, refused = random.Random(3), []
    path = tmp_path / "items.jsonl"
    for number in range(DAMAGED_FILES):
        kind = sorted(items)[number % 2]
        rows = [json.loads(json.dumps(items[kind])) for _ in range(3)]
        rows[1] = rng.choice([changed(rows[1], rng), rng.choice(STRANGE)])
        lines = [json.dumps(row) for row in rows]
        if rng.random() < 0.2:
            lines[1] = rng.choice([lines[1][:-3], "NaN", "\x00"])
        path.write_text("\n".join(lines))
        score = f'name = "own"\nkind = "{kind}"\npath = "{path}"'
        file = write_campaign(('name = "exact"\nkind = "exact-match"', score))
        try:
            build_scorers(read_campaign(file), file, Split([], [], []), tokenizer, 128)
        except HpobenchError as error:
            refused.append(str(error))
    assert len(refused) > DAMAGED_FILES / 4
    assert not [text for text in refused if "\n" in text or str(path) not in text]
