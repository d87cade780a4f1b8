"""Join a Ray cluster."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

import ray

from hpobench_llm.errors import HpobenchError

SECONDS_TO_CONNECT = 10


def connect(address: str, option: str) -> None:
    """Join the cluster at `address`; `auto` is that of this machine, or one that is started.

    Ray itself tries for minutes to reach an address where nobody is: we look first. `option` is
    what the address was given as.

    Raises:
        HpobenchError: there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _started_here()
    if address == "":
        ray.init(address="local", include_dashboard=False, **quiet)
        return
    try:
        _knock(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:  # a ConnectionError is an OSError
        raise HpobenchError(f"{option} {address}: no Ray cluster there: {error}") from None


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()


def _started_here() -> str:
    """Return the address that `ray start` has noted on this machine; empty if nobody is there."""
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        address = note.read_text(encoding="utf-8").strip()
        _knock(address)
    except (OSError, ValueError):  # no note, or one of a cluster that was killed
        return ""
    return address
