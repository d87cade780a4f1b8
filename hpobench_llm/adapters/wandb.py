"""Trials of a live study in Weights & Biases: a run a replay, its trials as steps.

The environment decides where they go (`WANDB_MODE=offline`, `WANDB_BASE_URL`, ...). A replay that
begins again goes on in its run.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpobench_llm.artefacts import sha256_of_bytes
from hpobench_llm.errors import HpobenchError, MissingDependencyError


class WeightsAndBiases:
    """Logs metrics, best, costs and hyperparameters of every trial to a project.

    Args:
        project: its name.
        folder: the study's; W&B's own files go there.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    def __init__(self, project: str, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingDependencyError("wandb", "wandb", "--wandb") from None
        self._wandb, self._project, self._folder = wandb, project, folder
        self._runs: dict[str, Any] = {}

    def add(
        self,
        replay: str,
        step: int,
        hyperparameters: Mapping[str, float | str],
        scalars: Mapping[str, float],
        *,
        is_new: bool,
    ) -> None:
        """Log the trial that ended as the `step`-th of its replay, unless W&B has that step.

        Raises:
            HpobenchError: W&B refuses or cannot be reached, or its files cannot be written.
        """
        try:
            if replay not in self._runs:
                self._runs[replay] = self._wandb.init(
                    project=self._project,
                    name=replay,
                    # An id that a restart finds again: W&B then resumes the run.
                    id=sha256_of_bytes(os.fsencode(f"{self._folder.resolve()}\n{replay}"))[:16],
                    resume="allow",
                    dir=str(self._folder),
                    reinit="create_new",
                    settings=self._wandb.Settings(silent=True, console="off"),
                )
            run = self._runs[replay]
            if step >= run.step:  # W&B ignores a step before its last
                config = {f"config.{name}": value for name, value in hyperparameters.items()}
                run.log({**scalars, **config}, step=step)
        except (self._wandb.Error, OSError) as error:
            reason = " ".join(str(error).split())  # W&B's errors have several lines
            raise HpobenchError(
                f"--wandb {self._project}: {reason}; runs that have ended are kept"
            ) from None

    def close(self) -> None:
        """Finish all runs."""
        for run in self._runs.values():
            run.finish()
