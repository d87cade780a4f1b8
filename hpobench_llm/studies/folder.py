"""A study's folder: its header, the replays that are done, and what they are merged into.

`study.json` says what the study is. While it runs, `parts/` holds a file for each replay. At the
end `trajectories.parquet` has the trials of all replays that worked, with the optimizers' measured
seconds beside it, and `failures.json` lists the others, if there are any; as long as it does,
`parts/` stays, so that another start has to run those alone.
"""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpobench_llm.artefacts import read_json, write_atomically, write_json
from hpobench_llm.errors import IntegrityError, SpecError
from hpobench_llm.provenance import git_revision
from hpobench_llm.studies.runner import identity
from hpobench_llm.studies.study import Cell, StudySpec
from hpobench_llm.studies.trajectory import save_trials

FORMAT = 2
STUDY, TRAJECTORIES, FAILURES = "study.json", "trajectories.parquet", "failures.json"
NO_MATTER = ("title", "timeout_seconds")  # keys that change no trajectory


class Folder:
    """The folder of one study.

    Args:
        path: the folder; it is made if there is none.
        spec: the study.

    Raises:
        SpecError: the folder holds another study, or this one against another table or with other
            libraries.
    """

    def __init__(self, path: Path, spec: StudySpec) -> None:
        self.path, self.spec = path, spec
        benchmarks = {name: spec.load(name) for name in spec.benchmarks}
        self._names = {name: benchmark.name for name, benchmark in benchmarks.items()}
        related = [spec.load(name) for name in spec.related()]
        self.identity = identity(spec, [*benchmarks.values(), *related])
        self._parts = path / "parts"
        header = {"format": FORMAT, "study": spec.plain(), **self.identity}
        if (path / STUDY).exists():
            self._compare(read_json(path / STUDY), header)
        else:
            write_json(path / STUDY, {**header, "code": git_revision()})

    def missing(self) -> list[Cell]:
        """Return the replays that are not done."""
        if self._complete():
            return []
        return [cell for cell in self.spec.cells() if not self._part(cell).exists()]

    def keep(self, cell: Cell, trajectory: bytes) -> None:
        """Write the trajectory of a replay that is done."""
        write_atomically(self._part(cell), trajectory)

    def merge(self, failed: dict[Cell, str]) -> None:
        """Write what the study has come to; every replay is either done or has `failed`."""
        if not self._complete():
            self._list(failed)
            done = [cell for cell in self.spec.cells() if cell not in failed]
            if done:
                parts = [pq.ParquetFile(self._part(cell)).read(use_threads=False) for cell in done]
                # Benchmarks have axes of their own: where one lacks a column it is empty.
                whole = pa.concat_tables(parts, promote_options="permissive").to_pandas()
                save_trials(whole, self.path / TRAJECTORIES)
            if failed:
                return
            (self.path / FAILURES).unlink(missing_ok=True)
        shutil.rmtree(self._parts, ignore_errors=True)

    def _complete(self) -> bool:
        return (self.path / TRAJECTORIES).exists() and not (self.path / FAILURES).exists()

    def _list(self, failed: dict[Cell, str]) -> None:
        """Write `failures.json`, before the trajectories: without it they would seem complete."""
        if failed or (self.path / FAILURES).exists():
            listed = [
                {
                    "benchmark": self._names[cell.benchmark],
                    "optimizer": cell.optimizer,
                    "seed": cell.seed,
                    "reason": reason,
                }
                for cell, reason in failed.items()
            ]
            write_json(self.path / FAILURES, {"failures": listed})

    def _part(self, cell: Cell) -> Path:
        """Return the file of a replay; a benchmark may be a path, so its number stands for it."""
        number = self.spec.benchmarks.index(cell.benchmark)
        return self._parts / f"{number}-{quote(cell.optimizer, safe='')}-{cell.seed}.parquet"

    def _compare(self, known: Any, header: dict[str, Any]) -> None:
        for key in ("format", "study", "tables", "versions"):
            then = known.get(key) if isinstance(known, dict) else None
            if _essence(then) != _essence(header[key]):
                raise SpecError(
                    self.path / STUDY,
                    key,
                    "the folder holds another study (or one of other versions); "
                    "give another --out",
                )


def _essence(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: value[key] for key in value if key not in NO_MATTER}
    return value


def read_trajectories(out: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the header of a study that has run to its end and its trials.

    Replays that failed are not among them: `read_failures` tells which.

    Raises:
        IntegrityError: the folder holds no such study, or a file cannot be read.
    """
    header = read_json(out / STUDY)
    needed = {"format", "study", "tables", "versions", "code"}
    if not isinstance(header, dict) or header.get("format") != FORMAT or needed - header.keys():
        raise IntegrityError(f"{out / STUDY}: not the header of a study of format {FORMAT}")
    path = out / TRAJECTORIES
    if not path.exists():
        raise IntegrityError(f"{path}: no such file; the study is not complete, replay it again")
    try:
        return header, pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from None


def read_failures(out: Path) -> list[dict[str, Any]]:
    """Return the replays that failed: `benchmark`, `optimizer`, `seed` and `reason` of each.

    Raises:
        IntegrityError: the list cannot be read.
    """
    if not (out / FAILURES).exists():
        return []
    listed = read_json(out / FAILURES)
    found = listed.get("failures") if isinstance(listed, dict) else None
    keys = {"benchmark", "optimizer", "seed", "reason"}
    if not isinstance(found, list) or any(
        not isinstance(f, dict) or set(f) != keys for f in found
    ):
        raise IntegrityError(f"{out / FAILURES}: not a list of failures")
    return found
