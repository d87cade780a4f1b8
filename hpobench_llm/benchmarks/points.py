"""Points in the space of several metrics, in the forms that users give."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError, UnknownNameError

Points = pd.DataFrame | Sequence[Mapping[str, float]] | NDArray[np.float64]


def point_array(points: Points, names: Sequence[str], where: str) -> NDArray[np.float64]:
    """Return `(n_points, n_names)` values, from a frame, mappings by name, or such an array.

    Raises:
        UnknownNameError: there are no values of one of the names.
        ConfigurationError: an array has another shape.
    """
    if not isinstance(points, np.ndarray):
        try:
            frame = pd.DataFrame(points)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{where}: no points: {error}") from None
        if frame.empty:
            return np.empty((0, len(names)))
        for name in names:
            if name not in frame.columns:
                columns = [str(column) for column in frame.columns]
                raise UnknownNameError("column of points", name, columns, where)
        points = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    if points.ndim != 2 or points.shape[1] != len(names):
        raise ConfigurationError(
            f"{where}: points of shape (n_points, {len(names)}) are expected, got {points.shape}"
        )
    return points
