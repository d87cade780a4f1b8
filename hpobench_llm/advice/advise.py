"""`advise`: over all tables at hand, the settings that are worth a first try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.advice import lines as words
from hpobench_llm.advice.held_out import HeldOut, Tried, held_out
from hpobench_llm.advice.judged_table import JudgedTable
from hpobench_llm.advice.peft import peft_code
from hpobench_llm.advice.portfolio import Candidates
from hpobench_llm.advice.rates import BestRate, best_rates
from hpobench_llm.advice.recipes import RECIPES, PublishedRecipe
from hpobench_llm.advice.settings import Settings
from hpobench_llm.benchmarks.suite import suite as read_suite
from hpobench_llm.errors import ConfigurationError, HpobenchError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.tables.table import Table

LENGTH, NEAR = 4, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The regret of a recipe on one table; NaN if nothing near it was measured.

    `regret` is in the metric's unit, `typical` in typical regrets, `noises` in noises (NaN too if
    the noise is not known).
    """

    table: str
    regret: float
    typical: float
    noises: float
    near: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Settings of a portfolio, the tables on which they are `near` the best, and their regrets.

    `origin` is a table that has measured them.
    """

    settings: Settings
    origin: str
    near: tuple[str, ...]
    tried: Tried


@dataclass(frozen=True, slots=True, kw_only=True)
class TableGroup:
    """Tables with comparable settings, and their common results."""

    adapts: bool
    tables: tuple[JudgedTable, ...]
    rates: tuple[BestRate, ...]
    portfolio: tuple[Pick, ...]
    costs: dict[str, tuple[Cost, ...]]
    held_out: tuple[HeldOut, ...]

    @property
    def families(self) -> dict[str, int]:
        """How many tables each family has."""
        names = [table.family for table in self.tables]
        return {name: names.count(name) for name in dict.fromkeys(names)}

    @property
    def covered(self) -> int:
        """The number of tables on which one of the portfolio is near the best."""
        return len({name for pick in self.portfolio for name in pick.near})


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The results of tables with adapters, and of those without, as a group each.

    `left_out` has the other tables, and why they are of no use. `near` is the share of a typical
    regret that still counts as near the best.
    """

    groups: tuple[TableGroup, ...]
    left_out: dict[str, str]
    near: float

    def summary(self) -> str:
        """Return all of it in lines for a terminal."""
        return "\n".join(words.lines(self))

    def peft(self) -> str:
        """Return Python code: a `LoraConfig` and training arguments to paste.

        Raises:
            HpobenchError: no table has adapters.
        """
        adapted = [group for group in self.groups if group.adapts and group.portfolio]
        if not adapted:
            raise HpobenchError(
                "advise --peft: no table has a rank and a learning rate as axes; name other "
                "tables, or import some (hpobench-llm import tinker-sft)"
            )
        return peft_code(adapted[0])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is not known is null."""
        return {
            "near": self.near,
            "groups": [_group_json(group) for group in self.groups],
            "left_out": self.left_out,
            "recipes": {recipe.name: recipe.source for recipe in RECIPES},
        }

    def __repr__(self) -> str:
        """Name the sizes; `summary` says the rest."""
        sizes = ", ".join(f"{len(group.tables)} tables" for group in self.groups)
        return f"Advice({sizes or 'no tables'})"


def advise(
    tables: Sequence[str | Path | Table] | None = None,
    *,
    suite: str | Path | None = None,
    length: int = LENGTH,
    near: float = NEAR,
) -> Advice:
    """Return the settings to try first, by all that tables have measured.

    Args:
        tables: names, folders or tables; by default all that are at hand, or those of `suite`.
        suite: a suite's name; its objectives count.
        length: how many settings a portfolio has at most.
        near: the share of a typical regret up to which settings count as near the best.

    Example:
        >>> advice = advise(["lora-nano"])
        >>> advice.groups[0].portfolio[0].settings["rank"]
        64

    Raises:
        UnknownNameError: a table or suite does not exist.
        IntegrityError: a table is damaged.
        ConfigurationError: an argument is out of its range.
        HpobenchError: there is no table, or none of use.
    """
    if tables is not None and suite is not None:
        raise ConfigurationError("advise: give tables or a suite, not both")
    if length < 1:
        raise ConfigurationError(f"advise: `length` must be at least 1, got {length}")
    if not 0 < near < math.inf:
        raise ConfigurationError(f"advise: `near` must be above 0, got {near}")
    judged: list[JudgedTable] = []
    left_out: dict[str, str] = {}
    for table, metric in _opened(tables, suite):
        result = JudgedTable.of(table, metric)
        if isinstance(result, JudgedTable):
            judged.append(result)
        else:
            left_out[table.metadata.name] = result
    if not judged:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise HpobenchError(f"advise: no table can say anything ({reasons or 'there is none'})")
    groups = []
    for adapts in (True, False):
        members = [table for table in judged if table.adapts is adapts]
        if members:
            groups.append(_group(members, adapts=adapts, length=length, near=near))
    return Advice(groups=tuple(groups), left_out=left_out, near=near)


def _opened(
    tables: Sequence[str | Path | Table] | None, suite: str | Path | None
) -> list[tuple[Table, Metric]]:
    if suite is not None:
        objectives = read_suite(suite).objectives
        members = {name: _load(name) for name in objectives}
        return [(table, table.metadata.metrics[objectives[n]]) for n, table in members.items()]
    listed = list(list_artefacts("tables").values()) if tables is None else tables
    opened = [entry if isinstance(entry, Table) else _load(entry) for entry in listed]
    return [(table, objective_of(table.metadata.metrics)) for table in opened]


def _load(name: str | Path) -> Table:
    return Table.load(find_artefact("tables", name))


def _group(tables: list[JudgedTable], *, adapts: bool, length: int, near: float) -> TableGroup:
    candidates = Candidates.of(tables, near)
    all_rows = list(range(len(tables)))
    picks = []
    for column in candidates.greedy(all_rows, candidates.without([]), length):
        close = candidates.near[:, column]
        picks.append(
            Pick(
                settings=candidates.settings[column],
                origin=tables[int(candidates.origins[:, column].argmax())].name,
                near=tuple(t.name for t, is_near in zip(tables, close, strict=True) if is_near),
                tried=Tried.of(candidates.regrets[:, column].tolist(), close.tolist()),
            )
        )
    units = (held_out(tables, candidates, length, unit) for unit in ("table", "family"))
    return TableGroup(
        adapts=adapts,
        tables=tuple(tables),
        rates=tuple(best_rates(tables)),
        portfolio=tuple(picks),
        costs={
            recipe.name: tuple(_cost(table, recipe, near) for table in tables)
            # All but the defaults are recipes for adapters.
            for recipe in (RECIPES if adapts else RECIPES[:1])
        },
        held_out=tuple(result for result in units if result is not None),
    )


def _cost(table: JudgedTable, recipe: PublishedRecipe, near: float) -> Cost:
    regret = table.regret_of(recipe.full)
    return Cost(
        table=table.name,
        regret=regret,
        typical=regret / table.typical,
        noises=regret / table.noise if table.noise > 0 else math.nan,
        near=regret <= table.near(near),
    )


def _group_json(group: TableGroup) -> dict[str, Any]:
    return {
        "adapters": group.adapts,
        "tables": {
            table.name: {
                "family": table.family,
                "metric": table.metric.name,
                "configurations": len(table.configs),
                "typical_regret": table.typical,
                "noise": _or_null(table.noise),
            }
            for table in group.tables
        },
        "best_rates": [rate.to_json() for rate in group.rates],
        "portfolio": [
            {"settings": pick.settings, "near": list(pick.near), "regret": pick.tried.to_json()}
            for pick in group.portfolio
        ],
        "recipes": {
            name: {
                cost.table: {
                    "regret": _or_null(cost.regret),
                    "in_typical": _or_null(cost.typical),
                    "in_noises": _or_null(cost.noises),
                    "near": cost.near,
                }
                for cost in costs
            }
            for name, costs in group.costs.items()
        },
        "held_out": [result.to_json() for result in group.held_out],
    }


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
