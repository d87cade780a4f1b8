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

    One that is started listens on the loopback device alone. `option` is the option of the command
    line that holds the address, for messages.

    Raises:
        HpobenchError: there is no cluster at the address, or none can be started.
    """
    # Ray reports its use over the network unless it is told not to.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _started_here()
    if address == "":
        with _on_loopback():
            ray.init(address="local", include_dashboard=False, **quiet)
        # The settings of `_on_loopback` are private to Ray: another version may ignore them.
        if ray.util.get_node_ip_address() != LOOPBACK:
            ray.shutdown()
            raise HpobenchError(
                f"this Ray ({ray.__version__}) listens on the network, with no guard: start a "
                f"cluster where that is meant (ray start --head) and give its address as {option}"
            )
        return
    try:
        _knock(address)  # Ray itself would try for minutes to reach an address where nobody is
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:  # a ConnectionError is an OSError
        raise HpobenchError(f"{option} {address}: no Ray cluster there: {error}") from None


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a cluster that is started inside be this machine's alone, as Ray's are on macOS.

    On Linux Ray listens on every network of the machine, and whoever reaches its ports may run
    anything.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    variable = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR)
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"  # for the processes it starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR)
        if variable is not None:
            os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = variable


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()


def _started_here() -> str:
    """Return the address that `ray start` has noted on this machine; empty without a cluster."""
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        address = note.read_text(encoding="utf-8").strip()
        _knock(address)
    except (OSError, ValueError):  # no note, or one of a cluster that was killed
        return ""
    return address
