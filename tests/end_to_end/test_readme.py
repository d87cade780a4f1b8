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


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What `make demo` said, and its folder."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = ["make", "--assume-old=.venv/installed", "demo", f"OUT={out}"]
    command.append(f"BIN={Path(sys.executable).parent}")
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True), out


@pytest.mark.slow
def test_every_command_of_the_command_lines_works(demo, tmp_path):
    commands = [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith(("$ hpobench-llm", "$ collect-grid"))
    ]
    assert len(commands) >= 5
    for name in ("collect", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "out").symlink_to(demo[1])  # its study is README's, and is not run twice
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_make_demo_does_it_all(demo):
    done, out = demo
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("sealed 96 rows of 12 runs", "mean rank", "nomad", "tpe-nni", "tpe-optuna"):
        assert word in done.stdout
    page = (out / "nomad-vs-tpe" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
