"""A task that is run where it can do no harm, and what came of it."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hpobench_llm.errors import HpobenchError

T = TypeVar("T")
R = TypeVar("R")
LONGEST_REASON = 500  # characters of somebody else's message


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T, R]):
    """What came of a task.

    Args:
        task: the task.
        value: its result; None if it failed.
        failure: why it failed, on one line; empty if it did not.
        refused: it failed by an error that is raised on purpose: an `HpobenchError` without
            another as its cause.
        hung: it failed because its time was up.
        died: it failed because its process ended in the middle of it.
        seconds: the wall seconds that it took, if it did not fail.
    """

    task: T
    value: R | None = None
    failure: str = ""
    refused: bool = False
    hung: bool = False
    died: bool = False
    seconds: float = 0.0


def attempt(
    handle: Callable[[T], R],
    task: T,
    caught: tuple[type[BaseException], ...] = (BaseException,),
) -> Answer[T, R]:
    """Run a task; an exception of the kinds `caught` becomes an answer: `SystemExit` as well."""
    started = time.perf_counter()
    try:
        value = handle(task)
    except HpobenchError as error:
        cause = error.__cause__
        failure = _one_line(str(error)) + (f" {_raised_at(cause)}" if cause else "")
        return Answer(task=task, failure=failure, refused=cause is None)
    except caught as error:
        failure = f"{_one_line(f'{type(error).__name__}: {error}')} {_raised_at(error)}"
        return Answer(task=task, failure=failure)
    return Answer(task=task, value=value, seconds=time.perf_counter() - started)


def nothing() -> None:
    """Prepare nothing. Unlike a lambda it has a name, so it can be sent to other processes."""


def hung(task: T, seconds: float) -> Answer[T, R]:
    """Return that a task was ended because its time was up."""
    failure = f"hung: it was ended after {seconds:.0f} s (`timeout_seconds`)"
    return Answer(task=task, failure=failure, hung=True)


def _one_line(message: str) -> str:
    return " ".join(message.split())[:LONGEST_REASON]


def _raised_at(error: BaseException) -> str:
    """Return the line that raised an error which nobody foresaw."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"({frame.filename}:{frame.lineno}, in {frame.name})"
