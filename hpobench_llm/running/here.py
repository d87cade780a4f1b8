"""Tasks in this process, one after another: for what no other process could import.

A task that hangs is waited for, and one that ends its process ends this one.
"""

from collections.abc import Callable, Generator, Iterable

from hpobench_llm.running.tasks import Answer, R, T, attempt


def here(tasks: Iterable[T], handle: Callable[[T], R]) -> Generator[Answer[T, R], None, None]:
    """Yield the answer to each task; Ctrl-C ends them all."""
    for task in tasks:
        yield attempt(handle, task, caught=(Exception, SystemExit))
