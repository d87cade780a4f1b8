"""Shared builders: a small table with known values, and a study-sized copy of it on disk."""

import gc
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from hpobench_llm.artefacts import frame_to_parquet, sha256_of_bytes
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.columns import described
from hpobench_llm.tables.schema import Metadata
from hpobench_llm.tables.table import Table
from tests.endpoint import StandIn

settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

SLOW_SECONDS = 1.0


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it started and waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def pytest_collection_finish() -> None:
    """Exempt libraries and tests, which stay to the end, from the collections of garbage.

    Each run that is trained begins with one, which takes a quarter of a second where torch is.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before = cpu_seconds()
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu_seconds", cpu_seconds() - before))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that belong to `slow` and are not marked so; other machines may differ."""
    tests = [
        (dict(report.user_properties)["cpu_seconds"], report.nodeid)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call" and "slow" not in report.keywords
    ]
    if unmarked := [(seconds, name) for seconds, name in tests if seconds > SLOW_SECONDS]:
        terminalreporter.section(f"over {SLOW_SECONDS:g} s of CPU time and not marked `slow`")
        for seconds, name in sorted(unmarked, reverse=True):
            terminalreporter.line(f"{seconds:6.1f} {name}")


SPACE = Space(
    (
        Ordinal("rank", (1, 4, 16), log=True),
        Ordinal("lr", (1e-4, 1e-3, 1e-2, 1e-1), log=True),
    )
)
STEPS = (0, 8, 16)
STEP = Fidelity(name="step", unit="optimizer steps", values=STEPS)


def closed_form_rows() -> pd.DataFrame:
    """Return rows whose loss is a known function; rank 1 with lr 0.1 diverges for seed 1."""
    rows = []
    for config in SPACE.configurations():
        for seed in (0, 1):
            for step in STEPS:
                distance = float(((SPACE.to_unit([config]) - 0.4) ** 2).sum())
                loss = 6.0 - (2.0 - distance) * step / 16 + 0.01 * seed * (step > 0)
                broken = config["rank"] == 1 and config["lr"] == 1e-1 and seed == 1 and step > 0
                rows.append(
                    {
                        "config_id": SPACE.config_id(config),
                        "seed": seed,
                        "step": step,
                        "status": "diverged" if broken else "ok",
                        **config,
                        "train_loss": np.nan if broken else loss - 0.1,
                        "val_loss": np.nan if broken else loss,
                        "test_loss": np.nan if broken else loss + 0.1,
                        "score_toy": np.nan if broken or step == 8 else 1.0 - loss / 10,
                        "train_seconds": 2.0 * step * (1 + config["rank"] / 16),
                        "eval_seconds": 1.0 * (step > 0),
                        "tokens_seen": 100 * step,
                    }
                )
    return pd.DataFrame(rows)


def write_table(
    folder: Path, frame: pd.DataFrame, name: str = "small", seeds: tuple[int, ...] = (0, 1)
) -> Path:
    """Seal rows of the shape above as a table."""
    losses = [
        Metric(name=n, unit="nats per label token", direction="minimize", worst=6.0)
        for n in ("val_loss", "test_loss", "train_loss")
    ]
    score = Metric(
        name="score_toy",
        unit="share of items",
        direction="maximize",
        worst=0.0,
        role="score",
    )
    metadata = Metadata(
        name=name,
        version="0.0.1",
        description="A table with a closed form.",
        context="For tests.",
        licence="CC-BY-4.0",
        space=SPACE,
        fidelities=(STEP,),
        metrics={metric.name: metric for metric in [*losses, score]},
        seeds=seeds,
        untrained={"val_loss": 6.0, "test_loss": 6.1, "train_loss": 5.9, "score_toy": 0.4},
        provenance={
            "campaign": name,
            "recipe_sha256": "0" * 64,
            "split": "none",
            "diverged_factor": 1.0,
            "defaults": {"rank": "axis", "lr": "axis", "dropout": 0.0},
            "commits": ["0" * 40],
            "devices": ["test"],
            "versions": {"python": "3"},
            "sources": {
                "base": {"folder": "none"},
                "data": {"sources": {}, "rows": {"train": 1}, "unused": {}},
                "scores": {},
            },
        },
        table_sha256=sha256_of_bytes(frame_to_parquet(frame)),
        columns=described(frame.columns, SPACE, (STEP,), [*losses, score], {}),
    )
    return Table.write(folder, metadata, frame)


@pytest.fixture(scope="session", autouse=True)
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """Let a stand-in answer for the language model that `llm` asks, in every test."""
    stand_in = StandIn()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPOBENCH_LLM_ENDPOINT", stand_in.url)
        patch.setenv("HPOBENCH_LLM_MODEL", "stand-in")
        patch.setenv("HPOBENCH_LLM_ANSWERS", str(tmp_path_factory.mktemp("answers")))
        patch.delenv("HPOBENCH_LLM_API_KEY", raising=False)
        patch.delenv("HPOBENCH_LLM_TIMEOUT", raising=False)
        patch.setenv("no_proxy", "127.0.0.1")
        yield stand_in
    stand_in.close()


@pytest.fixture
def short_climbs(monkeypatch):
    """Let the slowest methods draw, climb and fit less, by their names; not in other processes."""
    from tests.optimizers.shorter import SHORTER

    for shorter in SHORTER.values():
        (method,) = shorter.__bases__
        for name, value in vars(shorter).items():
            if name != "entry" and not name.startswith("__"):
                monkeypatch.setattr(method, name, value)


@pytest.fixture
def rows() -> pd.DataFrame:
    return closed_form_rows()


@pytest.fixture
def table_folder(tmp_path: Path, rows: pd.DataFrame) -> Path:
    return write_table(tmp_path / "small", rows)


@pytest.fixture
def seal_rows() -> Callable[[Path, pd.DataFrame], Path]:
    return write_table


@pytest.fixture(scope="session")
def quick() -> Iterator[None]:
    """Fit a surrogate's networks as one member and for fewer epochs, from here on."""
    from hpobench_llm.surrogates.models import network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "EPOCHS", 60)
        patch.setattr(network, "MEMBERS", 1)
        yield


@pytest.fixture
def project_root() -> Path:
    return Path(__file__).parents[1]
