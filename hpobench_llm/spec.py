"""Read a TOML spec into a frozen dataclass: every key known, every value of its type.

Campaigns, bases, surrogates and studies are all read here, so that a typing error gives the same
kind of message everywhere: file, key, value and the nearest valid key.
"""

import dataclasses
import os
import tomllib
import types
import typing
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from hpobench_llm.errors import SpecError, nearest

T = TypeVar("T")


def read_spec(path: str | Path, cls: type[T]) -> T:
    """Read the TOML file `path` as an instance of the dataclass `cls`.

    Nested dataclasses are TOML tables, tuples are arrays. A `ValueError` raised by a dataclass's
    own `__post_init__` is reported with the file and the key of its table.

    Raises:
        SpecError: the file is missing or no TOML, a key is unknown or missing, a value has
            another type than its field, or breaks the dataclass's own rules.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SpecError(path, "", "no such file") from None
    except IsADirectoryError:
        raise SpecError(path, "", "is a folder; a TOML file is expected") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of too long an integer
        raise SpecError(path, "", f"not valid TOML: {error}") from None
    except OSError as error:
        raise SpecError(path, "", f"cannot be read: {error.strerror}") from None
    return parse_spec(raw, cls, file=path)


def parse_spec(raw: object, cls: type[T], *, file: object, key: str = "") -> T:
    """Build the dataclass `cls` from the plain mapping `raw`; `file` and `key` name the place."""
    if not isinstance(raw, dict):
        raise SpecError(file, key, f"a table is expected, got {raw!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in raw:
        if name not in fields:
            raise SpecError(file, _join(key, name), f"unknown key{nearest(name, fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _convert(raw[name], hints[name], file, _join(key, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SpecError(file, _join(key, name), "this key is required")
    try:
        return cls(**values)
    except ValueError as error:
        raise SpecError(file, key, str(error)) from None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _convert(value: object, hint: Any, file: object, key: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return parse_spec(value, hint, file=file, key=key)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, file, key)
    if origin is tuple:
        if not isinstance(value, list):
            raise SpecError(file, key, f"an array is expected, got {value!r}")
        return tuple(_convert(v, arguments[0], file, f"{key}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise SpecError(file, key, f"a table is expected, got {value!r}")
        return {k: _convert(v, arguments[1], file, _join(key, k)) for k, v in value.items()}
    if origin is typing.Literal:
        if value not in arguments:
            names = [str(a) for a in arguments]
            raise SpecError(file, key, f"unknown value {value!r}{nearest(value, names)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise SpecError(file, key, f"expected {_name(hint)}, got {value!r}")
    return value


def _convert_union(value: object, members: tuple[Any, ...], file: object, key: str) -> Any:
    for member in members:  # an exact type wins over a conversion (1 stays int in int | float)
        if type(value) is member:
            return value
    for member in members:
        if dataclasses.is_dataclass(member) and isinstance(value, dict):
            return _convert(value, member, file, key)  # its own message names the wrong key
        try:
            return _convert(value, member, file, key)
        except SpecError:
            continue
    expected = " or ".join(_name(member) for member in members)
    raise SpecError(file, key, f"expected {expected}, got {value!r}")


def _name(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(value) for value in typing.get_args(hint))
    names = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def resolve_path(text: str, *, file: str | Path, key: str) -> Path:
    """Turn a path in a spec into one that can be opened.

    Environment variables (`$NAME`) are expanded, `~` too; a relative path starts at the spec's
    own folder, so that a spec works from whichever folder it is called.

    Raises:
        SpecError: a variable is not set, or nothing lies at the path.
    """
    try:
        expanded = Path(Template(text).substitute(os.environ)).expanduser()
    except KeyError as error:
        raise SpecError(
            file, key, f"{text!r}: the environment variable {error.args[0]} is not set"
        ) from None
    except ValueError as error:
        raise SpecError(file, key, f"{text!r}: {error}") from None
    path = expanded if expanded.is_absolute() else Path(file).parent / expanded
    if not path.exists():
        raise SpecError(file, key, f"no such file or folder: {path}")
    return path
