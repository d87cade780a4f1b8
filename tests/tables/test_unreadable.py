"""A damaged or foreign table: one clear line that names it, and the others are still listed."""

import json
import os
import random

import numpy as np
import pandas as pd
import pytest

from hpobench_llm.artefacts import (
    canonical_json,
    frame_to_parquet,
    sha256_of_bytes,
    sha256_of_text,
)
from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.cli import main
from hpobench_llm.errors import HpobenchError, IntegrityError
from hpobench_llm.tables.card import card
from hpobench_llm.tables.importers.command import import_tables
from hpobench_llm.tables.table import Table

SPEC = """name = "mine"
description = "d"
file = "runs.csv"
[hyperparameters.lr]
log = true
low = 1e-5
high = 1
[hyperparameters.size]
[hyperparameters.method]
[fidelities.epoch]
unit = "epochs"
[metrics.loss]
direction = "minimize"
unit = "nats"
stderr = "se"
[costs.sec]
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a folder with one imported table, `mine`."""
    folder = tmp_path_factory.mktemp("shelf")
    lines = ["lr,size,method,epoch,loss,se,sec"]
    lines += [
        f"{lr},{size},{'ab'[size % 2]},{epoch},{lr + size / epoch},0.1,{epoch}"
        for lr in (1e-3, 1e-2)
        for size in (1, 2)
        for epoch in (1, 2)
    ]
    (folder / "runs.csv").write_text("\n".join(lines) + "\n")
    (folder / "spec.toml").write_text(SPEC)
    import_tables("generic", spec=folder / "spec.toml", out=folder / "out")
    return folder / "out"


def copy(shelf, folder, raw, frame=None):
    """Write a table like `mine` of other metadata or rows, with sums that fit."""
    folder.mkdir(parents=True, exist_ok=True)
    content = (shelf / "mine/table.parquet").read_bytes()
    content = content if frame is None else frame_to_parquet(frame)
    (folder / "table.parquet").write_bytes(content)
    if isinstance(raw, dict):
        raw = {k: v for k, v in raw.items() if k != "metadata_sha256"}
        if isinstance(raw.get("sha256"), dict) and frame is not None:
            raw["sha256"] = {"table.parquet": sha256_of_bytes(content)}
        try:
            raw["metadata_sha256"] = sha256_of_text(canonical_json(raw))
        except ValueError:
            raw["metadata_sha256"] = ""
    (folder / "table.json").write_text(json.dumps(raw))


def use(folder):
    """Do with a table what its readers do."""
    card(Table.load(folder))
    benchmark = load(str(folder))
    configs = benchmark.configurations()
    benchmark.query_many(configs.drop(columns="config_id"))
    for metric in benchmark.metrics:
        benchmark.optimum(metric)
        benchmark.noise(metric)


def refuses(folder):
    """Tell whether a table is refused, by one line that names it where it cannot be loaded."""
    try:
        use(folder)
    except HpobenchError as error:
        said = str(error)
        return "\n" not in said and (folder.name in said or not isinstance(error, IntegrityError))
    return False


def raw_of(shelf):
    return json.loads((shelf / "mine/table.json").read_text())


ODD = (
    None,
    True,
    -1,
    0,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
)
ODD += (["a", 1], {"a": 1}, [None], "mine", 2**63, -(2**70), [1, 1], "../up")


def mutate(rng, value):
    """Change one place of a JSON value, or leave one out, or double one."""
    places = []

    def walk(inner, path):
        places.append(path)
        if isinstance(inner, dict | list):
            for key in inner if isinstance(inner, dict) else range(len(inner)):
                walk(inner[key], [*path, key])

    walk(value, [])
    path = rng.choice(places)
    if not path:
        return rng.choice(ODD)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    action = rng.randrange(4)
    if action == 0:
        del parent[path[-1]]
    elif action == 1 and isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        parent[path[-1]] = rng.choice(ODD)
    return value


@pytest.mark.slow
def test_a_fuzzed_table_json_with_fitting_sums(shelf, tmp_path):
    """Whatever a stranger writes there: it is used as it is, or one error names the table."""
    rng = random.Random(0)
    refused = 0
    for number in range(400):
        folder = tmp_path / f"t{number}"
        copy(shelf, folder, mutate(rng, raw_of(shelf)))
        refused += refuses(folder)
    assert 200 < refused < 400


def rows_of(rng, frame):
    """Return rows of which a column is of another kind, absent, or partly odd."""
    name = rng.choice(list(frame.columns))
    odd = rng.choice(
        [
            None,
            "x",
            7,
            -1.5,
            np.nan,
            np.inf,
            [1],
            b"x",
            True,
            2**62,
            pd.Timestamp(0),
            pd.Timedelta(1),
        ]
    )
    match rng.randrange(5):
        case 0:
            return frame.drop(columns=name)
        case 1:
            return frame.assign(**{name: [odd] * len(frame)})
        case 2:
            return frame.assign(**{name: [odd, *frame[name][1:]]})
        case 3:
            return frame.rename(columns={name: rng.choice(list(frame.columns))})
        case _:
            return rng.choice([frame[:0], pd.concat([frame, frame]), frame[[name]], frame[:1]])


@pytest.mark.slow
def test_fuzzed_rows_with_fitting_sums(shelf, tmp_path):
    rng = random.Random(1)
    frame = Table.load(shelf / "mine").frame
    refused = 0
    for number in range(250):
        folder = tmp_path / f"t{number}"
        try:
            copy(shelf, folder, raw_of(shelf), rows_of(rng, frame))
        except (ValueError, TypeError, OverflowError):  # no Parquet file can hold it
            continue
        refused += refuses(folder)
    assert refused > 80


@pytest.mark.parametrize("file", ["table.json", "table.parquet"])
def test_damaged_files(shelf, tmp_path, file):
    rng = random.Random(2)
    content = (shelf / "mine" / file).read_bytes()
    for number in range(60):
        folder = tmp_path / f"t{number}"
        copy(shelf, folder, raw_of(shelf))
        (folder / "table.json").write_bytes((shelf / "mine/table.json").read_bytes())
        spoiled = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
        if number % 3 == 0:
            spoiled = spoiled[: rng.randrange(len(spoiled))]
        (folder / file).write_bytes(spoiled)
        if bytes(spoiled) == content:
            continue
        with pytest.raises(IntegrityError, match=f"t{number}/table"):
            use(folder)


@pytest.mark.parametrize(
    "content", ["", "[" * 5000 + "]" * 5000, '{"format": 1, "a": ' + "1" * 5000 + "}", "\ufeff{}"]
)
def test_json_that_no_reader_expects(shelf, tmp_path, content):
    (tmp_path / "t").mkdir()
    (tmp_path / "t/table.json").write_text(content, encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"t/table\.json: "):
        Table.load(tmp_path / "t")


@pytest.mark.slow
def test_what_is_no_file_of_ours_is_not_waited_for(shelf, tmp_path, monkeypatch, capsys):
    """A pipe would be waited for, a device never ends, and a name may speak to the terminal."""
    copy(shelf, tmp_path / "good", raw_of(shelf))
    for name in ("pipe", "rows", "folder", "huge", "a\nb\x1b[31m"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe/table.json")
    copy(shelf, tmp_path / "rows", raw_of(shelf))
    (tmp_path / "rows/table.parquet").unlink()
    os.mkfifo(tmp_path / "rows/table.parquet")
    (tmp_path / "folder/table.json").mkdir()
    with (tmp_path / "huge/table.json").open("wb") as sparse:
        sparse.truncate(2**33)
    (tmp_path / "a\nb\x1b[31m/table.json").write_text("{}")
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    for command in (["ls", "benchmarks"], ["check"]):
        assert main(command) == 2
        out, err = capsys.readouterr()
        assert "good" in out
        assert "\x1b" not in out + err
        for line, words in zip(
            err.splitlines(),
            [
                r"a\nb\x1b[31m/table.json: format None",
                "folder/table.json: cannot be read: Is a directory",
                "huge/table.json: cannot be read: more than 268,435,456 bytes",
                "pipe/table.json: cannot be read: not a regular file",
                "rows/table.parquet: cannot be read: not a regular file",
            ],
            strict=True,
        ):
            assert words in line


def test_the_others_are_listed_and_checked(shelf, tmp_path, monkeypatch, capsys):
    copy(shelf, tmp_path / "good", raw_of(shelf))
    copy(shelf, tmp_path / "bad", [])
    copy(shelf, tmp_path / "worse", raw_of(shelf))
    (tmp_path / "worse/table.parquet").unlink()
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    for command in (["ls", "benchmarks"], ["ls", "benchmarks", "--json"], ["check"]):
        assert main(command) == 2
        out, err = capsys.readouterr()
        assert "good" in out
        assert "lora-nano" in out
        assert '"bad"' not in out
        assert "  bad " not in out
        assert len(err.splitlines()) == 2
        assert "bad/table.json: format []" in err
        assert "worse/table.parquet: cannot be read" in err
    assert main(["check", "good"]) == 0
