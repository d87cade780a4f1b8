"""The contract of a model family, and the arrays that models are saved as."""

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

_MOST_BYTES = 1 << 28  # of an archive's arrays: no fit writes larger ones


class Model(Protocol):
    """A fitted function from features to several targets at once."""

    def predict(self, features: FloatArray) -> FloatArray:
        """Map `(n, d)` to `(n, targets)`; a row's answer does not depend on the other rows."""

    def files(self) -> dict[str, bytes]:
        """Return the model as named files; `read` gives back the same predictions to the bit."""

    def targets(self, inputs: int) -> int:
        """Return how many targets it answers from `inputs` features.

        Raises:
            IntegrityError: it was not fitted to that many.
        """


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """How models of one kind are fitted and read.

    `fit` takes features `(n, d)`, targets `(n, t)` that are finite and of mean 0 and variance 1,
    and a seed; `read` takes what `files` gave. `module` is what `fit` imports. Time and memory of
    a fit are bounded: with more rows or features than `most_rows` and `most_features`, or fewer
    rows than `least_rows`, a family does not compete, and `simplified` says what a fit to many
    features goes without.
    """

    name: str
    summary: str
    fit: Callable[[FloatArray, FloatArray, int], Model]
    read: Callable[[Files], Model]
    module: str
    most_rows: int | None = None
    most_features: int | None = None
    least_rows: int = 0
    simplified: Callable[[int], str] = lambda _: ""

    def takes(self, rows: int, features: int) -> bool:
        """Say whether the family competes on that many rows and features."""
        return rows >= self.least_rows and all(
            most is None or number <= most
            for number, most in ((rows, self.most_rows), (features, self.most_features))
        )


def pack(**arrays: NDArray[np.generic]) -> dict[str, bytes]:
    """Return arrays as one NumPy archive, written and read without pickle."""
    # `savez` stamps no time into the archive: equal arrays give equal bytes.
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **{name: np.asarray(a) for name, a in arrays.items()})
    return {"npz": sink.getvalue()}


def unpack(files: Files, *names: str) -> list[FloatArray]:
    """Return the arrays of these names.

    Raises:
        IntegrityError: there is no archive, or it lacks one of them, or they are no finite
            float64, or they are too large for a model.
    """
    try:
        content = io.BytesIO(files["npz"])
        with zipfile.ZipFile(content) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        # Asked before anything is unpacked: a small archive may hold gigabytes of zeros.
        if size > _MOST_BYTES:
            raise IntegrityError(f"{size} bytes of arrays: too large for a model")
        with np.load(content, allow_pickle=False) as arrays_by_name:
            arrays = [arrays_by_name[name] for name in names]
    except IntegrityError:
        raise
    except Exception as error:  # foreign bytes make zip's and npy's readers raise a dozen kinds
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise IntegrityError(f"not the arrays {', '.join(names)}: {reason}") from None
    if any(not isinstance(array, np.ndarray) or array.dtype != np.float64 for array in arrays):
        raise IntegrityError(f"the arrays {', '.join(names)} must be float64")
    if not all(np.isfinite(array).all() for array in arrays):
        raise IntegrityError(f"the arrays {', '.join(names)} must be finite")
    return arrays


def check_shapes(
    arrays: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse arrays of other shapes.

    Raises:
        IntegrityError: naming the array, its shape and the expected one.
    """
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise IntegrityError(f"`{name}` is of shape {arrays[name].shape}, expected {shape}")


def size_of(array: NDArray[np.generic], axis: int) -> int:
    """Return an array's size along an axis, 0 if it has no such axis."""
    return array.shape[axis] if -array.ndim <= axis < array.ndim else 0


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
