"""A campaign small enough to train in a second on a shipped base, and one that needs no torch."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpobench_llm.collect.record import Checkpoint, Provenance, RunRecord

CAMPAIGN = """
name = "mini"
version = "0.0.1"
description = "A few steps on generated tasks, for tests."
seeds = [0, 1]
checkpoints = [0, 2, 4]

[base]
path = "{base}"

[data]
max_tokens = 48
train_rows = 64
val_rows = 8
test_rows = 8

[[data.source]]
name = "generated"
generated_tasks = 400

[grid]
rank = [2, 4]
lr = [1e-3, 1e-2]

[[score]]
name = "exact"
kind = "exact-match"
checkpoints = [0, 4]
"""


RIDGES = """
kind = "ridge"
name = "ridges"
version = "0.1"
description = "Ridge regression on generated data."
seeds = [0, 1, 2]
sleep = 0.05

[grid]
penalty = [1e-3, 1e-2, 1e-1, 1.0, 10.0]
noise = [0.1, 1.0]
"""


@pytest.fixture
def ridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the family of `ridge_family.py` as another distribution would; a campaign of it."""
    info = tmp_path / "packages" / "ridge_family-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ridge-family\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpobench_llm.families]\nridge = ridge_family\n")
    module = Path(__file__).with_name("ridge_family.py").read_text()
    (info.parent / "ridge_family.py").write_text(module)
    monkeypatch.syspath_prepend(info.parent)
    path = os.pathsep.join([str(info.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    file = tmp_path / "ridges.toml"
    file.write_text(RIDGES)
    return file


@pytest.fixture
def write_campaign(tmp_path: Path, project_root: Path) -> Callable[..., Path]:
    """Return a function that writes the campaign, with `old, new` pairs replaced."""

    def write(*pairs: tuple[str, str]) -> Path:
        text = CAMPAIGN.replace("{base}", str(project_root / "collect" / "bases" / "tiny"))
        for old, new in pairs:
            if old not in text:
                raise ValueError(f"{old!r} is not in the campaign")
            text = text.replace(old, new)
        path = tmp_path / "mini.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def fake_records() -> Callable[..., list[RunRecord]]:
    """Return a function that makes the records of a task's runs, none of them trained."""
    provenance = Provenance(
        commit="0" * 40, dirty=False, device="test", threads=1, versions={"python": "3"}
    )

    def make(task, val_loss=0.5, items=None, baselines=()):
        return [
            RunRecord(
                config=run.config,
                seed=run.seed,
                settings=run.config,
                constants={"engine": "peft", "pack_size": 1, "trainable_parameters": 7},
                checkpoints=(
                    Checkpoint(fidelity={"step": 0}, status="ok", values={"val_loss": val_loss}),
                ),
                provenance=provenance,
                items=items or {},
                baselines=baselines,
            )
            for run in task.runs
        ]

    return make
