"""The README keeps its word: its code runs and prints what it says, its commands work."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.slow
def test_every_example_prints_what_the_readme_says():
    pairs = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", TEXT, re.DOTALL)
    assert len(pairs) == len(blocks("python")) >= 2
    for program, said in pairs:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
        assert out.getvalue() == said


@pytest.mark.slow
def test_the_optimizer_of_your_own_keeps_the_contract(tmp_path):
    (program,) = [block for block in blocks("python") if "OptimizerContract" in block]
    assert len([line for line in program.splitlines() if line.strip()]) <= 22
    (tmp_path / "my_optimizer.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_optimizer.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b(\d+) passed", done.stdout)


# The demo's campaign and study, trained and repeated less.
SHORTER = {
    "collect/smoke.toml": [
        ("checkpoints = [0, 5, 10, 20, 40, 80, 120, 160]", "checkpoints = [0, 5, 10]"),
        ("test_rows = 192", "test_rows = 24"),
    ],
    "studies/nomad-vs-tpe.toml": [("seeds = 20", "seeds = 3"), ("budget = 50", "budget = 20")],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder like this project's, in which the demo's files are `SHORTER`."""
    folder = tmp_path_factory.mktemp("home")
    for name, pairs in SHORTER.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        (folder / name).parent.mkdir()
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "collect" / "bases").symlink_to(ROOT / "collect" / "bases")
    return folder


@pytest.fixture(scope="module")
def demo(home):
    """What `make demo` said; its results are in `home`."""
    command = ["make", f"--file={ROOT / 'Makefile'}", "--assume-old=.venv/installed", "demo"]
    command.append(f"BIN={Path(sys.executable).parent}")
    return subprocess.run(command, cwd=home, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.usefixtures("demo")  # its study is README's, and is not run twice
def test_every_command_of_the_command_lines_works(home):
    commands = [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith(("$ hpobench-llm", "$ collect-grid"))
    ]
    assert len(commands) >= 5
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=home, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_make_demo_does_it_all(demo, home):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for word in ("sealed 36 rows of 12 runs", "mean rank", "nomad", "tpe-nni", "tpe-optuna"):
        assert word in demo.stdout
    page = (home / "out" / "nomad-vs-tpe" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
