"""Which axes matter: each one's share of the variance, alone and with its interactions."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hpobench_llm.wording import words


def draw_importance(axes: Axes, shares: pd.DataFrame) -> None:
    """Draw two bars for each axis, the most important on top.

    Args:
        axes: the axes to draw on.
        shares: each axis's share of the variance `alone` and with every interaction, `total`, in
            [0, 1].
    """
    ordered = shares.sort_values("total", kind="stable")
    rows = np.arange(len(ordered))
    axes.barh(rows - 0.2, ordered["total"], 0.4, color="C0", label="with interactions")
    axes.barh(rows + 0.2, ordered["alone"], 0.4, color="C1", label="alone")
    axes.set_yticks(rows, [words(str(name)) for name in ordered.index])
    axes.set_xlabel("share of the variance")
    axes.set_xlim(0, 1)
    axes.legend(loc="lower right")
