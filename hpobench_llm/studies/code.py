"""What code an optimizer's replays follow from, as a sum: results of other code are not mixed in.

Nothing is imported to find out: an optimizer may need a library that takes seconds to load.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from hpobench_llm.artefacts import canonical_json, sha256_of_bytes, sha256_of_text
from hpobench_llm.optimizers.catalogue import ENTRIES
from hpobench_llm.optimizers.registry import entry

_PACKAGE = Path(__file__).parents[1]
_NO_MATTER = ("adapters", "cli", "comparison", "report", "testing")  # no replay runs through these


def code_of(optimizer: str) -> str:
    """Return the sum of the source that replays of an optimizer run through.

    That is this package's, and of a plug-in the whole package that its class lies in.
    """
    own = _sum(_PACKAGE, _NO_MATTER)
    name, *_ = optimizer.split("+")
    if name in ENTRIES:
        return own
    module, *_ = entry(name).target.partition(":")
    return sha256_of_text(canonical_json([own, *(_sum(place) for place in _places(module))]))


def _places(module: str) -> list[Path]:
    """Return the folders or the file of the outermost package that a module lies in."""
    first, *rest = module.split(".")
    found = find_spec(first) if first else None
    if found is None:
        return []
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    if not folders:
        return [Path(found.origin)] if found.origin else []
    if found.origin is None and rest:  # a namespace, which others share
        inside = [path for folder in folders for path in folder.glob(f"{rest[0]}*")]
        return [path for path in inside if path.is_dir() or path.suffix == ".py"]
    return folders


@cache
def _sum(place: Path, without: tuple[str, ...] = ()) -> str:
    """Return the sum of a Python file, or of all that lie in a folder; read once a process."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    names = {path.relative_to(place).as_posix(): path for path in files}
    return sha256_of_text(
        canonical_json(
            {
                name: sha256_of_bytes(path.read_bytes())
                for name, path in names.items()
                if name.partition("/")[0] not in without
            }
        )
    )
