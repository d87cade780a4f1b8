"""Call libraries that like to reach the hub and to talk, without letting them do either."""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")


@contextmanager
def alone(logger_name: str) -> Iterator[None]:
    """Keep a library off the network and off the terminal, and leave no setting behind.

    `logger_name` is the library's logger; what the library writes to stderr is thrown away.
    """
    from huggingface_hub import constants

    before = {name: os.environ.get(name) for name in OFFLINE}
    hub, logger = constants.HF_HUB_OFFLINE, logging.getLogger(logger_name)
    level = logger.level
    try:
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
        constants.HF_HUB_OFFLINE = True  # the variable was read when the hub was imported
        logger.setLevel(logging.ERROR)
        with redirect_stderr(io.StringIO()):  # some of its progress bars cannot be turned off
            yield
    finally:
        logger.setLevel(level)
        constants.HF_HUB_OFFLINE = hub
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
