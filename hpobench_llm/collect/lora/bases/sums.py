"""The sums of a base's files, which `base.json` holds: read before anything is trained on it."""

import json
from collections.abc import Mapping
from pathlib import Path

from hpobench_llm.errors import SpecError

RECORD = "base.json"


def check_sums(folder: Path, sums: Mapping[str, str], file: Path) -> None:
    """Check the SHA-256 `sums` of a base's files against its `base.json`, where it has one.

    Bases of others have no such file; then there is nothing to compare with.

    Raises:
        SpecError: a file was changed, is missing, or holds weights that `base.json` does not name.
    """
    if not (folder / RECORD).exists():
        return
    try:
        stated = json.loads((folder / RECORD).read_text(encoding="utf-8"))["sha256"]
        stated = {str(name): str(digest) for name, digest in stated.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{folder / RECORD}: cannot be read ({type(error).__name__}: {error})"
        raise SpecError(file, "base.path", problem) from None
    for name, digest in stated.items():
        if sums.get(name) != digest:
            state = f"has the sha256 {sums[name]}" if name in sums else "is missing"
            raise SpecError(
                file,
                "base.path",
                f"{folder / name} {state}, but {RECORD} says {digest}: the base was changed or "
                "only partly copied",
            )
    stray = sorted(name for name in sums if name.endswith(".safetensors") and name not in stated)
    if stray:
        raise SpecError(file, "base.path", f"{folder / stray[0]}: {RECORD} knows no such file")
