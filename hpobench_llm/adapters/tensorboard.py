"""Trials of a live study as TensorBoard's events: a folder a replay, its trials as steps."""

import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from hpobench_llm.artefacts import make_folder
from hpobench_llm.errors import HpobenchError, MissingDependencyError


class TensorBoard:
    """Writes scalars (metrics, best, costs) and each trial's hyperparameters.

    Trials of replays that the folder had before are not written again.

    Raises:
        MissingDependencyError: tensorboardX is not installed.
        HpobenchError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise MissingDependencyError("tensorboardX", "tensorboard", "--tensorboard") from None
        make_folder(folder, "--tensorboard")
        self._folder, self._make = folder, SummaryWriter
        self._writers: dict[str, SummaryWriter] = {}
        self._old = {path.name for path in folder.iterdir()}

    def add(
        self,
        replay: str,
        step: int,
        hyperparameters: Mapping[str, float | str],
        scalars: Mapping[str, float],
        *,
        is_new: bool,
    ) -> None:
        """Write the trial that ended as the `step`-th of its replay.

        Raises:
            HpobenchError: it cannot be written.
        """
        name = quote(replay, safe=" ")
        if not is_new and name in self._old:
            return
        try:
            if name not in self._writers:
                # A suffix of its own, so that two starts within a second do not share a file.
                suffix = f".{time.time_ns()}"
                self._writers[name] = self._make(str(self._folder / name), filename_suffix=suffix)
            writer = self._writers[name]
            for key, value in scalars.items():
                writer.add_scalar(key, value, step)
            writer.add_hparams(dict(hyperparameters), dict(scalars), name=f"trial-{step}")
            writer.flush()
        except OSError as error:
            raise HpobenchError(
                f"--tensorboard {self._folder}: cannot be written: {error.strerror or error}; "
                "runs that have ended are kept"
            ) from None

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
