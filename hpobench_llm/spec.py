"""Read a TOML spec into a frozen dataclass: every key known, every value of its type.

Campaigns, bases, imports and studies are all read here, so that a typing error gives the same
kind of message everywhere: file, key, value and the nearest valid key.
"""

import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from hpobench_llm.errors import SpecError, nearest, shown
from hpobench_llm.plain import Toml

T = TypeVar("T")
EXTENDS = "extends"
_LARGEST = 2**24  # bytes of a spec
_INTEGERS = range(-(2**63), 2**63)  # what TOML, Parquet and numpy can hold


def read_spec(path: str | Path, cls: type[T]) -> T:
    """Read the TOML file `path` as an instance of the dataclass `cls`.

    Nested dataclasses are TOML tables, tuples are arrays. A `ValueError` raised by a dataclass's
    own `__post_init__` is reported with the file and the key of its table. With
    `extends = "other.toml"` the keys of that file hold unless this file has them: tables are
    joined key by key, all else is replaced. Relative paths start at this file's folder.

    Raises:
        SpecError: the file cannot be read or is no TOML, a key is unknown or missing, a value
            has another type than its field, or breaks the dataclass's own rules.
    """
    path = Path(path)
    try:
        return parse_spec(read_toml(path), cls, file=path)
    except RecursionError:
        raise _too_deep(path) from None


def read_toml(path: Path) -> dict[str, Toml]:
    """Return the raw keys of a TOML file and of the file that it extends.

    Raises:
        SpecError: it cannot be read or is no TOML.
    """
    try:
        return _read(path)
    except RecursionError:
        raise _too_deep(path) from None


def _too_deep(path: Path) -> SpecError:
    return SpecError(path, "", "not valid TOML: brackets in brackets, too deep")


def _read(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Toml]:
    """Return the keys of a TOML file and of the one that it extends."""
    try:
        raw: dict[str, Toml] = tomllib.loads(_text(path))
    except ValueError as error:  # TOML's own, bytes that are not UTF-8, endless digits
        raise SpecError(path, "", f"not valid TOML: {error}") from None
    if EXTENDS not in raw:
        return raw
    name = raw.pop(EXTENDS)
    if not isinstance(name, str):
        raise SpecError(path, EXTENDS, f"expected a string, got {shown(name)}")
    other = resolve_path(name, file=path, key=EXTENDS)
    chain = (*below, path.resolve())
    if other.resolve() in chain:
        raise SpecError(path, EXTENDS, f"{name!r} extends this file in turn")
    return _joined(_read(other, chain), raw)


def _joined(under: Mapping[str, Toml], over: Mapping[str, Toml]) -> dict[str, Toml]:
    joined = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _joined(below, value)
        joined[key] = value
    return joined


def _text(path: Path) -> str:
    """Return the text of a spec without the byte order mark that some editors write."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        raise SpecError(path, "", "no such file") from None
    except IsADirectoryError:
        raise SpecError(path, "", "is a folder; a TOML file is expected") from None
    except (OSError, ValueError) as error:  # a name can hold what no file system takes
        reason = getattr(error, "strerror", None) or error
        raise SpecError(path, "", f"cannot be read: {reason}") from None
    if len(content) > _LARGEST:
        raise SpecError(path, "", f"a spec of more than {_LARGEST:,} bytes is not read")
    return content.decode("utf-8-sig")


def parse_spec(raw: object, cls: type[T], *, file: object, key: str = "") -> T:
    """Build the dataclass `cls` from the plain mapping `raw`; `file` and `key` name the place."""
    if not isinstance(raw, dict):
        raise SpecError(file, key, f"a table is expected, got {shown(raw)}")
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
    if isinstance(value, int) and value not in _INTEGERS:
        raise SpecError(
            file, key, f"an integer of at most 64 bits is expected, got {shown(value)}"
        )
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return parse_spec(value, hint, file=file, key=key)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, file, key)
    if origin is tuple:
        if not isinstance(value, list):
            hint = f'; one alone is ["{value}"]' if isinstance(value, str) else ""
            raise SpecError(file, key, f"an array is expected, got {shown(value)}{hint}")
        return tuple(_convert(v, arguments[0], file, f"{key}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise SpecError(file, key, f"a table is expected, got {shown(value)}")
        return {k: _convert(v, arguments[1], file, _join(key, k)) for k, v in value.items()}
    if origin is typing.Literal:
        if value not in arguments:
            names = [str(a) for a in arguments]
            raise SpecError(file, key, f"unknown value {shown(value)}{nearest(value, names)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise SpecError(file, key, f"expected {_name(hint)}, got {shown(value)}")
    return value


def _convert_union(value: object, members: tuple[Any, ...], file: object, key: str) -> Any:
    for member in members:  # an exact type wins over a conversion (1 stays int in int | float)
        if type(value) is member:
            return value
    for member in members:  # the message of the one that can be meant names the wrong key
        if isinstance(value, dict) and dataclasses.is_dataclass(member):
            return _convert(value, member, file, key)
        if isinstance(value, list) and typing.get_origin(member) is tuple:
            return _convert(value, member, file, key)
        try:
            return _convert(value, member, file, key)
        except SpecError:
            continue
    expected = " or ".join(_name(member) for member in members)
    raise SpecError(file, key, f"expected {expected}, got {shown(value)}")


def _name(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(value) for value in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return "an array"
    if typing.get_origin(hint) is dict or dataclasses.is_dataclass(hint):
        return "a table"
    names = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def resolve_path(text: str, *, file: str | Path, key: str) -> Path:
    """Turn a path in a spec into one that can be opened.

    Environment variables (`$NAME`) are expanded, `~` too; a relative path starts at the spec's
    own folder, so that a spec works from whichever folder it is called.

    Raises:
        SpecError: a variable is not set, a user is not known, or nothing lies at the path.
    """
    try:
        path = Path(file).parent / Path(Template(text).substitute(os.environ)).expanduser()
        path.stat()
    except KeyError as error:
        problem = (
            f"the environment variable {error.args[0]} is not set; it names a folder, and "
            "`hpobench-llm build-data` makes the files of the campaigns that come with the library"
        )
        raise SpecError(file, key, f"{shown(text)}: {problem}") from None
    except FileNotFoundError:
        raise SpecError(file, key, f"no such file or folder: {path}") from None
    except (OSError, RuntimeError, ValueError) as error:  # `~nobody` is a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise SpecError(file, key, f"{shown(text)}: {reason}") from None
    return path
