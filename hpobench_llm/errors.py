"""Errors that say which rule was broken, by which value, where, and what to do about it.

Everything a user can get wrong derives from `HpobenchError`; the command lines turn it into one
line on stderr and its `exit_status`.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from hpobench_llm.installation import requirement

_LONGEST = 120  # characters of a value in an error message
_MOST_HINTS = 4  # names that a message proposes
_ELSEWHERE = {  # words of peft and transformers, and ours with their meaning
    "alpha": ("alpha_ratio", "which is alpha / rank"),
    "lora_alpha": ("alpha_ratio", "which is alpha / rank"),
    "r": ("rank", "of the adapters"),
    "learning_rate": ("lr", "the peak learning rate"),
}


class HpobenchError(Exception):
    """Root of all errors raised on purpose by this package."""

    exit_status: ClassVar[int] = 2


class SpecError(HpobenchError):
    """A spec file (campaign, base, import or study) breaks a rule."""

    def __init__(self, file: object, key: str, problem: str) -> None:
        self.file, self.key, self.problem = str(file), key, problem
        super().__init__(f"{file}: `{key}`: {problem}" if key else f"{file}: {problem}")


class UnknownNameError(HpobenchError):
    """A name (optimizer, benchmark, metric, ...) that does not exist."""

    def __init__(self, kind: str, name: object, valid: Iterable[str], where: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(valid)
        super().__init__(
            f"{where}{': ' if where else ''}unknown {kind} {shown(name)}"
            f"{nearest(name, self.known)}"
        )

    def at(self, where: str) -> "UnknownNameError":
        """Return the same error with a place at its beginning, such as the file of the name."""
        return UnknownNameError(self.kind, self.name, self.known, where)


class ConfigurationError(HpobenchError):
    """A configuration that does not lie in its space."""


class NotInTableError(HpobenchError):
    """A configuration, fidelity or seed that lies in the space but was never measured."""


class NotMeasuredError(HpobenchError):
    """A metric that exists in a table, but not at the cell that was asked for."""


class IntegrityError(HpobenchError):
    """An artefact that is damaged, foreign, or not what its sums say."""


class PoorSurrogateError(HpobenchError):
    """A surrogate that did not pass its ranking check, or was never put to it."""


class LedgerError(HpobenchError):
    """A collection folder that cannot be used as it is."""


class DataError(HpobenchError):
    """Data that cannot be used: of training, of evaluation, or of an import."""


class OptimizerError(HpobenchError):
    """An optimizer that failed, or was given a space or budget that it cannot take."""

    exit_status = 1


class MissingDependencyError(HpobenchError):
    """A library that is not installed; `extra` is empty for one of the base install."""

    def __init__(self, library: str, extra: str, needed_for: str) -> None:
        self.distribution, self.extra = library, extra
        wanted = f"'{requirement(extra)}'" if extra else library
        super().__init__(
            f"{needed_for} needs {library}, which is not installed: pip install {wanted}"
        )


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, or the valid names.

    If `name` is a word of several valid names, such as `tpe` of `tpe-nni` and `tpe-optuna`, it
    proposes these.
    """
    names = list(valid)
    target, meaning = _ELSEWHERE.get(str(name), ("", ""))
    if target in names:
        return f"; here it is {target!r}, {meaning}"
    parts = [other for other in names if str(name) in re.split("[-_]", other)]
    if 1 < len(parts) <= _MOST_HINTS:
        return f"; did you mean {', '.join(map(repr, parts[:-1]))} or {parts[-1]!r}?"
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    if close:  # a word may be a name in the singular and in the plural
        same = [other for other in names if other.rstrip("s") == close[0].rstrip("s")]
        return f"; did you mean {' or '.join(map(repr, same))}?"
    return f"; known: {', '.join(names)}" if names else "; none is known"


def shown(value: object) -> str:
    """Return a value for an error message: on one line, shortened if it is long."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # an int of thousands of digits, brackets in brackets
        return f"a very long {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
