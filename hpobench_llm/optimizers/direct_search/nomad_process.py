"""NOMAD in a process of its own: the other end of `hpobench_llm.optimizers.direct_search.nomad`.

The first line read from stdin is the setup (`NomadSetup`). From then on every line written to
stdout is a point that NOMAD wants evaluated, or says once how the run ended. Every further line
read has the outputs of the last point: its losses, then its constraints. All lines are JSON. The
module imports nothing but the standard library and PyNomad, so that a run starts in a tenth of a
second.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import IO, Any


def main() -> None:
    """Run one optimization, asking the other process for every output."""
    lines = sys.stdin.buffer
    # NOMAD prints to the process's stdout whatever its display degree says: the pipe moves to
    # another descriptor, and what is printed joins the errors.
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    setup = json.loads(lines.readline())

    import PyNomad

    def evaluate(x: Any) -> int:
        # PyNomad prints an exception of its callback and goes on without it, so none may leave.
        try:
            _send(pipe, {"point": [x.get_coord(i) for i in range(x.size())]})
            line = lines.readline()
            if not line:  # the parent is gone, or has closed this optimizer
                os._exit(0)
            x.setBBO(" ".join(repr(float(v)) for v in json.loads(line)["outputs"]).encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        return 1

    # NOMAD restarts its generator only where SEED differs from the seed in force: with 0 in force,
    # `seed + 1` always does.
    PyNomad.setSeed(0)
    result = PyNomad.optimize(
        evaluate, setup["start"], setup["lower"], setup["upper"], setup["parameters"]
    )
    _send(pipe, {"end": result["stop_reason"], "flag": result["run_flag"]})


def _send(pipe: IO[bytes], message: Mapping[str, object]) -> None:
    pipe.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
