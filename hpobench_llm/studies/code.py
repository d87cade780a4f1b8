"""The sum of the code that an optimizer's replays follow from, so that no other code is mixed in.

Nothing is imported for it: an optimizer may need a library that takes seconds to load.
"""

import ast
import linecache
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType

from hpobench_llm.artefacts import canonical_json, sha256_of_bytes, sha256_of_text
from hpobench_llm.errors import ConfigurationError
from hpobench_llm.optimizers.base import Optimizer
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.references import MAIN, class_at, is_reference, module_of
from hpobench_llm.optimizers.registry import entry

_PACKAGE = Path(__file__).parents[1]
# No replay runs through these.
_NO_MATTER = ("adapters", "cli", "comparison", "drawing", "report", "study.py", "testing")


def code_of(optimizer: str) -> str:
    """Return the sum of the source that replays of an optimizer run through.

    It covers this package, and for a plug-in the whole package of its class. For a class that a
    reference names it covers its package, or its file and what that imports from its own folder;
    for a class that was typed in, the text that was typed with it.

    Raises:
        ConfigurationError: the text of a class that was typed in cannot be read.
    """
    own = _sum(_PACKAGE, _NO_MATTER)
    name, *_ = optimizer.split("+")
    if name in ENTRIES:
        return own
    if is_reference(name) and module_of(name) == MAIN:
        return sha256_of_text(canonical_json([own, *_typed(class_at(name), name)]))
    module = module_of(name if is_reference(name) else entry(name).target)
    files = [path for origin in _origins(module) for path in _with_neighbours(origin)]
    return sha256_of_text(canonical_json([own, *map(_sum_now, files)]))


def _origins(module: str) -> list[Path]:
    """Return the folders or the file of the outermost package that a module lies in."""
    first, *rest = module.split(".")
    spec = find_spec(first) if first else None
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return [Path(spec.origin)] if spec.origin else []
    if spec.origin is None and rest:  # a namespace, which other distributions share
        inside = [path for folder in folders for path in folder.glob(f"{rest[0]}*")]
        return [path for path in inside if path.is_dir() or path.suffix == ".py"]
    return folders


def _with_neighbours(path: Path) -> list[Path]:
    """Return a folder, or a file and what it imports from its own folder, and so on.

    Of an installed library there are no neighbours: its version stands for it.
    """
    installed = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib")}
    if path.is_dir() or path.parent in installed:
        return [path]
    files, waiting = [path], [path]
    while waiting:
        for name in _imported(waiting.pop()):
            for other in (path.parent / f"{name}.py", path.parent / name):
                if other.exists() and other not in files:
                    files.append(other)
                    if other.is_file():
                        waiting.append(other)
    return sorted(files)


def _imported(path: Path) -> Iterator[str]:
    """Yield the first part of every name that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):  # whoever imports it is told why
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _typed(cls: type[Optimizer], name: str) -> list[str]:
    """Return the texts that define the methods of a class: in a notebook, its cells."""
    functions = [
        value
        for base in cls.__mro__
        if base.__module__ == MAIN
        for value in vars(base).values()
        if isinstance(value, FunctionType)
    ]
    files = sorted({function.__code__.co_filename for function in functions})
    texts = ["".join(linecache.getlines(file)) for file in files]
    if not texts or not all(texts):
        raise ConfigurationError(
            f"{name}: its text cannot be read here, and without it its results could not be told "
            "from those of other code; write the class into a file and import it"
        )
    return sorted(texts)


@cache
def _sum(path: Path, without: tuple[str, ...] = ()) -> str:
    """Return the sum of a Python file, or of all that lie in a folder; read once a process."""
    return _sum_now(path, without)


def _sum_now(path: Path, without: tuple[str, ...] = ()) -> str:
    """Return the sum without a cache: others' files may change while this process runs."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names = {file.relative_to(path).as_posix(): file for file in files}
    return sha256_of_text(
        canonical_json(
            {
                name: sha256_of_bytes(file.read_bytes())
                for name, file in names.items()
                if name.partition("/")[0] not in without
            }
        )
    )
