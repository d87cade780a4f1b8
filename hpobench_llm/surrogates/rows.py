"""What a surrogate learns from: a table's rows as features, and one target for each quantity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from math import isnan
from typing import Literal, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpobench_llm.errors import ConfigurationError
from hpobench_llm.evaluation import STATUSES
from hpobench_llm.metrics import Fidelity, Metric, objective_of
from hpobench_llm.space import Space
from hpobench_llm.surrogates.encoding import ConfigEncoder, FloatArray, encode_fidelities, relaxed
from hpobench_llm.tables.table import Table
from hpobench_llm.tables.worth import without_signal

Level = tuple[float, ...]
Kind = Literal["metric", "probability"]
PROBABILITY = "probability_"
MOST_BYTES = 1 << 28  # of the features of all rows
LARGEST = 1e100  # of a fitted value, whose squares are summed

_SAME = 1e-6  # relative: base models evaluated on two machines may differ in the last digits


class FittedRecord(TypedDict):
    """A `Target` as plain JSON; an infinite bound is None."""

    name: str
    kind: Kind
    log: bool
    low: float | None
    high: float | None
    measured_at: list[list[float]]
    fixed: list[tuple[list[float], float]]
    when_failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One quantity of a run: a metric, or the probability of a status that is not `ok`.

    `log` says that the logarithm is fitted. `measured_at` holds the fidelity levels with at least
    one value; `fixed` the levels at which every configuration has the same (the untrained base),
    which is then answered as it is. `when_failed`: a run that was not `ok` has values, too.
    """

    name: str
    kind: Kind
    log: bool
    low: float
    high: float
    measured_at: tuple[Level, ...]
    fixed: dict[Level, float]
    when_failed: bool

    def to_json(self) -> FittedRecord:
        """Return plain JSON values; an infinite bound becomes None."""
        return {
            "name": self.name,
            "kind": self.kind,
            "log": self.log,
            "low": self.low if np.isfinite(self.low) else None,
            "high": self.high if np.isfinite(self.high) else None,
            "measured_at": [list(level) for level in self.measured_at],
            "fixed": [(list(level), value) for level, value in self.fixed.items()],
            "when_failed": self.when_failed,
        }

    @staticmethod
    def from_json(raw: FittedRecord) -> "Target":
        """Rebuild a target from `to_json`."""
        fields = raw | {
            "low": -np.inf if raw["low"] is None else float(raw["low"]),
            "high": np.inf if raw["high"] is None else float(raw["high"]),
            "measured_at": tuple(tuple(map(float, level)) for level in raw["measured_at"]),
            "fixed": {tuple(map(float, level)): float(value) for level, value in raw["fixed"]},
        }
        return Target(**fields)  # type: ignore[arg-type]

    def answers(self, level: Level, fidelities: Sequence[Fidelity]) -> bool:
        """Say whether the target may be answered at a fidelity.

        It may where every corner of the cell of levels around the fidelity was measured: between
        a score of the untrained base and one of the finished run, nothing is known.
        """
        ends = []
        for axis, value in zip(fidelities, level, strict=True):
            below = max(v for v in axis.values if v <= value)
            above = min(v for v in axis.values if v >= value)
            ends.append({float(below), float(above)})  # one end alone at a measured level
        return all(corner in self.measured_at for corner in product(*ends))


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """A table's rows, ready to be fitted.

    `features` is `(n, d)`, those of the configuration first (`width` of them); `levels`
    `(n, axes)`; `configuration` `(n,)` numbers from 0; `values` `(n, targets)` on the fitted
    scale, NaN where nothing was measured. `metrics` lack those in `left_out`, which says why: too
    little was measured, or nothing that an order can be read from.
    """

    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: dict[str, Metric]
    encoder: ConfigEncoder
    features: FloatArray
    levels: FloatArray
    configuration: NDArray[np.intp]
    full: NDArray[np.bool_]
    targets: tuple[Target, ...]
    values: FloatArray
    left_out: dict[str, str]
    frame: pd.DataFrame

    @property
    def configurations(self) -> int:
        """How many configurations there are."""
        return int(self.configuration.max()) + 1

    def in_units(self, fitted: FloatArray) -> FloatArray:
        """Return `(n, targets)` of the fitted scale in the targets' own units, inside bounds."""
        return in_units(self.targets, fitted)

    def judged(self) -> NDArray[np.bool_]:
        """Return `(n, targets)` which values are judged: all but those that are shared."""
        judged = np.isfinite(self.values)
        for column, target in enumerate(self.targets):
            for level in target.fixed:
                judged[np.all(self.levels == level, axis=1), column] = False
        return judged

    def learned(self) -> NDArray[np.bool_]:
        """Return `(n, targets)` which values are fitted.

        A shared value is fitted only where it is one end of a cell that is interpolated.
        """
        learned = np.isfinite(self.values)
        for column, target in enumerate(self.targets):
            # The model would bend towards a point that it is never asked for.
            for level in target.fixed:
                if not _has_neighbour(level, target.measured_at, self.fidelities):
                    learned[np.all(self.levels == level, axis=1), column] = False
        return learned


def check_targets(
    targets: Sequence[Target], metrics: Mapping[str, Metric], fidelities: Sequence[Fidelity]
) -> None:
    """Refuse targets that no fit gives: metrics come first, then statuses, each once.

    Raises:
        ValueError, TypeError: naming the target or the fidelity.
    """
    kinds = [target.kind for target in targets]
    count = kinds.count("metric")
    statuses = [PROBABILITY + status for status in STATUSES[1:]]
    names = [target.name for target in targets]
    sound = [name in metrics for name in names[:count]]
    sound += [name in statuses for name in names[count:]]
    if not count or "metric" in kinds[count:] or not all(sound) or len(set(names)) < len(names):
        raise ValueError(f"targets {names}: metrics, then probabilities of statuses, are expected")
    texts = [text for metric in metrics.values() for text in (metric.name, metric.unit)]
    texts += [text for axis in fidelities for text in (axis.name, axis.unit)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names and units of metrics and fidelities: texts are expected")
    for axis in fidelities:
        if not all(type(v) in (int, float) and -1.0 < v < np.inf for v in axis.values):
            raise ValueError(f"fidelity {axis.name}: finite numbers are expected: {axis.values}")
    for metric in metrics.values():
        bounds = (metric.worst, metric.low, metric.high)
        if not all(type(bound) in (int, float) for bound in bounds):
            raise TypeError(f"metric {metric.name}: numbers are expected, got {bounds}")
    for target in targets:
        levels = [*target.measured_at, *target.fixed]
        if any(len(level) != len(fidelities) for level in levels):
            raise ValueError(
                f"target {target.name}: levels of {len(fidelities)} axes are expected"
            )
        values = [target.low, target.high, *target.fixed.values(), *chain.from_iterable(levels)]
        if not all(type(value) in (int, float) and not isnan(value) for value in values):
            raise TypeError(f"target {target.name}: numbers are expected, got {values}")


def rows_of(table: Table, *, least: int = 1) -> FitRows:
    """Return the rows of a table as features and targets.

    Args:
        table: the table.
        least: a metric that was measured for fewer configurations is left out.

    Raises:
        ConfigurationError: the objective was measured for fewer, a value is too large, or the
            rows do not fit into memory.
    """
    metadata, frame = table.metadata, table.frame
    space = relaxed(metadata.space)
    encoder = ConfigEncoder(space)
    # Refused before the features are built, not when memory runs out half way.
    size = 8 * len(frame) * (encoder.width + len(metadata.fidelities))
    if size > MOST_BYTES:
        raise ConfigurationError(
            f"{metadata.name}: {len(frame)} rows of {encoder.width} features take {size >> 20} "
            f"MiB, and a fit takes four times that: more than 1 GiB; leave out an axis of many "
            "names, or rows"
        )
    names = list(space.names)
    numbers = encoder.numbers_of_many(
        [dict(zip(names, row, strict=True)) for row in frame[names].itertuples(index=False)]
    )
    axes = [fidelity.name for fidelity in metadata.fidelities]
    levels = frame[axes].to_numpy(dtype=np.float64).reshape(len(frame), len(axes))
    statuses = frame["status"].to_numpy()
    left_out = _left_out(table, least)
    metrics = {name: m for name, m in metadata.metrics.items() if name not in left_out}
    targets, columns = [], []
    for metric in metrics.values():
        measured = frame[metric.name].to_numpy(dtype=np.float64)
        target = _metric_target(metric, measured, statuses)
        targets.append(_placed(target, measured, levels))
        columns.append(np.log(measured) if target.log else measured)
        if np.abs(columns[-1][np.isfinite(measured)]).max() > LARGEST:
            raise ConfigurationError(
                f"{metadata.name}: {metric.name}: values of more than {LARGEST:g} cannot be "
                "fitted; scale them, or state `low = 0` and they are fitted as logarithms"
            )
    for status in STATUSES[1:]:
        happened = (statuses == status).astype(np.float64)
        if happened.any():
            target = Target(
                name=PROBABILITY + status,
                kind="probability",
                log=False,
                low=0.0,
                high=1.0,
                measured_at=(),
                fixed={},
                when_failed=True,
            )
            targets.append(_placed(target, happened, levels))
            columns.append(happened)
    values = np.column_stack(columns)
    return FitRows(
        space=space,
        fidelities=metadata.fidelities,
        metrics=metrics,
        encoder=encoder,
        features=np.hstack(
            [encoder.features(numbers), encode_fidelities(metadata.fidelities, levels)]
        ),
        levels=levels,
        configuration=pd.factorize(frame["config_id"])[0].astype(np.intp),
        full=np.all(levels == [f.full for f in metadata.fidelities], axis=1),
        targets=tuple(targets),
        values=np.where(np.isfinite(values), values, np.nan),
        left_out=left_out,
        frame=frame,
    )


def _left_out(table: Table, least: int) -> dict[str, str]:
    """Return the metrics that are not fitted, and why; never the objective."""
    metrics, frame = table.metadata.metrics, table.frame
    left_out = {name: f"no signal, {why}" for name, why in without_signal(table).items()}
    for name in metrics:
        measured = np.isfinite(frame[name].to_numpy(dtype=np.float64))
        count = frame["config_id"][measured].nunique()
        if count < least:
            left_out[name] = f"measured for {count} configurations, fewer than {least}"
    objective = objective_of(metrics).name
    if objective in left_out and not left_out[objective].startswith("no signal"):
        raise ConfigurationError(f"{table.metadata.name}: {objective}: {left_out[objective]}")
    left_out.pop(objective, None)  # fitted even without signal: it is what a surrogate is for
    return left_out


def in_units(targets: Sequence[Target], fitted: FloatArray) -> FloatArray:
    """Return `(n, targets)` of the fitted scale in the targets' own units, inside their bounds."""
    log = np.array([target.log for target in targets])
    units = fitted.copy()
    units[:, log] = np.exp(fitted[:, log])
    clipped: FloatArray = np.clip(units, [t.low for t in targets], [t.high for t in targets])
    return clipped


def _metric_target(metric: Metric, measured: FloatArray, statuses: NDArray[np.object_]) -> Target:
    finite = np.isfinite(measured)
    # A loss is fitted as its logarithm: a run that went wrong has many times a good one's.
    positive = metric.direction == "minimize" and metric.low >= 0 and measured[finite].min() > 0
    return Target(
        name=metric.name,
        kind="metric",
        log=bool(positive),
        low=metric.low,
        high=metric.high,
        measured_at=(),
        fixed={},
        when_failed=bool((finite & (statuses != "ok")).any()),
    )


def _placed(target: Target, measured: FloatArray, levels: FloatArray) -> Target:
    """Add the levels at which the target was measured, and those at which it never differs."""
    finite = np.isfinite(measured)
    distinct: list[Level] = [tuple(map(float, level)) for level in np.unique(levels, axis=0)]
    measured_at, fixed = [], {}
    for level in distinct:
        at_level = measured[finite & np.all(levels == level, axis=1)]
        if len(at_level):
            measured_at.append(level)
            shared = len(at_level) > 1 and np.ptp(at_level) <= _SAME * abs(at_level.mean())
            # At the only level, equal values are the table's result and not a shared start.
            if shared and len(distinct) > 1:
                fixed[level] = float(at_level.mean())
    return replace(target, measured_at=tuple(measured_at), fixed=fixed)


def _has_neighbour(
    level: Level, measured_at: tuple[Level, ...], fidelities: Sequence[Fidelity]
) -> bool:
    for number, axis in enumerate(fidelities):
        position = axis.values.index(level[number])
        for value in axis.values[max(0, position - 1) : position + 2]:
            if value != level[number]:
                neighbour = (*level[:number], float(value), *level[number + 1 :])
                if neighbour in measured_at:
                    return True
    return False
