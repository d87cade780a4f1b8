"""Where following a surrogate's gradient ends, on the surrogate and on its table.

    OMP_NUM_THREADS=1 python benchmarks/descent.py

Adam on central differences of `lora-nano`'s surrogate in the unit cube, from several uniform
starts; the best point that was seen is then looked up in the table. Beside it, 50 trials of two
optimizers on the table itself. Why gradients are not among the optimizers: studies/README.md.
"""

import numpy as np
from numpy.typing import NDArray

import hpobench_llm

SEEDS, STARTS, STEPS = 20, 5, 40
WIDTH, RATE, DECAYS = 0.02, 0.05, (0.9, 0.99)
Points = NDArray[np.float64]

SURROGATE = hpobench_llm.load("lora-nano", kind="surrogate")
TABLE = hpobench_llm.load("lora-nano")
METRIC = TABLE.metrics["val_loss"]


def losses(points: Points) -> Points:
    """Return the surrogate's losses `(n,)` at points `(n, d)` of the unit cube."""
    found = SURROGATE.query_many(SURROGATE.space.from_unit(points))
    return np.where(found["status"] == "ok", found["val_loss"], METRIC.worst).astype(np.float64)


def slopes(points: Points) -> Points:
    """Return the central differences `(n, d)`; at a face of the cube they are one-sided."""
    count, axes = points.shape
    ahead = np.clip(points[:, None] + WIDTH * np.eye(axes), 0, 1)
    behind = np.clip(points[:, None] - WIDTH * np.eye(axes), 0, 1)
    rise = losses(ahead.reshape(-1, axes)) - losses(behind.reshape(-1, axes))
    return rise.reshape(count, axes) / (ahead - behind).sum(axis=2)


def descend(seed: int) -> tuple[float, float]:
    """Return the loss that the surrogate promises, and that of the nearest row of the table."""
    rng = np.random.default_rng(seed)
    points = rng.random((STARTS, len(SURROGATE.space)))
    mean, square = np.zeros_like(points), np.zeros_like(points)
    best, lowest = points.copy(), losses(points)
    for step in range(1, STEPS + 1):
        slope = slopes(points)
        mean += (1 - DECAYS[0]) * (slope - mean)
        square += (1 - DECAYS[1]) * (slope**2 - square)
        size = np.sqrt(square / (1 - DECAYS[1] ** step)) + 1e-9
        points = np.clip(points - RATE * mean / (1 - DECAYS[0] ** step) / size, 0, 1)
        now = losses(points)
        better = now < lowest
        best[better], lowest[better] = points[better], now[better]
    end = int(np.argmin(lowest))
    nearest = TABLE.snap(TABLE.space.from_unit(best[[end]])[0])
    return float(lowest[end]), TABLE.query(nearest).loss(METRIC)


def searched(name: str) -> Points:
    """Return what 50 trials of an optimizer find in the table, for each seed."""
    runs = (hpobench_llm.replay(TABLE, name, budget=50, seed=seed) for seed in range(SEEDS))
    return np.array([run.to_frame()["val_loss"].min() for run in runs])


def main() -> None:
    """Measure and print medians over seeds, less the table's optimum."""
    optimum = TABLE.optimum("val_loss")[1]
    promised, real = np.array([descend(seed) for seed in range(SEEDS)]).T
    found = {"descent, as the surrogate promises": promised, "descent, in the table": real}
    found |= {f"{name}, 50 trials": searched(name) for name in ("random", "gp")}
    for what, values in found.items():
        low, middle, high = np.quantile(values - optimum, (0.25, 0.5, 0.75))
        print(f"{what}: {middle:.4f} [{low:.4f}, {high:.4f}] above the optimum")


if __name__ == "__main__":
    main()
