"""Surrogates of older formats, damaged ones and forged ones: read as they were, or refused."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpobench_llm.artefacts import (
    canonical_json,
    read_json,
    sha256_of_bytes,
    sha256_of_text,
    write_json,
)
from hpobench_llm.benchmarks.surrogate import SurrogateBenchmark
from hpobench_llm.errors import HpobenchError, IntegrityError
from hpobench_llm.surrogates.artefact import Surrogate
from hpobench_llm.surrogates.fit import fit
from hpobench_llm.tables.table import Table
from tests.conftest import closed_form_rows, write_table

FORMAT_2 = Path(__file__).parent / "format2"  # as commit 5397bef wrote it, with its answers


def test_format_2_answers_as_it_did():
    bench = SurrogateBenchmark(Surrogate.load(FORMAT_2))
    assert {model.family for model in bench.surrogate.models} == {"trees", "ridge", "network"}
    for asked in json.loads((FORMAT_2 / "answers.json").read_text()):
        answer = bench.query(asked["config"], fidelity={"step": asked["step"]}, seed=asked["seed"])
        assert (answer.status, answer.cost_seconds) == (asked["status"], asked["cost_seconds"])
        # trees are summed in an order of their own
        assert dict(answer.metrics) == pytest.approx(asked["metrics"], rel=1e-12)


@pytest.mark.slow
def test_format_2_is_written_again_with_its_trees_as_arrays(written, tmp_path):
    quality = Surrogate.load(written).quality
    again = replace(Surrogate.load(FORMAT_2), quality=quality).write(tmp_path / "s")
    config = {"rank": 3, "lr": 2e-3}
    before, after = (SurrogateBenchmark(Surrogate.load(f)) for f in (FORMAT_2, again))
    assert dict(before.query(config, seed=3).metrics) == dict(after.query(config, seed=3).metrics)
    assert not list((tmp_path / "s").glob("*.txt"))


@pytest.fixture(scope="module")
def written(tmp_path_factory, quick):
    root = tmp_path_factory.mktemp("s")
    table = Table.load(write_table(root / "small", closed_form_rows()))
    return fit(table, folds=3, extrapolate=False).write(root / "surrogate")


def forged(folder, into, change):
    """Copy a surrogate, change its body or files, and make all of its sums right again."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    body = read_json(folder / "surrogate.json")
    change(body, contents)
    into.mkdir()
    for name, content in contents.items():
        (into / name).write_bytes(content)
    body.pop("sum", None)
    if isinstance(body.get("sha256"), dict):
        body["sha256"] = {n: sha256_of_bytes(contents.get(n, b"")) for n in body["sha256"]}
    body["quality_sha256"] = sha256_of_text(canonical_json(json.loads(contents["quality.json"])))
    write_json(into / "surrogate.json", body | {"sum": sha256_of_text(canonical_json(body))})
    return into


def places(value, path=()):
    """Yield the path of every value of nested JSON."""
    yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from places(inner, (*path, key))


OTHER = (None, True, -1, 2**70, 1e308, 0.5, "", "x", [], [[]], {}, {"a": 1}, [1, 2, 3], ["a"])


def mutation(rng):
    """Return a change of one value of the body, or of some bytes of one file."""

    def change(body, contents):
        if rng.random() < 0.7:
            paths = [path for path in places(body) if path and path[0] not in ("sum", "sha256")]
            *way, last = paths[rng.integers(len(paths))]
            inner = body
            for key in way:
                inner = inner[key]
            if rng.random() < 0.2 and isinstance(inner, dict):
                del inner[last]
            else:
                inner[last] = OTHER[rng.integers(len(OTHER))]
        else:
            name = rng.choice([name for name in contents if name.endswith(".npz")])
            content = bytearray(contents[name])
            for place in rng.integers(len(content), size=rng.integers(1, 5)):
                content[place] = rng.integers(256)
            end = rng.integers(len(content)) if rng.random() < 0.2 else len(content)
            contents[name] = bytes(content[:end])

    return change


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a weight may be any finite number
def test_what_is_read_of_a_forged_folder_can_be_asked(written, tmp_path):
    rng = np.random.default_rng(1)
    asked = lines = 0
    for number in range(300):
        folder = forged(written, tmp_path / str(number), mutation(rng))
        try:
            bench = SurrogateBenchmark(Surrogate.load(folder))
            configs = bench.space.from_unit(np.full((2, len(bench.space)), 0.5))
            for seed in (None, 0):
                bench.query(configs[0], seed=seed)
                bench.query_many(configs, seed=seed)
            bench.interval(configs[0])
            asked += 1
        except HpobenchError as error:
            lines += str(error).count("\n")
    assert lines == 0
    assert 20 < asked < 250


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b, c: b.update(models=[]), r"models of columns \[\]"),
        (lambda b, c: b["models"][0].update(family="magic"), "unknown model family 'magic'"),
        (lambda b, c: b["models"][0]["files"].update(npz="../x.npz"), "not complete"),
        (lambda b, c: b["sha256"].update({"../x": ""}), "not the name of a file"),
        (lambda b, c: b["shapes"][0].update(name="money"), "unknown resource 'money'"),
        (lambda b, c: b.update(name=3), "texts are expected"),
        (lambda b, c: b["targets"][0].update(name="none"), "targets"),
        (lambda b, c: c.update({"noise.npz": b"PK"}), "noise.npz|not the arrays"),
    ],
)
def test_a_forged_part_is_named(written, tmp_path, change, words):
    with pytest.raises(IntegrityError, match=words):
        Surrogate.load(forged(written, tmp_path / "f", change))


def test_an_npy_header_of_any_text_is_one_line(written, tmp_path):
    """NumPy parses it as Python: a bracket that is never closed raises what nothing else does."""
    good = io.BytesIO()
    np.save(good, np.zeros(3))
    for number, text in enumerate((b"{'descr': (" * 3, b"(" * 90, b"\xff'", b"{}", b"[1, 2]")):
        header = text.ljust(len(good.getvalue()) - 24 - 11) + b"\n"
        npy = good.getvalue()[:8] + len(header).to_bytes(2, "little") + header + b"\0" * 24
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("width.npy", npy)
        content = archive.getvalue()

        def change(body, contents, content=content):
            contents["noise.npz"] = content

        with pytest.raises(IntegrityError) as caught:
            Surrogate.load(forged(written, tmp_path / str(number), change))
        assert "\n" not in str(caught.value)
        assert "not the arrays width" in str(caught.value)


def test_nested_brackets_and_great_numbers_are_one_line(written, tmp_path):
    huge = '{"format": 1' + "0" * 5000 + "}"
    for text in ("[" * 5000 + "]" * 5000, huge, '{"format": 3}', "[]", '{"format": [3]}'):
        (tmp_path / "surrogate.json").write_text(text)
        with pytest.raises(HpobenchError) as error:
            Surrogate.load(tmp_path)
        assert len(str(error.value)) < 400
