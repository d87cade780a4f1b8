"""Files and specs that were spoiled at random: a table, or one line that names what is wrong."""

import gzip
import io
import json
import random
import warnings

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpobench_llm.errors import HpobenchError
from hpobench_llm.tables.importers.command import import_tables
from hpobench_llm.tables.table import Table

SPEC = """name = "mine"
description = "d"
file = "{file}"
{layout}
duplicates = "repeats"
seed = "s"
run = "id"
task = "t"
extra = ["note"]
[hyperparameters.lr]
log = true
[hyperparameters.size]
kind = "ordinal"
values = ["small", "large"]
[hyperparameters.gamma]
missing = 1
only_if = {{size = ["large"]}}
[metrics.loss]
direction = "minimize"
unit = "nats"
[metrics.acc]
direction = "maximize"
low = 0
high = 1
[fidelities.epoch]
unit = "epochs"
[costs.sec]
{cost}
[status]
column = "state"
values = {{done = "ok", bad = "failed", cut = "pruned", gone = "drop"}}
[filters.s]
without = [9]
[limits]
rows = 200
cells = 2000
decoded_bytes = 20000
"""
SHAPES = {  # file: layout, cost
    "long.csv": ("", 'unit = "minutes"'),
    "long.csv.gz": ("", 'counts = "since_last"'),
    "long.jsonl": ('short_curves = "diverged"', ""),
    "long.parquet": ('keep = "last"', ""),
    "lists.json": ('layout = "lists"', ""),
    "pairs.jsonl": ('layout = "pairs"', 'counts = "whole_run"\nunit = "duration"'),
}
STATES = ("done", "done", "done", "bad", "cut", "gone")


def frame_of(shape):
    runs = [
        {
            "id": f"r{i}",
            "s": i % 2,
            "t": "ab"[i // 6],
            "lr": 10.0 ** -(i % 3),
            "size": ("small", "large")[i % 2],
            "gamma": 0.5 if i % 2 else None,
            "state": STATES[i % 6],
            "note": f"n{i}",
        }
        for i in range(12)
    ]
    curves = [
        [(e, 3 / e, 0.1 * e, 2.0 * e) for e in range(1, 3 if i % 4 else 2)] for i in range(12)
    ]
    names = ("epoch", "loss", "acc", "sec")
    if shape.startswith("long"):
        rows = [
            r | dict(zip(names, p, strict=True))
            for r, c in zip(runs, curves, strict=True)
            for p in c
        ]
        return pd.DataFrame(rows)
    rows = []
    for run, curve in zip(runs, curves, strict=True):
        epoch, loss, acc, sec = (list(values) for values in zip(*curve, strict=True))
        if shape.startswith("pairs"):
            pairs = {
                "loss": list(zip(epoch, loss, strict=True)),
                "acc": list(zip(epoch, acc, strict=True)),
            }
            rows.append(run | pairs | {"sec": "0 days 00:01:02.5", "epoch": 0})
        else:
            rows.append(run | {"epoch": epoch, "loss": loss, "acc": acc, "sec": sec})
    return pd.DataFrame(rows)


def content_of(file, frame):
    if file.endswith("parquet"):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame), sink)
        return sink.getvalue()
    records = json.loads(frame.to_json(orient="records"))
    if file.endswith("json"):
        return json.dumps(records).encode()
    if file.endswith("jsonl"):
        return "\n".join(map(json.dumps, records)).encode()
    text = frame.to_csv(index=False).encode()
    return gzip.compress(text, mtime=0) if file.endswith("gz") else text


TOKENS = (
    b"",
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b"[",
    b"]",
    b"{",
    b'"',
    b",",
    b"\n",
    b"\xff",
    b"\x00",
)
TOKENS += (
    b"null",
    b"true",
    b"1" * 5000,
    b"[" * 5000,
    b"\\ud800",
    b'"\\ud800"',
    b"\xef\xbb\xbf",
    b"\xff\xfe",
)
TOKENS += (
    b"[1, 2]",
    b"[[1, 2]]",
    b"0 days 00:01",
    b"PT1M",
    b"1_0",
    "\u2028".encode(),
    b"~run",
    b"9" * 320,
)
LINES = """[hyperparameters.lr]
low = 1
high = 1e999
log = true
missing = nan
kind = 'integer'
values = []
values = ['a', 1]
name = 'loss'
name = '~x'
name = 'status'
name = '\\u0000'
layout = 'wide'
layout = 'pairs'
worst = nan
worst = 1e400
low = 2
high = -2
rows = -1
file = '../x'
file = '*'
file = '['
file = '\\u0000'
records = '.'
delimiter = '\\n'
format = 'csv'
format = 'json'
run = ''
task = ['t', 's', 'note']
seed = 'lr'
first = nan
every = 1e-320
only_if = {}
per_run = true
stderr = 'acc'
files = {}
files = {'*' = {k = 1}}
extra = ['lr']
keep = 'last'
name = ''"""
LINES = (*LINES.splitlines(), f"name = '{'n' * 300}'")


def spoil(rng, content):
    content = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(4):
            case 0:
                content[at : at + rng.randrange(1, 8)] = rng.choice(TOKENS)
            case 1:
                content[at:at] = rng.choice(TOKENS)
            case 2:
                del content[at : at + rng.randrange(1, 80)]
            case _:
                content[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(content)


CELLS = (
    None,
    "",
    "nan",
    "x",
    "~",
    -1,
    0,
    2**70,
    1e308,
    -1e-320,
    True,
    [],
    [1],
    [[1, 2]],
    {"a": 1},
)
CELLS += (
    "[1, 2, 3]",
    "[[1, 1], [1, 2]]",
    "9" * 30,
    "done",
    "small",
    "1_0",
    "\u2028",
    "//",
    "é" * 99,
)
CELLS += (
    float("inf"),
    float("nan"),
    [None],
    [float("nan")],
    "P1Y",
    "-1 days +23:59:59",
    ["a", ["b"]],
)


def spoil_cells(rng, frame):
    """Put odd cells into a column here and there, or leave a column out."""
    frame = frame.astype(object)
    for _ in range(rng.randrange(1, 4)):
        name = rng.choice(list(frame.columns))
        if rng.random() < 0.1:
            return frame.drop(columns=name)
        for row in rng.sample(range(len(frame)), rng.choice((1, 2, len(frame)))):
            frame.at[row, name] = rng.choice(CELLS)
    return frame


def spoil_spec(rng, spec):
    lines = spec.splitlines()
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                lines[at] = rng.choice(LINES)
            case 1:
                lines.insert(at, rng.choice(LINES))
            case 2:
                del lines[at]
            case _:
                place = rng.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + rng.choice("\"'[]{}=.#1-ae") + lines[at][place:]
    return "\n".join(lines)


def attempt(folder, file, content, spec):
    """Import, and return what was refused, or an empty text for tables that can be read."""
    folder.mkdir()
    (folder / file).write_bytes(content)
    (folder / "spec.toml").write_text(spec, encoding="utf-8")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tables = import_tables("generic", spec=folder / "spec.toml", out=folder / "out")
    except HpobenchError as error:
        left = list((folder / "out").glob("**/*"))
        return str(error) if not left else f"left {left}\n"
    for table in tables:
        Table.load(table.folder)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("file", SHAPES)
def test_spoiled_files_and_specs(tmp_path, file):
    layout, cost = SHAPES[file]
    spec = SPEC.format(file=file, layout=layout, cost=cost)
    if file.startswith("pairs"):
        spec = spec.replace("[fidelities.epoch]", "[fidelities.step]")
    content = content_of(file, frame_of(file))
    assert attempt(tmp_path / "sound", file, content, spec) == ""
    rng = random.Random(file)
    refused = []
    for number in range(60):
        bad_file, bad_spec = content, spec
        match number % 4:
            case 0:
                bad_spec = spoil_spec(rng, spec)
            case 1:
                bad_file = spoil(rng, content)
            case _:
                try:
                    bad_file = content_of(file, spoil_cells(rng, frame_of(file)))
                except (ValueError, TypeError, OverflowError):
                    continue  # the format cannot hold it
        refused.append(attempt(tmp_path / f"t{number}", file, bad_file, bad_spec))
    lines = [line for line in refused if line]
    assert len(lines) > 15
    for line in lines:
        assert "\n" not in line
        assert len(line) < 1500
