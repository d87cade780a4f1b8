"""The trials of one optimizer and seed on one benchmark, in the order in which they finished."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hpobench_llm.artefacts import write_frame

KEYS = ("benchmark", "optimizer", "seed")
MEASURED = "optimizer_seconds"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One replay, as a frame with one row a trial.

    Its columns:

    `benchmark, optimizer, seed, trial, worker, config_id`, the hyperparameters, one column for
    each fidelity axis, `status`, one column for each objective (own units), `cost_seconds`,
    `tokens`, `started_seconds` and `finished_seconds` on the simulated clock, and
    `optimizer_seconds`, the optimizer's own measured time for suggesting and learning the trial.
    """

    frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the trials as a frame."""
        return self.frame.copy()

    def save(self, path: str | Path) -> Path:
        """Write the trials as Parquet; equal replays write equal bytes.

        `optimizer_seconds` is measured, so it differs from replay to replay: it goes into a
        second file beside the first, `<stem>.optimizer_seconds.parquet`.
        """
        return save_trials(self.frame, Path(path))


def save_trials(frame: pd.DataFrame, path: Path) -> Path:
    """Write trials to `path`, and their measured seconds beside it; returns `path`."""
    # The trials come last: where they are, the whole replay is.
    seconds = frame[[*KEYS, "trial", MEASURED]]
    write_frame(path.with_name(f"{path.stem}.{MEASURED}.parquet"), seconds)
    write_frame(path, frame.drop(columns=MEASURED))
    return path
