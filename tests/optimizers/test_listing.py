"""What `ls optimizers` prints: columns that line up, and times that were really measured."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpobench_llm.optimizers import listing, measured
from hpobench_llm.optimizers.catalogue import ENTRIES

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "suggestions.py"


@pytest.fixture
def times(tmp_path, monkeypatch):
    """Return a function that replaces the measurements."""

    def put(content):
        file = tmp_path / "seconds.json"
        file.write_text(json.dumps(content))
        monkeypatch.setattr(measured, "FILE", file)
        measured.measurements.cache_clear()

    yield put
    measured.measurements.cache_clear()


def library(name):
    return {ENTRIES[name].distribution: ENTRIES[name].installed}


def test_every_family_has_a_heading_and_every_optimizer_a_line():
    text = listing.lines(listing.columns(), None)
    for family in {entry.family for entry in ENTRIES.values()}:
        assert text.count(family) == 1
    for name, entry in ENTRIES.items():
        (line,) = [line for line in text if line.startswith(f"  {name} ")]
        assert line.endswith(entry.summary)
    objectives = text[0].index("objectives")
    lines = [line for line in text if line.startswith("  ")]
    assert all(line[objectives - 1] == " " and line[objectives] != " " for line in lines[1:])
    assert {line[objectives:].split()[0] for line in lines[1:]} == {"1", "1+"}


def test_a_line_says_what_the_entry_says(times):
    times({"asha": {"seconds": 0.00004321, "library": library("asha")}})
    text = listing.lines(listing.columns(), None)
    (asha,) = [line.split() for line in text if line.startswith("  asha ")]
    assert asha[:9] == ["asha", "1", "yes", "-", "-", "our", "own", "43", "µs"]
    (sobol,) = [line.split() for line in text if line.startswith("  sobol ")]
    version = ENTRIES["sobol"].installed
    assert sobol[:9] == ["sobol", "1+", "-", "-", "-", "scipy", version, "-", "scrambled"]


def test_a_terminal_of_100_columns_is_wide_enough():
    text = listing.lines(listing.columns(), 100)
    assert max(map(len, text)) <= 100
    assert not any("mesh adaptive" in line for line in text)  # no room for summaries


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(2e-8, "0.02 µs"), (9.99e-6, "10 µs"), (9.996e-4, "1 ms"), (0.0123, "12 ms"), (31.0, "31 s")],
)
def test_times_have_two_digits_and_a_unit(times, seconds, shown):
    times({"random": {"seconds": seconds, "library": library("random")}})
    (line,) = [t for t in listing.lines(listing.columns(), None) if t.startswith("  random ")]
    assert f"  {shown}  independent" in " ".join(line.split("our own")[1:]).replace("   ", "  ")


def test_a_time_holds_for_the_library_that_was_measured(times):
    times(
        {
            "sobol": {"seconds": 1.0, "library": library("sobol")},
            "nomad": {"seconds": 1.0, "library": {"PyNomadBBO": "0.1"}},
        }
    )
    seconds = {name: shown["suggestion_seconds"] for name, shown in listing.columns().items()}
    assert seconds["sobol"] == 1.0
    assert [value for name, value in seconds.items() if name != "sobol"] == [None] * (
        len(seconds) - 1
    )
    gone = replace(ENTRIES["sobol"], distribution="no-such-distribution")
    assert measured.suggestion_seconds("sobol", gone) is None


def test_without_measurements_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "FILE", tmp_path / "absent.json")
    measured.measurements.cache_clear()
    assert measured.suggestion_seconds("random", ENTRIES["random"]) is None
    measured.measurements.cache_clear()


def test_what_is_shipped_was_measured():
    content = json.loads(measured.FILE.read_text(encoding="utf-8"))
    assert len(content) >= 20
    assert set(content) <= set(ENTRIES)
    for name, found in content.items():
        assert 0 < found["seconds"] <= found["most"]
        assert (found["trials"], found["workers"], found["threads"]) == (100, 1, 1)
        assert found["seeds"] >= 3
        assert list(found["library"]) == [ENTRIES[name].distribution]
        assert found["processor"]
        assert found["objectives"] == (2 if ENTRIES[name].objectives == "several" else 1)


def measure(out, *arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.partition(":")[0] for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_the_script_measures_what_it_is_told_and_keeps_the_rest(tmp_path):
    out = tmp_path / "seconds.json"
    assert measure(out, "--only", "random", "asha", "--seeds", "2") == ["random", "asha"]
    first = json.loads(out.read_text())
    assert list(first) == ["random", "asha"]
    assert 1e-6 < first["random"]["seconds"] < 0.05
    # What is held for the present library stays; another version or number of seeds does not.
    entries = {name: first["random"] | {"library": library(name)} for name in ENTRIES}
    entries["sobol"] = entries["sobol"] | {"library": {"scipy": "0.1"}}
    entries["grid"] = entries["grid"] | {"seeds": 1}
    entries["no-longer-there"] = first["random"]
    out.write_text(json.dumps(entries))
    assert measure(out, "--seeds", "2") == ["sobol", "grid"]
    second = json.loads(out.read_text())
    assert list(second) == list(ENTRIES)
    assert second["sobol"]["library"] == library("sobol")
    assert second["asha"] == entries["asha"]
