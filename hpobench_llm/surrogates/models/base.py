"""The contract of a model family, and the arrays that most of them are saved as."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.errors import IntegrityError

FloatArray = NDArray[np.float64]
Files = Mapping[str, bytes]


class Model(Protocol):
    """A fitted function from features to several targets at once."""

    def predict(self, features: FloatArray) -> FloatArray:
        """Map `(n, d)` to `(n, targets)`; a row's answer does not depend on the other rows."""

    def files(self) -> dict[str, bytes]:
        """Return the model as named files; `read` gives back the same predictions to the bit."""


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one kind are fitted and read.

    `fit` takes features `(n, d)`, targets `(n, t)` that are finite and of mean 0 and variance 1,
    and a seed; `read` takes what `files` gave. `module` is what `fit` imports. A family with more
    than `most_rows` rows to learn from does not compete.
    """

    name: str
    summary: str
    fit: Callable[[FloatArray, FloatArray, int], Model]
    read: Callable[[Files], Model]
    module: str
    most_rows: int | None = None

    def takes(self, rows: int) -> bool:
        """Say whether the family competes on that many rows."""
        return self.most_rows is None or rows <= self.most_rows


def pack(**arrays: NDArray[np.generic]) -> dict[str, bytes]:
    """Return arrays as one NumPy archive, written and read without pickle."""
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **{name: np.asarray(a) for name, a in arrays.items()})
    return {"npz": sink.getvalue()}


def unpack(files: Files, *names: str) -> list[FloatArray]:
    """Return the arrays of these names.

    Raises:
        IntegrityError: there is no archive, or it lacks one of them or holds other types.
    """
    try:
        with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as archive:
            arrays = [archive[name] for name in names]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"not the arrays {', '.join(names)}: {error}") from None
    if any(array.dtype != np.float64 for array in arrays):
        raise IntegrityError(f"the arrays {', '.join(names)} must be float64")
    return arrays


def rowwise(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return `left @ right` for `(n, d)` and `(d, t)`, every row multiplied on its own.

    One product for all rows would be blocked by how many there are, and the order of its sums
    with it: asked alone and among others, a row would differ in the last bit.
    """
    product: FloatArray = (row_by_row(left)[:, None, :] @ right)[:, 0, :]
    return product


def row_by_row(array: FloatArray) -> FloatArray:
    """Return a copy whose rows lie one after the other.

    NumPy's product takes another path for another layout, and fancy indexing may lay a column
    after the other.
    """
    return np.array(array, order="C")
