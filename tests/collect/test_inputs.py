"""Data files are made of what was published, or not at all."""

import gzip
import http.server
import io
import json
import tarfile
import threading
from functools import partial

import pytest

from hpobench_llm.artefacts import sha256_of_bytes
from hpobench_llm.cli import main
from hpobench_llm.collect.inputs import catalogue, upstream
from hpobench_llm.collect.inputs.build import build_inputs
from hpobench_llm.collect.inputs.catalogue import INPUTS, Input
from hpobench_llm.collect.training.checksum import checked_sum
from hpobench_llm.errors import DataError, UnknownNameError

T0 = {
    "t0/data_per_template/b_sum.jsonl": [{"prompt": "1 + 1?", "completion": "2"}],
    "t0/data_per_template/a_word.jsonl": [
        {"prompt": "Say é", "completion": "é"},
        {"prompt": "long", "completion": "x" * 1497},
        {"prompt": "fits", "completion": "x" * 1496},
    ],
}
HELD = (
    '{"task": "a_word", "prompt": "Say é", "completion": "é"}\n'
    f'{{"task": "a_word", "prompt": "fits", "completion": "{"x" * 1496}"}}\n'
    '{"task": "b_sum", "prompt": "1 + 1?", "completion": "2"}\n'
).encode()
WORDS = b"one\ntwo\n"


def entry(**changes):
    given = {
        "name": "rows",
        "path": "instruct/rows.jsonl.gz",
        "repository": "some/body",
        "commit": "0" * 40,
        "upstream": "data_per_template/*.jsonl",
        "licence": "MIT",
        "sha256": sha256_of_bytes(HELD),
        "packed_sha256": "f" * 64,
        "make": catalogue._t0,
    }
    return Input(**given | changes)


WHOLE = entry(
    name="words",
    path="eval/words.txt",
    upstream="words.txt",
    sha256=sha256_of_bytes(WORDS),
    packed_sha256="",
    make=None,
)
BOTH = (entry(), WHOLE)


def archive(path, files):
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def published(rows=T0, words=WORDS):
    files = {
        name: "".join(f"{json.dumps(row)}\n" for row in given).encode()
        for name, given in rows.items()
    }
    return files | {"body-0/old/words.txt": b"other\n", "body-0/new/words.txt": words}


def test_files_are_made_of_a_folder_and_its_archives(tmp_path):
    files = published()
    archive(tmp_path / "t0.tar.xz", {n: c for n, c in files.items() if n.startswith("t0")})
    for name, content in files.items():
        if not name.startswith("t0"):
            path = tmp_path / "plain" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    out = tmp_path / "out"
    built = build_inputs(out, given=tmp_path, inputs=BOTH)
    assert [result.problem for result in built] == ["", ""]
    packed = out / "instruct" / "rows.jsonl.gz"
    assert gzip.decompress(packed.read_bytes()) == HELD
    assert (out / "eval" / "words.txt").read_bytes() == WORDS
    before = packed.read_bytes()
    packed.unlink()
    build_inputs(out, ["rows"], given=tmp_path, inputs=BOTH)
    assert packed.read_bytes() == before  # the same bytes at any time


def test_a_file_that_is_there_is_looked_at_and_never_replaced(tmp_path):
    file = tmp_path / "eval" / "words.txt"
    file.parent.mkdir()
    file.write_bytes(WORDS)
    (result,) = build_inputs(tmp_path, ["words"], given=tmp_path / "none", inputs=BOTH)
    assert result.problem == ""
    file.write_bytes(b"mine\n")
    (result,) = build_inputs(tmp_path, ["words"], given=tmp_path / "none", inputs=BOTH)
    assert "holds something else" in result.problem
    assert file.read_bytes() == b"mine\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no file data_per_template/*.jsonl of some/body at 000000000000"),
        (published({"t0/data_per_template/a.jsonl": [{"prompt": "?"}]}), "KeyError: 'completion'"),
        (
            published(dict(list(T0.items())[:1])),
            "made of 1 files data_per_template/*.jsonl it has",
        ),
    ],
)
def test_another_revision_is_one_clear_line(tmp_path, files, words):
    archive(tmp_path / "given.tar.gz", files)
    out = tmp_path / "out"
    (result,) = build_inputs(out, ["rows"], given=tmp_path, inputs=BOTH)
    assert words in result.problem
    assert "\n" not in result.problem
    assert not out.exists()
    archive(tmp_path / "given.tar.gz", published(words=b"three\n"))
    (result,) = build_inputs(out, ["words"], given=tmp_path, inputs=BOTH)
    assert "no file words.txt with the sha256" in result.problem


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "given.tar.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(DataError, match=r"given\.tar\.gz: cannot be read as a tar archive"):
        build_inputs(tmp_path / "out", given=tmp_path, inputs=BOTH)


def test_a_repository_is_downloaded_once(tmp_path, monkeypatch):
    there = tmp_path / "some" / "body" / "tar.gz"
    there.mkdir(parents=True)
    archive(there / "made.tar.gz", published())
    (there / "made.tar.gz").rename(there / ("0" * 40))
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(upstream, "ARCHIVES", f"http://127.0.0.1:{server.server_port}")
    elsewhere = entry(name="none", path="eval/none.txt", repository="no/body")
    built = build_inputs(tmp_path / "out", inputs=(*BOTH, elsewhere))
    server.shutdown()
    problems = {result.entry.name: result.problem for result in built}
    assert problems["rows"] == problems["words"] == ""
    assert "HTTP Error 404" in problems["none"]
    assert sum("some/body" in path for path in asked) == 1


def test_a_file_that_was_packed_otherwise_is_the_same(tmp_path, monkeypatch):
    rows = tmp_path / "rows.jsonl.gz"
    rows.write_bytes(gzip.compress(HELD, 1))
    monkeypatch.setitem(catalogue.SAME_CONTENT, "f" * 64, sha256_of_bytes(HELD))
    assert checked_sum(rows, "f" * 64, "a campaign") == "f" * 64
    rows.write_bytes(gzip.compress(HELD + b"{}\n", 1))
    with pytest.raises(DataError, match="a campaign says ffff"):
        checked_sum(rows, "f" * 64, "a campaign")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HPOBENCH_LLM_SOURCES", raising=False)
    assert main(["build-data"]) == 2
    assert "give --out, or set HPOBENCH_LLM_SOURCES" in capsys.readouterr().err
    assert main(["build-data", "blimb", "--out", str(tmp_path)]) == 2
    assert "unknown input 'blimb'; did you mean 'blimp'" in capsys.readouterr().err
    (tmp_path / "given").mkdir()
    given = ["--from", str(tmp_path / "given"), "--out", str(tmp_path / "out")]
    assert main(["build-data", "blimp", "piqa", *given]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "no file data/*.jsonl of alexwarstadt/blimp at 3e56b06fcabc" in errors[0]


def test_names_and_places_are_distinct():
    assert len({entry.name for entry in INPUTS}) == len({e.path for e in INPUTS}) == len(INPUTS)
    with pytest.raises(UnknownNameError):
        build_inputs("out", ["nothing"])
