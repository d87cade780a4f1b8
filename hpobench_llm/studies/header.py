"""`study.json`: what a study is, what its replays follow from, and the sums of its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from hpobench_llm.artefacts import canonical_json, read_json, sha256_of_text, write_json
from hpobench_llm.benchmarks.base import Benchmark
from hpobench_llm.errors import IntegrityError, SpecError
from hpobench_llm.provenance import Revision
from hpobench_llm.spec import parse_spec
from hpobench_llm.studies.recorded import record, recorded
from hpobench_llm.studies.study import StudySpec

STUDY = "study.json"
FORMAT, OLD_FORMAT = 3, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyHeader:
    """What `study.json` says.

    Attributes:
        study: the study.
        tables: the sums of the tables, surrogates and campaigns, by benchmark.
        versions: those of Python and the libraries.
        optimizers: the sum of each optimizer's code: see `code_of`.
        benchmarks: the `record` of each, by the name that the study gives it.
        code: the commit that the study was run from.
        results: the sums of the files with its results; empty until it has some.
        format: 2 had no sums and no benchmarks, and other names of trials' columns.
    """

    study: StudySpec
    tables: dict[str, str]
    versions: dict[str, str]
    optimizers: dict[str, str] = field(default_factory=dict)
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    code: Revision = field(default_factory=lambda: Revision(commit=None, dirty=None))
    results: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @staticmethod
    def read(path: Path) -> "StudyHeader":
        """Read and verify a header.

        Raises:
            IntegrityError: it is missing, damaged, of another format, or no header.
        """
        raw = read_json(path)
        number = raw.pop("format", None) if isinstance(raw, dict) else None
        if number not in (FORMAT, OLD_FORMAT) or isinstance(number, bool):
            raise IntegrityError(f"{path}: not the header of a study of format {FORMAT}")
        try:
            if number == FORMAT and raw.pop("sha256", None) != _sum(raw):
                raise IntegrityError(f"{path}: changed: it does not fit its own sum")
            return _parse(raw, path, number)
        except SpecError as error:  # it names file and key
            raise IntegrityError(" ".join(str(error).split())) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise IntegrityError(f"{path}: not the header of a study: {reason}") from None

    def write(self, path: Path) -> None:
        """Write the header, with its own sum."""
        body = {
            "study": self.study.plain(),
            "tables": self.tables,
            "versions": self.versions,
            "optimizers": self.optimizers,
            "benchmarks": {name: record(b) for name, b in self.benchmarks.items()},
            "code": self.code,
            "results": self.results,
        }
        write_json(path, {"format": FORMAT, "sha256": _sum(body), **body})

    def with_results(self, results: dict[str, str]) -> "StudyHeader":
        """Return the header of the same study with these results."""
        return replace(self, results=results)


def _sum(body: object) -> str:
    return sha256_of_text(canonical_json(body))


def _parse(raw: dict[str, Any], path: Path, number: int) -> StudyHeader:
    keys = {entry.name for entry in fields(StudyHeader)} - {"format"}
    added = {"optimizers", "benchmarks", "results"} if number == OLD_FORMAT else set()
    needed = keys - added
    if needed - raw.keys() or raw.keys() - keys:
        raise ValueError(f"its keys are not {', '.join(sorted(needed))}")
    study = parse_spec(raw["study"], StudySpec, file=path, key="study")
    sums = {key: raw.get(key, {}) for key in ("tables", "versions", "optimizers", "results")}
    for key, values in sums.items():
        if not isinstance(values, dict) or any(not isinstance(v, str) for v in values.values()):
            raise ValueError(f"`{key}` is no mapping to text")
    benchmarks = {name: recorded(b) for name, b in raw.get("benchmarks", {}).items()}
    if number == FORMAT and benchmarks.keys() != set(study.benchmarks):
        raise ValueError("`benchmarks` are not those of the study")
    code = cast("Revision", dict(raw["code"]))
    return StudyHeader(study=study, benchmarks=benchmarks, code=code, format=number, **sums)
