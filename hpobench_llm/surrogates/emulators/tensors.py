"""Files of tensors in the format safetensors: a JSON header and plain numbers, nothing that runs.

Eight bytes say how long the header is; it names each tensor's type, shape and place.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.artefacts import read_file
from hpobench_llm.errors import DataError, shown

LARGEST, LARGEST_HEADER = 64 * 2**20, 2**20  # bytes
_TYPES: dict[str, np.dtype[np.floating[Any]]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
}

Tensors = dict[str, NDArray[np.float64]]


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of a file by name, as float64.

    Raises:
        DataError: the file cannot be read, or is not what its header says.
    """
    try:
        content = read_file(path, LARGEST)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _tensors(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not a file of safetensors: {error}") from None


def _tensors(content: bytes) -> Tensors:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError(f"a header of {size} bytes in {len(content)}")
    header = json.loads(content[8 : 8 + size])
    body = content[8 + size :]
    tensors: Tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if kind not in _TYPES:
            raise ValueError(f"`{name}` is of type {shown(kind)}, read are {', '.join(_TYPES)}")
        # A file may claim anything: each number is checked before memory is taken for it.
        if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
            raise ValueError(f"`{name}`: shape {shown(shape)}, place {shown((start, end))}")
        count = int(np.prod(shape, dtype=object))  # Python's integers: no forged shape overflows
        if not start <= end <= len(body) or end - start != count * _TYPES[kind].itemsize:
            raise ValueError(f"`{name}` of shape {list(shape)} is not {end - start} bytes long")
        values = np.frombuffer(body[start:end], _TYPES[kind]).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` is not finite")
        tensors[name] = values.reshape(shape)
    return tensors
