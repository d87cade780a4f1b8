"""What a verification found: runs of a table beside the same runs trained again, and the verdict.

A difference counts in units of the seed noise of runs that are about as good (see `verify`), and
up to `LIMIT` is agreement: single runs of two configurations differ by 1.4 noise by chance alone,
so what stays within 2 changes no comparison. On the table's own device and library versions the
difference is 0, or rounding where the packed engine trained a run beside higher ranks. Where sums
round otherwise (there, and on other devices) a stable run still ends within 1e-4 nats. A chaotic
run (a learning rate near the edge) then ends as another seed would, and one in six of such runs
lies beyond 2 noise. So one chaotic run beyond the limit is a reason to verify more; a stable one
beyond it is a wrong value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.metrics import objective_of
from hpobench_llm.tables.table import Table

LIMIT = 2.0  # seed noises
# Where no configuration has two seeds, in nats per label token: ten times what rounding makes of a
# stable run, a tenth of the seed noise of a good one on a base of a million parameters.
LIMIT_WITHOUT_NOISE = 1e-3


def main_metric(table: Table) -> str:
    """Return the name of the metric that decides whether runs agree."""
    return objective_of(table.metadata.metrics).name


@dataclass(frozen=True, slots=True)
class SelectedRun:
    """A run to be trained again: one of the best configurations, or drawn from the others."""

    run: Run
    role: Literal["incumbent", "random"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric in both, in its own unit; `noise` is the seed noise, NaN if unknown."""

    table: float
    live: float
    noise: float = float("nan")

    @property
    def difference(self) -> float:
        """Table minus live."""
        return self.table - self.live

    @property
    def ratio(self) -> float:
        """The absolute difference in seed noises; NaN where the noise is unknown."""
        if self.noise == 0:
            return 0.0 if self.difference == 0 else float("inf")
        return abs(self.difference) / self.noise

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the limit."""
        if np.isnan(self.noise):
            return abs(self.difference) <= LIMIT_WITHOUT_NOISE
        return self.ratio <= LIMIT

    def cells(self) -> str:
        """Return the aligned columns of the report."""
        return (
            f"{self.table:>11.5f} {self.live:>11.5f} {self.difference:>+13.1e} "
            f"{self.noise:>11.5f} {self.ratio:>8.2f}".replace("nan", "  -")  # as wide as it was
        )

    def to_json(self) -> dict[str, float | None]:
        """Return plain JSON values; what is unknown or infinite is null."""
        names = ("table", "live", "difference", "noise", "ratio")
        return {name: _json(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Verified:
    """A run in the table and live; `metrics` is empty unless both ended ok, `main` decides."""

    selected: SelectedRun
    engine: str
    table_status: str
    live_status: str
    metrics: dict[str, Difference]
    main: str

    @property
    def problem(self) -> str:
        """What does not agree; empty if all does."""
        if self.table_status != self.live_status:
            return f"{self.table_status} in the table, {self.live_status} live"
        difference = self.metrics.get(self.main)
        if difference is None or difference.agrees:
            return ""
        return f"{self.main} off by {abs(difference.difference):.3g}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        run = self.selected.run
        return {
            "run_id": run.run_id,
            "config": run.config,
            "seed": run.seed,
            "role": self.selected.role,
            "engine": self.engine,
            "status": {"table": self.table_status, "live": self.live_status},
            "metrics": {name: difference.to_json() for name, difference in self.metrics.items()},
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole verification; `machine` holds what differs there, as (table, here) by name."""

    table: Table
    runs: tuple[Verified, ...]
    untrained: dict[str, Difference]
    machine: dict[str, tuple[str, str]]

    @property
    def problems(self) -> dict[str, str]:
        """What does not agree, by run."""
        return {v.selected.run.run_id: v.problem for v in self.runs if v.problem}

    def largest(self) -> dict[str, tuple[float, float]]:
        """Return each metric's largest difference and ratio (NaN: unknown) over the ok runs."""
        rows = [verified.metrics.items() for verified in self.runs]
        sizes = pd.DataFrame([{name: abs(d.difference) for name, d in row} for row in rows]).max()
        ratios = pd.DataFrame([{name: d.ratio for name, d in row} for row in rows]).max()
        return {str(name): (float(sizes[name]), float(ratios[name])) for name in sizes.index}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        meta = self.table.metadata
        return {
            "table": {"name": meta.name, "version": meta.version, "sha256": meta.table_sha256},
            "agrees": not self.problems,
            "limit": {"noises": LIMIT, "without_noise": LIMIT_WITHOUT_NOISE},
            "largest": {
                name: {"difference": _json(size), "ratio": _json(ratio)}
                for name, (size, ratio) in self.largest().items()
            },
            "runs": [verified.to_json() for verified in self.runs],
            "untrained": {
                name: difference.to_json() for name, difference in self.untrained.items()
            },
            "machine": {k: {"table": v[0], "here": v[1]} for k, v in self.machine.items()},
        }

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        yield f"{'':<20} {'':<10} {'metric':<24} {'table':>11} {'live':>11} " + (
            f"{'table - live':>13} {'seed noise':>11} {'ratio':>8}"
        )
        for verified in self.runs:
            run = verified.selected.run
            config = ", ".join(f"{name} {value}" for name, value in run.config.items())
            in_table, live = verified.table_status, verified.live_status
            status = live if in_table == live else f"{in_table} in the table, {live} live"
            yield f"{run.run_id:<20} {verified.selected.role:<10} {status}; {config}"
            for name, difference in verified.metrics.items():
                yield f"{'':<31} {name:<24} {difference.cells()}"
        yield "untrained base"
        for name, difference in self.untrained.items():
            yield f"{'':<31} {name:<24} {difference.cells()}"
        yield ""
        yield "largest over the runs that ended ok:"
        for name, (size, ratio) in self.largest().items():
            yield f"{'':<31} {name:<24} {size:>37.1e} {'':>11} {ratio:>8.2f}".replace("nan", "  -")
        if all(np.isnan(v.metrics[v.main].noise) for v in self.runs if v.metrics):
            yield (
                "limit: the seed noise is unknown (no configuration has two seeds), so "
                f"{LIMIT_WITHOUT_NOISE:g} nats per label token"
            )
        else:
            yield f"limit: {LIMIT:g} times the seed noise of {main_metric(self.table)}"
        for name, (in_table, here) in self.machine.items():
            yield f"differs from the table's: {name}: {in_table} there, {here} here"
        if not self.machine:
            yield "device, code and library versions are those of the table"
        problems = "; ".join(f"{name} {problem}" for name, problem in self.problems.items())
        if problems:
            yield f"verdict: DIFFERENT: {problems}"
        else:
            main = main_metric(self.table)
            yield (
                f"verdict: agrees: all {len(self.runs)} runs end as in the table, {main} within "
                "the limit"
            )


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None
