"""The names of the sources that can be imported, without loading their modules."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

GENERIC = "generic"
# Each is a module of this package, `-` spelled `_`, with a function `drafts`.
UPSTREAM = ("tribes", "tinker-sft", "steplaw")
SOURCES = (*UPSTREAM, GENERIC)


def drafts_of(source: str) -> Callable[..., list[Any]]:
    """Return the function that makes drafts of an upstream source's files.

    It takes the folder of the files, or None for a download, and `allow_changed`.
    """
    module = import_module(f"{__package__}.{source.replace('-', '_')}")
    function: Callable[..., list[Any]] = module.drafts
    return function
