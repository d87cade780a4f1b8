"""The notebook of the first quarter of an hour runs as it stands, without Jupyter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "studies" / "first.ipynb"

# What a notebook does: cells are run in `__main__`, their text is known, the last value is shown.
KERNEL = """
import ast, json, linecache, sys

for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"]):
    if cell["cell_type"] != "code":
        continue
    text, name = "".join(cell["source"]), f"<cell {number}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    tree = ast.parse(text, name)
    shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), globals())
    if shown is not None:
        value = eval(compile(ast.Expression(shown.value), name, "eval"), globals())
        print(f"[{number}]", repr(value)[:300].splitlines()[0])
        if hasattr(value, "_repr_html_"):
            assert len(value._repr_html_()) < 20_000
"""


@pytest.mark.slow
def test_every_cell_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, str(NOTEBOOK)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "<table lora-nano" in done.stdout
    assert "<trajectory of nomad on lora-nano, seed 0: 20 trials>" in done.stdout
    assert "<result on 1 benchmarks, 12 replays" in done.stdout
    assert "__main__:HillClimber: no other process can import what was typed in" in done.stderr
    assert "12 of 24 replays are there; 12 run now" in done.stderr
    assert (tmp_path / "out" / "first" / "report.html").is_file()


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
