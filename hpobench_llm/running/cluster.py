"""Join a Ray cluster."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import ray.util
from ray._private import ray_constants

from hpobench_llm.errors import HpobenchError

SECONDS_TO_CONNECT = 10
LOOPBACK = "127.0.0.1"


def connect(address: str, option: str) -> None:
    """Join the cluster at `address`; `auto` is that of this machine, or one that is started.

    One that is started listens on the loopback device alone. Ray itself tries for minutes to
    reach an address where nobody is: we look first. `option` is what the address was given as.

    Raises:
        HpobenchError: there is no cluster at the address, or none can be started.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _started_here()
    if address == "":
        with _on_loopback():
            ray.init(address="local", include_dashboard=False, **quiet)
        if ray.util.get_node_ip_address() != LOOPBACK:
            ray.shutdown()
            raise HpobenchError(
                f"this Ray ({ray.__version__}) listens on the network, with no guard: start a "
                f"cluster where that is meant (ray start --head) and give its address as {option}"
            )
        return
    try:
        _knock(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:  # a ConnectionError is an OSError
        raise HpobenchError(f"{option} {address}: no Ray cluster there: {error}") from None


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a cluster that is started inside be this machine's alone, as Ray's are on macOS.

    Whoever reaches Ray's ports may run anything, and it listens on all of a Linux machine's.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    named = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR)
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"  # for the processes it starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR)
        if named is not None:
            os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = named


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
