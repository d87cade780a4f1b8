"""A study of a suite: `benchmarks = "suite:lora"` stands for its problems and their objectives."""

from collections.abc import Mapping
from pathlib import Path

from hpobench_llm.benchmarks.suite import PREFIX, suite
from hpobench_llm.errors import SpecError, UnknownNameError
from hpobench_llm.plain import Toml


def expanded(raw: Mapping[str, Toml], path: Path) -> dict[str, Toml]:
    """Return the keys of a study's file with the benchmarks of the suite that they name.

    An objective in the file, for all or by benchmark, takes precedence over the suite's.

    Raises:
        UnknownNameError: there is no such suite.
        SpecError, IntegrityError: as `suite`.
    """
    if "suite" in raw:
        raise SpecError(path, "suite", 'unknown key: say `benchmarks = "suite:NAME"`')
    name = raw.get("benchmarks")
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return dict(raw)
    try:
        members = suite(name.removeprefix(PREFIX))
    except UnknownNameError as error:
        raise error.at(f"{path}: `benchmarks`") from None
    study = {
        **raw,
        "benchmarks": [member.table for member in members.problems],
        "suite": f"{members.name} {members.version}",
    }
    own = raw.get("objective", {})
    if "objectives" not in raw and isinstance(own, dict):
        study["objective"] = members.objectives | own
    return study
