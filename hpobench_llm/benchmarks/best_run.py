"""The best run of a folder: `best/` holds what it has learned, `best.json` says what it is."""

import fcntl
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import read_json, remove_strays, write_json
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import IntegrityError, LedgerError
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Value

BEST, ABOUT = "best", "best.json"


@dataclass(frozen=True, slots=True)
class About:
    """Which run a best adapter is of, and the metric by which it was chosen."""

    metric: str
    value: float
    configuration: Mapping[str, Value]
    seed: int


def read_about(best: Path) -> About | None:
    """Return which run a folder `best/` is of; None if it is not there, or does not say."""
    try:
        about: dict[str, Any] = read_json(best / ABOUT)
        configuration = dict(about["configuration"])
        return About(
            str(about["metric"]), float(about["value"]), configuration, int(about["seed"])
        )
    except (IntegrityError, KeyError, TypeError, ValueError):
        return None


class BestRun:
    """The best run by one metric in full; processes may share the folder."""

    def __init__(self, folder: Path, metric: Metric) -> None:
        self._folder, self._metric = folder, metric
        self._best, self._old = folder / BEST, folder / f".{BEST}.old"
        with self._alone():
            # A folder cannot replace a folder in one step: see `_replace`.
            if self._old.exists() and not self._best.exists():  # killed between two renames
                self._old.rename(self._best)
            shutil.rmtree(self._old, ignore_errors=True)

    @property
    def exists(self) -> bool:
        """Whether `best/` says what it is."""
        return math.isfinite(self._standing())

    def loss(self, record: RunRecord) -> float:
        """Return the loss that a run is judged by; infinity for a run that failed."""
        value = float(record.checkpoints[-1].values.get(self._metric.name, math.nan))
        ended = record.status == "ok" and math.isfinite(value)
        return self._metric.to_loss(value) if ended else math.inf

    def judge(self, record: RunRecord, learned: Path, *, eligible: bool) -> None:
        """Keep what a run has learned if it beats what `best/` holds, or else delete it.

        A run that failed is never the best, nor is one that is not `eligible`.

        Raises:
            LedgerError: it cannot be written.
        """
        last = record.checkpoints[-1]
        try:
            with self._alone():
                if not learned.is_dir():
                    return  # another process that shares the folder has judged it
                if eligible and self.loss(record) < self._standing():
                    about = {
                        "metric": self._metric.name,
                        "value": last.values[self._metric.name],
                        "configuration": dict(record.config),
                        "seed": record.seed,
                        **last.fidelity,
                        "run_id": record.run_id,
                    }
                    remove_strays(learned, ABOUT)
                    write_json(learned / ABOUT, about)
                    self._replace(learned)
                else:
                    shutil.rmtree(learned)
        except OSError as error:
            raise LedgerError(
                f"{self._best}: cannot be written: {error.strerror or error}; all runs are kept: "
                "make room and start again"
            ) from None

    def _standing(self) -> float:
        """Return the loss of what `best/` holds; infinity if it is empty or of another metric."""
        about = read_about(self._best)
        if about is None or about.metric != self._metric.name:
            return math.inf
        return self._metric.to_loss(about.value) if math.isfinite(about.value) else math.inf

    def _replace(self, learned: Path) -> None:
        # At every moment one of the two is whole, so a kill in between loses nothing.
        if self._best.exists():
            self._best.rename(self._old)
        try:
            learned.rename(self._best)
        except OSError:
            if self._old.exists():
                self._old.rename(self._best)
            raise
        shutil.rmtree(self._old, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The system takes the lock away from a process that is killed.
        lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def move_whole(folder: Path, place: Path) -> None:
    """Let a finished folder, if there is one, be in its place once all of it is on disk.

    Raises:
        OSError: it cannot be.
    """
    if not folder.is_dir():
        return
    for path in [folder, *folder.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)
