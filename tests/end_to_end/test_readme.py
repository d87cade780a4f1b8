"""The README keeps its word: its code runs and prints what it says, its commands work."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.registry import check_name, list_wrappers

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


def column(heading):
    """Return the first cells of the rows of every table whose first heading is this one."""
    tables = re.findall(rf"\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT)
    return [row.split(" | ")[0] for table in tables for row in table.splitlines()]


def names(heading):
    return {name for cell in column(heading) for name in re.findall(r"`([^`]+)`", cell)}


def test_every_optimizer_and_wrapper_is_listed_and_no_other():
    shipped = set(ENTRIES)
    wrapped = {name for name in names("name") if "+" in name}
    assert names("name") - wrapped == shipped
    assert {name.partition("+")[2].partition(":")[0] for name in wrapped} == set(list_wrappers())
    for name in wrapped:
        check_name(name.replace("NAME", "random"))


def test_every_extra_is_listed_and_no_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert names("extra") == set(project["optional-dependencies"])


@pytest.mark.slow
def test_make_demo_does_it_all(demo):
    done, out = demo
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("sealed 96 rows of 12 runs", "mean rank", "nomad", "tpe-nni", "tpe-optuna"):
        assert word in done.stdout
    page = (out / "nomad-vs-tpe" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)


def test_contributing_names_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:hpobench_llm|tests|benchmarks|collect)/[\w./-]*)`", text)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []
