"""The structure holds: layers, the laptop half without torch, no code in the stage folders."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "nni",
    "optuna",
    "lightgbm",
    "sklearn",
    "datasets",
    "cmaes",
    "pymoo",
    "botorch",
    "gpytorch",
    "dehb",
    "distributed",
)


def test_imports_point_one_way():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


@pytest.mark.parametrize("folder", ["collect", "tables", "surrogates", "studies"])
def test_stage_folders_hold_specs_and_artefacts_only(folder):
    assert list((ROOT / folder).rglob("*.py")) == []
    assert (ROOT / folder / "README.md").is_file()


def test_no_artefact_can_hide_code():
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(tracked) > 50
    hiding = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin")
    assert [name for name in tracked if name.endswith(hiding)] == []


def loaded_by(program):
    code = f"{program}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_almost_nothing():
    loaded = loaded_by("import hpobench_llm")
    assert not loaded & {*HEAVY, "numpy", "pandas", "pyarrow", "scipy", "matplotlib"}


@pytest.mark.slow
def test_the_laptop_half_loads_no_heavy_library():
    program = (
        "import hpobench_llm as h\n"
        "h.replay('toy-bowl', 'random', budget=3, seed=0)\n"
        "h.replay('toy-bowl', 'nomad', budget=3, seed=0)\n"
        "h.list_optimizers(); h.list_benchmarks(); h.compare\n"
        "import hpobench_llm.cli"
    )
    assert not loaded_by(program) & set(HEAVY)


def test_pooch_is_used_in_one_module():
    users = [p for p in (ROOT / "hpobench_llm").rglob("*.py") if "import pooch" in p.read_text()]
    assert [path.name for path in users] == ["download.py"]


def test_public_names():
    import hpobench_llm

    for name in hpobench_llm.__all__:
        assert getattr(hpobench_llm, name) is not None
    assert set(dir(hpobench_llm)) == set(hpobench_llm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = hpobench_llm.laod
