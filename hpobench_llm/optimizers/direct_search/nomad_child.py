"""NOMAD's child process, from its parent's side; what runs in it is `nomad_process`."""

import json
import os
import sys
from selectors import EVENT_READ, DefaultSelector
from signal import Signals
from subprocess import PIPE, Popen
from tempfile import TemporaryFile
from typing import IO, TypedDict, cast

from hpobench_llm.errors import OptimizerError


class NomadSetup(TypedDict):
    """The first message to the child: where to start, bounds, and NOMAD's own parameters."""

    start: list[float]
    lower: list[float]
    upper: list[float]
    parameters: list[str]


class Outputs(TypedDict):
    """What was measured at the point that was asked for."""

    outputs: list[float]


class NomadAnswer(TypedDict, total=False):
    """What the child says: the next point, or how the optimization ended."""

    point: list[float]
    end: str
    flag: int


class Child:
    """The child that runs NOMAD, and the JSON lines exchanged with it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        # A file, not a pipe: nobody reads while NOMAD prints.
        self._printed = TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._child = Popen(
            # -P and PYTHONPATH: the child imports what this process would, from anywhere.
            [sys.executable, "-P", "-m", "hpobench_llm.optimizers.direct_search.nomad_process"],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._printed,
            bufsize=0,  # what is read ahead would be invisible to the selector
            # Studies run in parallel, NOMAD need not: its trials come one by one.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        self._stdin = cast("IO[bytes]", self._child.stdin)  # PIPE makes both
        self._stdout = cast("IO[bytes]", self._child.stdout)

    def send(self, message: NomadSetup | Outputs) -> None:
        """Write one message."""
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise self._death() from None  # the child is gone: how it ended says more

    def receive(self) -> NomadAnswer:
        """Wait for one message."""
        with DefaultSelector() as selector:
            selector.register(self._stdout, EVENT_READ)
            if not selector.select(self._timeout_seconds):
                raise OptimizerError(
                    f"NOMAD's process gave no sign for {self._timeout_seconds:g} s"
                    f"{self._last_words()}"
                )
        line = self._stdout.readline()
        if not line:
            raise self._death()
        message: NomadAnswer = json.loads(line)
        return message

    def close(self) -> None:
        """End the process, and reap it."""
        self._child.kill()  # it reads nothing while NOMAD searches, so it cannot be asked to end
        with self._child:  # closes the pipes and waits
            self._printed.close()

    def _death(self) -> OptimizerError:
        status = self._child.wait(self._timeout_seconds)
        how = f"signal {Signals(-status).name}" if status < 0 else f"exit status {status}"
        return OptimizerError(f"NOMAD's process ended with {how}{self._last_words()}")

    def _last_words(self) -> str:
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        return f"; it last printed: {printed[-1]}" if printed else "; it printed nothing"
