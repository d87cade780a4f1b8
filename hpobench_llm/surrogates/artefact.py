"""A fitted surrogate on disk: one LightGBM text a target, `surrogate.json`, `quality.json`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import (
    read_json,
    sha256_of_bytes,
    sha256_of_text,
    write_atomically,
    write_json,
)
from hpobench_llm.errors import IntegrityError
from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Space
from hpobench_llm.surrogates.models import Regressor

FORMAT = 1
SURROGATE_FILE, QUALITY_FILE = "surrogate.json", "quality.json"
COST = "cost_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """One regressor a metric and one for the cost, with what they were fitted on."""

    name: str
    table: str
    table_sha256: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    regressors: dict[str, Regressor]
    quality: dict[str, Any]
    provenance: dict[str, Any]

    def write(self, folder: Path) -> Path:
        """Write all files; the one that names the others comes last."""
        files = {}
        for target, regressor in self.regressors.items():
            text = regressor.to_text()
            write_atomically(folder / f"{target}.txt", text)
            files[target] = {"sha256": sha256_of_text(text), "log": regressor.log}
        write_json(folder / QUALITY_FILE, self.quality)
        write_json(
            folder / SURROGATE_FILE,
            {
                "format": FORMAT,
                "name": self.name,
                "table": self.table,
                "table_sha256": self.table_sha256,
                "space": self.space.to_json(),
                "fidelities": [fidelity.to_json() for fidelity in self.fidelities],
                "metrics": [metric.to_json() for metric in self.metrics.values()],
                "targets": files,
                "provenance": self.provenance,
            },
        )
        return folder

    @staticmethod
    def load(folder: str | Path) -> "Surrogate":
        """Read and verify a surrogate.

        Raises:
            IntegrityError: a file is missing, damaged, or of another format.
        """
        folder = Path(folder)
        where = folder / SURROGATE_FILE
        raw = read_json(where)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise IntegrityError(f"{where}: not a surrogate of format {FORMAT}")
        try:
            metrics = [Metric.from_json(metric) for metric in raw["metrics"]]
            return Surrogate(
                name=raw["name"],
                table=raw["table"],
                table_sha256=raw["table_sha256"],
                space=Space.from_json(raw["space"]),
                fidelities=tuple(Fidelity.from_json(f) for f in raw["fidelities"]),
                metrics={metric.name: metric for metric in metrics},
                regressors={
                    target: _read_regressor(folder / f"{target}.txt", entry)
                    for target, entry in raw["targets"].items()
                },
                quality=read_json(folder / QUALITY_FILE),
                provenance=raw["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{where}: not complete: {error!r}") from None


def _read_regressor(path: Path, entry: dict[str, Any]) -> Regressor:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from None
    digest = sha256_of_bytes(content)
    if digest != entry["sha256"]:
        raise IntegrityError(
            f"{path}: sha256 is {digest}, but {SURROGATE_FILE} says {entry['sha256']}"
        )
    return Regressor.from_text(content.decode(), log=bool(entry["log"]), where=path)
