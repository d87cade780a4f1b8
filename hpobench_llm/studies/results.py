"""Read a study's results: nothing is used before it fits its sum, and no code is run."""

from collections.abc import Container
from io import BytesIO
from pathlib import Path
from typing import TypedDict

import pandas as pd
import pyarrow as pa
from pandas.api import types

from hpobench_llm.artefacts import read_file, read_json, sha256_of_bytes
from hpobench_llm.benchmarks.base import CONSTRAINT
from hpobench_llm.errors import IntegrityError
from hpobench_llm.evaluation import STATUSES
from hpobench_llm.replaying.columns import METRIC, NUMBERS, TEXTS, column
from hpobench_llm.replaying.trajectory import MEASURED
from hpobench_llm.studies.header import FORMAT, STUDY, StudyHeader
from hpobench_llm.tables.parquet import check_parquet

TRAJECTORIES, FAILURES = "trajectories.parquet", "failures.json"
SECONDS = f"trajectories.{MEASURED}.parquet"
LARGEST = 2**34  # bytes of trials when decoded


def read_trajectories(out: Path) -> tuple[StudyHeader, pd.DataFrame]:
    """Return the header of a study that has run to its end, and its trials.

    Failed replays are not among them: see `read_failures`. Trials of format 2 keep the names of
    that format: see `columns.with_kinds`.

    Raises:
        IntegrityError: the folder holds no such study, or a file cannot be read, does not fit its
            sum, or is not what a study writes.
    """
    header, path = StudyHeader.read(out / STUDY), out / TRAJECTORIES
    if header.format == FORMAT and TRAJECTORIES not in header.results:
        if FAILURES in header.results:
            raise IntegrityError(f"{out}: every replay failed; {out / FAILURES} says why")
        raise IntegrityError(f"{out}: the study is not complete, replay it again")
    frame = _frame(_content(path, header), path)
    _check(frame, header, path)
    return header, frame


class FailedReplay(TypedDict):
    """A replay that failed, as it is listed."""

    benchmark: str
    optimizer: str
    seed: int
    reason: str


def read_failures(out: Path, header: StudyHeader) -> list[FailedReplay]:
    """Return the replays that failed: `benchmark`, `optimizer`, `seed` and `reason` of each.

    Raises:
        IntegrityError: the list cannot be read, or does not fit its sum.
    """
    path = out / FAILURES
    if header.format == FORMAT and FAILURES in header.results:
        _content(path, header)
    elif header.format == FORMAT or not path.exists():
        return []
    listed = read_json(path)
    failures = listed.get("failures") if isinstance(listed, dict) else None
    if not isinstance(failures, list) or not all(_is_failure(entry) for entry in failures):
        raise IntegrityError(f"{path}: not a list of failures")
    return failures


def _is_failure(entry: object) -> bool:
    kinds = {"benchmark": str, "optimizer": str, "seed": int, "reason": str}
    if not isinstance(entry, dict) or entry.keys() != kinds.keys():
        return False
    # `type`, since a bool is an int too.
    return all(type(entry[key]) is kind for key, kind in kinds.items())


def _content(path: Path, header: StudyHeader) -> bytes:
    try:
        content = read_file(path)
    except FileNotFoundError:
        raise IntegrityError(
            f"{path}: no such file; the study is not complete, replay it again"
        ) from None
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    if header.format == FORMAT and sha256_of_bytes(content) != header.results[path.name]:
        raise IntegrityError(
            f"{path}: changed: it does not fit its sum in {STUDY}; replay the study again"
        )
    return content


def _frame(content: bytes, path: Path) -> pd.DataFrame:
    try:
        check_parquet(BytesIO(content), LARGEST)
        return pd.read_parquet(BytesIO(content))
    except (OSError, ValueError, KeyError, TypeError, MemoryError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path}: cannot be read: {reason}") from None


def _check(frame: pd.DataFrame, header: StudyHeader, path: Path) -> None:
    """Refuse trials whose columns, types or names are not those of the study."""

    def wrong(name: str, fault: str) -> IntegrityError:
        return IntegrityError(f"{path}: column `{name}` {fault}")

    study = header.study
    optimized = {metric for name in study.benchmarks for metric in study.objectives_of(name)}
    metrics = {column(frame, METRIC, name) for name in optimized}
    bounds = [f"{CONSTRAINT}{name}" for name in study.constraints]
    for name in (*TEXTS, *NUMBERS, *metrics, *bounds):
        if name not in frame.columns:
            raise wrong(name, "is missing")
        is_right = types.is_string_dtype if name in TEXTS else types.is_numeric_dtype
        if not is_right(frame[name]):
            raise wrong(name, f"holds {frame[name].dtype}")
    allowed: dict[str, Container[object]] = {
        "optimizer": study.optimizers,
        "seed": range(study.seeds),
        "status": STATUSES,
    }
    if header.benchmarks:
        allowed["benchmark"] = [benchmark.name for benchmark in header.benchmarks.values()]
    for name, values in allowed.items():
        for value in frame[name].unique().tolist():
            if value not in values:
                raise wrong(name, f"holds {value!r}, which is not the study's")
