"""Read what a study has come to: nothing is used before it fits its sum, and no code is run."""

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
from hpobench_llm.studies.header import FORMAT, STUDY, Header
from hpobench_llm.tables.parquet import check_parquet

TRAJECTORIES, FAILURES = "trajectories.parquet", "failures.json"
SECONDS = f"trajectories.{MEASURED}.parquet"
LARGEST = 2**34  # bytes of trials when decoded


def read_trajectories(out: Path) -> tuple[Header, pd.DataFrame]:
    """Return the header of a study that has run to its end, and its trials.

    Replays that failed are not among them: `read_failures` tells which. The trials of a study of
    format 2 have the names that they had then: see `columns.with_kinds`.

    Raises:
        IntegrityError: the folder holds no such study, or a file cannot be read, does not fit its
            sum, or is not what a study writes.
    """
    header, path = Header.read(out / STUDY), out / TRAJECTORIES
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


def read_failures(out: Path, header: Header) -> list[FailedReplay]:
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
    found = listed.get("failures") if isinstance(listed, dict) else None
    kinds = {"benchmark": str, "optimizer": str, "seed": int, "reason": str}
    if not isinstance(found, list) or any(
        not isinstance(one, dict)
        or one.keys() != kinds.keys()
        or any(type(one[key]) is not kind for key, kind in kinds.items())
        for one in found
    ):
        raise IntegrityError(f"{path}: not a list of failures")
    return found


def _content(path: Path, header: Header) -> bytes:
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


def _check(frame: pd.DataFrame, header: Header, path: Path) -> None:
    """Refuse trials whose columns, types or names are not those of the study."""

    def wrong(name: str, what: str) -> IntegrityError:
        return IntegrityError(f"{path}: column `{name}` {what}")

    study = header.study
    optimized = {name for one in study.benchmarks for name in study.objectives_of(one)}
    metrics = {column(frame, METRIC, name) for name in optimized}
    bounds = [f"{CONSTRAINT}{name}" for name in study.constraints]
    for name in (*TEXTS, *NUMBERS, *metrics, *bounds):
        if name not in frame.columns:
            raise wrong(name, "is missing")
        if not (types.is_string_dtype if name in TEXTS else types.is_numeric_dtype)(frame[name]):
            raise wrong(name, f"holds {frame[name].dtype}")
    known: dict[str, Container[object]] = {
        "optimizer": study.optimizers,
        "seed": range(study.seeds),
        "status": STATUSES,
    }
    if header.benchmarks:
        known["benchmark"] = [benchmark.name for benchmark in header.benchmarks.values()]
    for name, values in known.items():
        for value in frame[name].unique().tolist():
            if value not in values:
                raise wrong(name, f"holds {value!r}, which is not the study's")
