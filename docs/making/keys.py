"""The keys of the TOML files, from the dataclasses that read them: types, defaults, meaning.

What a key means stands in the class's docstring under `Args:`, in one place for code and page.
"""

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from hpobench_llm.benchmarks.suite import Suite
from hpobench_llm.collect.families import FAMILIES
from hpobench_llm.collect.lora.bases.spec import BaseSpec
from hpobench_llm.studies.study import StudySpec
from hpobench_llm.tables.importers.generic.spec import ImportSpec

_ENTRY = re.compile(r"^    (\w[\w, ]*): (.*)$")
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def study() -> str:
    """Return the keys of a study."""
    return _lists(StudySpec)


def import_spec() -> str:
    """Return the keys of the spec of an import."""
    return _lists(ImportSpec)


def suite() -> str:
    """Return the keys of a suite."""
    return _lists(Suite)


def base() -> str:
    """Return the keys of a base."""
    return _lists(BaseSpec)


def campaign() -> str:
    """Return the keys of the campaigns of every family that comes with the package."""
    return "\n\n".join(
        f'## `kind = "{kind}"`\n\n{_lists(import_module(FAMILIES[kind]).FAMILY.spec, level=3)}'
        for kind in FAMILIES
    )


def descriptions(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and of those above it say of each key."""
    said: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        names: list[str] = []
        for line in _arguments(each.__dict__.get("__doc__") or ""):
            if entry := _ENTRY.match(line):
                names = entry[1].split(", ")
                said |= dict.fromkeys(names, entry[2])
            else:
                said |= {name: f"{said[name]} {line.strip()}" for name in names}
    return said


def _arguments(docstring: str) -> list[str]:
    """Return the lines of the section `Args:`."""
    _, _, after = inspect.cleandoc(docstring).partition("\nArgs:\n")
    return re.split(r"\n(?=\S)", after)[0].splitlines() if after else []


def tables(cls: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield a file's tables as (heading in TOML, class), each before those inside it."""
    yield (f"[{path}]" if path else ""), cls
    hints = typing.get_type_hints(cls)
    for field in keys_of(cls):
        for inner, name in _inside(hints[field.name], field.name):
            below = f"{path}.{name}" if path else name
            found = list(tables(inner, below))
            if typing.get_origin(hints[field.name]) is tuple:
                found[0] = f"[[{below}]]", inner
            yield from found


def keys_of(cls: type) -> list["dataclasses.Field[Any]"]:
    """Return the fields of a dataclass that a file can give."""
    return [field for field in dataclasses.fields(cls) if field.init]


def _inside(hint: Any, name: str) -> list[tuple[type, str]]:
    """Return the dataclasses that a key's value can be made of, and the names of their tables."""
    if dataclasses.is_dataclass(hint):
        return [(typing.cast("type", hint), name)]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return _inside(arguments[1], f"{name}.NAME")
    return [found for argument in arguments for found in _inside(argument, name)]


def _lists(cls: type, level: int = 2) -> str:
    parts: list[str] = []
    for heading, table in tables(cls):
        if heading:
            parts.append(f"{'#' * level} `{heading}`")
        parts.append(_summary(table))
        parts += _keys(table)
    return "\n\n".join(parts)


def _summary(cls: type) -> str:
    """Return a class's docstring up to its arguments."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return re.split(r"\n(?:Args|Raises):\n", text)[0].strip()


def _keys(cls: type) -> list[str]:
    said, hints = descriptions(cls), typing.get_type_hints(cls)
    return [
        f"`{field.name}` ({words(hints[field.name])}; {_default(field)})\n"
        f": {said[field.name][0].upper()}{said[field.name][1:]}"
        for field in keys_of(cls)
    ]


def words(hint: Any) -> str:
    """Return a type in the words of TOML."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f'`"{value}"`' for value in arguments if value != "")
    if origin in (typing.Union, types.UnionType):
        members = [member for member in arguments if member is not type(None)]
        if float in members:
            members = [member for member in members if member is not int]
        return " or ".join(dict.fromkeys(map(words, members)))
    if origin in (tuple, dict):
        inside, shape = arguments[origin is dict], "list" if origin is tuple else "table"
        if dataclasses.is_dataclass(inside):
            return "tables" if origin is tuple else "tables by name"
        return f"{shape} of {_plural(words(inside))}"
    return "table" if dataclasses.is_dataclass(hint) else _WORDS[hint]


def _plural(said: str) -> str:
    return re.sub(r"\b(text|number|list|table)\b", r"\1s", said)


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default_factory is not dataclasses.MISSING or field.default in (None, "", ()):
        return "may be left out"
    if field.default is dataclasses.MISSING:
        return "required"
    if isinstance(field.default, str | bool):
        return f"`{json.dumps(field.default)}` if left out"
    return f"`{field.default:,}` if left out".replace(",", "_")
