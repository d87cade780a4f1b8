"""The best run of a folder: `best/` holds what it has learned, `best.json` says what it is."""

import fcntl
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import read_json, write_json
from hpobench_llm.collect.record import RunRecord
from hpobench_llm.errors import IntegrityError, LedgerError
from hpobench_llm.metrics import Metric

BEST, ABOUT = "best", "best.json"


class BestRun:
    """The best run by one metric in full; processes may share the folder."""

    def __init__(self, folder: Path, metric: Metric) -> None:
        self._folder, self._metric = folder, metric
        self._best, self._old = folder / BEST, folder / f".{BEST}.old"
        with self._alone():
            if self._old.exists() and not self._best.exists():  # killed between two renames
                self._old.rename(self._best)
            shutil.rmtree(self._old, ignore_errors=True)

    def judge(self, record: RunRecord, learned: Path, *, feasible: bool) -> None:
        """Let what a run has learned be the best if it is better than what is there, or drop it.

        A run that failed, or exceeds a bound, is never the best.

        Raises:
            LedgerError: it cannot be written.
        """
        last = record.checkpoints[-1]
        value = last.values.get(self._metric.name, math.nan)
        try:
            with self._alone():
                if not learned.is_dir():
                    return  # another process that shares the folder has judged it
                if record.status == "ok" and feasible and self._is_better(float(value)):
                    about = {
                        "metric": self._metric.name,
                        "value": value,
                        "configuration": dict(record.config),
                        "seed": record.seed,
                        **last.fidelity,
                        "run_id": record.run_id,
                    }
                    write_json(learned / ABOUT, about)
                    self._replace(learned)
                else:
                    shutil.rmtree(learned)
        except OSError as error:
            raise LedgerError(
                f"{self._best}: cannot be written: {error.strerror or error}; all runs are kept: "
                "make room and start again"
            ) from None

    def _is_better(self, value: float) -> bool:
        try:
            there: dict[str, Any] = read_json(self._best / ABOUT)
            best, name = float(there["value"]), there["metric"]
        except (IntegrityError, KeyError, TypeError, ValueError):
            return math.isfinite(value)
        if name != self._metric.name:
            return math.isfinite(value)
        return self._metric.to_loss(value) < self._metric.to_loss(best)

    def _replace(self, learned: Path) -> None:
        if self._best.exists():
            self._best.rename(self._old)
        learned.rename(self._best)
        shutil.rmtree(self._old, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
