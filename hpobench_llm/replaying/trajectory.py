"""The trials of one optimizer and seed on one benchmark, in the order in which they finished."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

import pandas as pd

from hpobench_llm.artefacts import frame_to_parquet, write_atomically
from hpobench_llm.benchmarks.base import CONSTRAINT, Benchmark
from hpobench_llm.metrics import Fidelity
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.entry import Entry
from hpobench_llm.provenance import versions
from hpobench_llm.replaying.clock import TrialRun
from hpobench_llm.replaying.columns import CONFIG, FIDELITY, METRIC, short_names
from hpobench_llm.space import Value

FORMAT = "3"  # written into the files as `hpobench_llm.trajectories`
KEYS = ("benchmark", "optimizer", "seed")
MEASURED = "optimizer_seconds"


@dataclass(frozen=True, slots=True, repr=False)
class Trajectory:
    """One replay, as a frame with one row a trial.

    Its columns:

    `benchmark, optimizer, seed, trial, resumes` (the trial that it continues, if any), `worker,
    config_id`, `config.<name>` for each hyperparameter, `fidelity.<name>` for each fidelity axis,
    `status`, `metric.<name>` for each objective (own units), `cost_seconds` and `tokens` of this
    trial alone, less what it resumed, `started_seconds` and `finished_seconds` on the simulated
    clock, and `optimizer_seconds`, the optimizer's own measured time for suggesting and learning
    the trial, with the time in which it found that it has to wait, or that it has ended.

    `constraint_<name>` is the excess of a trial over a bound of the benchmark: at most 0 if it is
    within. `duplicate` says that the same configuration was evaluated at the same
    fidelity in an earlier row. Each row also has what differs between optimizers:
    `startup_trials`, `liar` and `seeding` (see `Optimizer`), and `optimizer_version`, the library
    that does the work and its version.
    """

    frame: pd.DataFrame

    @staticmethod
    def of(
        benchmark: Benchmark,
        name: str,
        entry: Entry,
        optimizer: Optimizer,
        runs: list[TrialRun],
    ) -> "Trajectory":
        """Return the trajectory of runs in the order in which they finished.

        `name` is how the study calls the `optimizer`; `entry` is its entry in the registry.
        """
        # A configuration's id is a hash, and optimizers come back to the same ones.
        ids: dict[tuple[Value, ...], str] = {}
        for run in runs:
            values = tuple(run.trial.config.values())
            if values not in ids:
                ids[values] = benchmark.space.config_id(run.trial.config)
        axes = [axis.name for axis in benchmark.fidelities]
        trials = [run.trial for run in runs]
        columns: dict[str, object] = {
            "benchmark": benchmark.name,
            "optimizer": name,
            "seed": optimizer.seed,
            "trial": [trial.number for trial in trials],
            "resumes": pd.array([trial.resumes for trial in trials], dtype="Int64"),
            "worker": [run.worker for run in runs],
            "config_id": [ids[tuple(trial.config.values())] for trial in trials],
        }
        columns |= {
            f"{CONFIG}{key}": [trial.config[key] for trial in trials]
            for key in benchmark.space.names
        }
        columns |= {
            f"{FIDELITY}{axis}": [run.levels[i] for run in runs] for i, axis in enumerate(axes)
        }
        columns["status"] = [run.evaluation.status for run in runs]
        columns |= {
            f"{METRIC}{metric.name}": [
                run.evaluation.metrics.get(metric.name, math.nan) for run in runs
            ]
            for metric in optimizer.objectives
        }
        columns |= {
            f"{CONSTRAINT}{c.name}": [run.evaluation.constraints[c.name] for run in runs]
            for c in benchmark.constraints
        }
        columns["cost_seconds"] = [run.seconds for run in runs]
        columns["tokens"] = [run.tokens for run in runs]
        columns["started_seconds"] = [run.started for run in runs]
        columns["finished_seconds"] = [run.finished for run in runs]
        columns["duplicate"] = _duplicates(runs)
        columns["startup_trials"] = optimizer.startup_trials
        columns["liar"] = optimizer.liar
        columns["seeding"] = optimizer.seeding
        columns["optimizer_version"] = _library(entry.distribution or "hpobench-llm")
        columns[MEASURED] = [run.optimizer_seconds for run in runs]
        return Trajectory(pd.DataFrame(columns))

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the trials with short names: `lr`, `step`, `val_loss`.

        Columns that would then share a name, such as a hyperparameter called `status`, keep their
        kind: `config.status`.

        Example:
            >>> from hpobench_llm import replay
            >>> frame = replay("toy-bowl", "random", budget=5, seed=0).to_frame()
            >>> frame["trial"].tolist()
            [0, 1, 2, 3, 4]
        """
        return self.frame.rename(columns=short_names(self.frame.columns))

    def in_full(self, fidelities: Sequence[Fidelity], *, checkpoints: bool = True) -> float:
        """Return how many runs in full all trials come to.

        A trial at a quarter of a fidelity counts a quarter; with `checkpoints`, a trial that
        resumes another counts what it adds.
        """
        shares = pd.Series(1.0, index=self.frame["trial"].to_numpy())
        for axis in fidelities:
            shares *= self.frame[f"{FIDELITY}{axis.name}"].to_numpy(dtype=float) / axis.full
        resumed = self.frame["resumes"].dropna().to_list() if checkpoints else []
        return float(shares.sum() - shares.loc[resumed].sum())

    def __repr__(self) -> str:
        first = self.frame.iloc[0]
        return (
            f"<trajectory of {first['optimizer']} on {first['benchmark']}, seed {first['seed']}: "
            f"{len(self.frame)} trials>"
        )

    def _repr_html_(self) -> str:
        """Return the trials for a notebook, as pandas shows them."""
        return f"<p>{escape(repr(self))}</p>{self.to_frame().to_html(max_rows=10)}"

    def save(self, path: str | Path) -> Path:
        """Write the trials as Parquet; equal replays write equal bytes.

        `optimizer_seconds` is measured, so it differs from replay to replay: it goes into a
        second file beside the first, `<stem>.optimizer_seconds.parquet`.

        Example:
            >>> from hpobench_llm import replay
            >>> replay("toy-bowl", "random", budget=5, seed=0).save("trajectory.parquet").name
            'trajectory.parquet'
        """
        return save_trials(self.frame, Path(path))


@cache
def _library(distribution: str) -> str:
    return f"{distribution} {versions(distribution).get(distribution, '')}".rstrip()


def _duplicates(runs: list[TrialRun]) -> list[bool]:
    earlier, duplicate = set(), []
    for run in runs:
        key = (*run.trial.config.values(), *run.levels)
        duplicate.append(key in earlier)
        earlier.add(key)
    return duplicate


def save_trials(frame: pd.DataFrame, path: Path) -> Path:
    """Write trials to `path`, and their measured seconds beside it; returns `path`."""
    # The trials are written last: a file of trials then means that the whole replay is there.
    seconds = frame[[*KEYS, "trial", MEASURED]]
    write_atomically(path.with_name(f"{path.stem}.{MEASURED}.parquet"), trials_to_parquet(seconds))
    write_atomically(path, trials_to_parquet(frame.drop(columns=MEASURED)))
    return path


def trials_to_parquet(frame: pd.DataFrame) -> bytes:
    """Return trials as Parquet with the format's number; equal trials give equal bytes."""
    return frame_to_parquet(frame, {"hpobench_llm.trajectories": FORMAT})
