"""The files of a base in a folder: which are read, and which never are."""

import json
from pathlib import Path

from hpobench_llm.errors import SpecError

PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def checked_weights(folder: Path, file: Path) -> list[Path]:
    """Return the safetensors files of a folder that can be loaded without running code of its own.

    Pickled weights (.bin, .pt) are programs to the one who unpickles them, and `auto_map` names
    Python files beside the weights: neither is ever run.

    Raises:
        SpecError: the folder holds no such weights, no `config.json`, or code of its own.
    """
    weights = sorted(folder.glob("*.safetensors"))
    pickled = sorted(p.name for end in PICKLED for p in folder.glob(f"*{end}"))
    # Beside safetensors pickled files do no harm: nobody reads them.
    if not weights and pickled:
        raise SpecError(
            file, "base.path", f"{folder / pickled[0]} is pickled; only *.safetensors are loaded"
        )
    if not weights or not (folder / "config.json").exists():
        raise SpecError(file, "base.path", f"no config.json and *.safetensors in {folder}")
    for name in ("config.json", "tokenizer_config.json"):
        if not (folder / name).exists():
            continue
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SpecError(file, "base.path", f"{folder / name}: no JSON: {error}") from None
        if isinstance(config, dict) and config.get("auto_map"):
            raise SpecError(
                file,
                "base.path",
                f"{folder / name} names code of its own (`auto_map`); the code of a base is never "
                "run",
            )
    return weights
