"""The optimizers as people read them: what each can do, its library and what it costs."""

from collections.abc import Iterable, Mapping
from itertools import chain
from textwrap import wrap
from typing import Final

from hpobench_llm.optimizers.entry import EntryColumns
from hpobench_llm.optimizers.measured import suggestion_seconds
from hpobench_llm.optimizers.registry import list_optimizers

_HEADINGS = ("", "objectives", "fidelity", "constr.", "transfer", "library", "time", "summary")
_FLAGS: Final = ("fidelity", "constraints", "transfer")
_DISPENSABLE = ("summary", "library")  # where there is no room for all
_FOOT = (
    "objectives: 1, or 1+ for any number. constr.: takes constraints into account; to the others "
    "a trial that breaks one has failed.",
    "time: of a suggestion, in a run of 100 trials on lora-nano, one thread; - where the "
    "installed library version was not measured.",
)
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


class ListedOptimizer(EntryColumns):
    """What is known of an optimizer, as plain JSON values."""

    suggestion_seconds: float | None


def columns() -> dict[str, ListedOptimizer]:
    """Return what is known of each optimizer, as plain JSON values."""
    return {
        name: {**entry.columns(), "suggestion_seconds": suggestion_seconds(name, entry)}
        for name, entry in list_optimizers().items()
    }


def lines(optimizers: Mapping[str, ListedOptimizer], width: int | None) -> list[str]:
    """Return `columns` as text, a heading a family.

    Where `width` is too small, first the summaries are left out, then the libraries.

    Plug-ins that cannot be used come last, with the reason in full.
    """
    sound = {name: shown for name, shown in optimizers.items() if not shown["broken"]}
    families: dict[str, list[list[str]]] = {}
    for name, shown in sound.items():
        families.setdefault(shown["family"], []).append(_cells(name, shown))
    rows = list(chain.from_iterable(families.values()))
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    # First with all columns, then without one more at a time, until the lines fit.
    for left_out in (None, *_DISPENSABLE):
        if left_out is not None:
            widths[_HEADINGS.index(left_out)] = 0
        text = [_line(_HEADINGS, widths)]
        for family, members in families.items():
            text += [family, *(_line(row, widths) for row in members)]
        if width is None or max(map(len, text)) <= width:
            break
    text += [line for part in _FOOT for line in wrap(part, width or 100)]
    broken = {name: shown for name, shown in optimizers.items() if shown["broken"]}
    if broken:
        text += ["plug-ins that cannot be used"]
        text += [f"  {name}: {shown['broken']}" for name, shown in broken.items()]
    return text


def _cells(name: str, shown: ListedOptimizer) -> list[str]:
    library = f"{shown['distribution']} {shown['installed'] or '(missing)'}"
    seconds = shown["suggestion_seconds"]
    return [
        name,
        "1" if shown["objectives"] == "one" else "1+",
        *("yes" if shown[flag] else "-" for flag in _FLAGS),
        library if shown["distribution"] else "our own",
        "-" if seconds is None else _time(seconds),
        shown["summary"],
    ]


def _time(seconds: float) -> str:
    # What rounds to 1 of a unit is shown in it, and not as 1000 of the next smaller one.
    size, unit = next((u for u in _UNITS if seconds >= 0.9995 * u[0]), _UNITS[-1])
    return f"{float(f'{seconds / size:.2g}'):g} {unit}"


def _line(cells: Iterable[str], widths: list[int]) -> str:
    columns = zip(cells, widths, strict=True)
    spaced = (cell.ljust(width) for cell, width in columns if width)
    return f"  {'  '.join(spaced)}".rstrip()
