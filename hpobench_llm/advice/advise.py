"""`advise`: over all tables at hand, the settings that are worth a first try."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpobench_llm.advice import lines as words
from hpobench_llm.advice.held_out import HeldOut, Tried, held_out
from hpobench_llm.advice.peft import peft_code
from hpobench_llm.advice.portfolio import Candidates
from hpobench_llm.advice.problem import Problem
from hpobench_llm.advice.rates import BestRate, best_rates
from hpobench_llm.advice.recipes import RECIPES, Recipe
from hpobench_llm.advice.settings import Settings
from hpobench_llm.benchmarks.suite import suite as read_suite
from hpobench_llm.errors import ConfigurationError, HpobenchError
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.metrics import Metric, objective_of
from hpobench_llm.tables.table import Table

LENGTH, NEAR = 4, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a recipe loses on one table; NaN where nothing near it was measured.

    `regret` is in the metric's unit, `typical` in typical regrets, `noises` in noises (NaN too
    where none is known).
    """

    table: str
    regret: float
    typical: float
    noises: float
    near: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Settings of a portfolio: on which tables they are near the best, and what they lose.

    `origin` is a table that has measured them.
    """

    settings: Settings
    origin: str
    near: tuple[str, ...]
    tried: Tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tables whose settings can be compared, and what they say together."""

    adapts: bool
    problems: tuple[Problem, ...]
    rates: tuple[BestRate, ...]
    portfolio: tuple[Pick, ...]
    costs: dict[str, tuple[Cost, ...]]
    held_out: tuple[HeldOut, ...]

    @property
    def families(self) -> dict[str, int]:
        """How many tables each family has."""
        names = [problem.family for problem in self.problems]
        return {name: names.count(name) for name in dict.fromkeys(names)}

    @property
    def covered(self) -> int:
        """On how many tables one of the portfolio is near the best."""
        return len({name for pick in self.portfolio for name in pick.near})


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the tables say: a group of those with adapters, and one of those without.

    `left_out` says of tables that say nothing of use why not. `near` is the share of a typical
    regret that still counts as near the best.
    """

    groups: tuple[Group, ...]
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
        sizes = ", ".join(f"{len(group.problems)} tables" for group in self.groups)
        return f"Advice({sizes or 'no tables'})"


def advise(
    tables: Sequence[str | Path | Table] | None = None,
    *,
    suite: str | Path | None = None,
    length: int = LENGTH,
    near: float = NEAR,
) -> Advice:
    """Return which settings to try first, by all that tables have measured.

    Args:
        tables: names, folders or tables; without them all that are at hand, or those of `suite`.
        suite: a suite's name; its objectives are those that count.
        length: how many settings a portfolio has at most.
        near: up to which share of a typical regret settings count as near the best.

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
    problems: list[Problem] = []
    left_out: dict[str, str] = {}
    for table, metric in _opened(tables, suite):
        problem = Problem.of(table, metric)
        if isinstance(problem, Problem):
            problems.append(problem)
        else:
            left_out[table.metadata.name] = problem
    if not problems:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise HpobenchError(f"advise: no table can say anything ({reasons or 'there is none'})")
    groups = []
    for adapts in (True, False):
        members = [problem for problem in problems if problem.adapts is adapts]
        if members:
            groups.append(_group(members, adapts=adapts, length=length, near=near))
    return Advice(groups=tuple(groups), left_out=left_out, near=near)


def _opened(
    tables: Sequence[str | Path | Table] | None, suite: str | Path | None
) -> list[tuple[Table, Metric]]:
    if suite is not None:
        named = read_suite(suite).objectives
        opened = {name: Table.load(find_artefact("tables", name)) for name in named}
        return [(table, table.metadata.metrics[named[name]]) for name, table in opened.items()]
    listed = list(list_artefacts("tables").values()) if tables is None else tables
    several = [one if isinstance(one, Table) else _load(one) for one in listed]
    return [(table, objective_of(table.metadata.metrics)) for table in several]


def _load(name: str | Path) -> Table:
    return Table.load(find_artefact("tables", name))


def _group(problems: list[Problem], *, adapts: bool, length: int, near: float) -> Group:
    candidates = Candidates.of(problems, near)
    everyone = list(range(len(problems)))
    chosen = candidates.greedy(everyone, candidates.without([]), length)
    picks = []
    for column in chosen:
        close = candidates.near[:, column]
        picks.append(
            Pick(
                settings=candidates.settings[column],
                origin=problems[int(candidates.origins[:, column].argmax())].name,
                near=tuple(p.name for p, is_near in zip(problems, close, strict=True) if is_near),
                tried=Tried.of(candidates.regrets[:, column].tolist(), close.tolist()),
            )
        )
    units = (held_out(problems, candidates, length, unit) for unit in ("table", "family"))
    return Group(
        adapts=adapts,
        problems=tuple(problems),
        rates=tuple(best_rates(problems)),
        portfolio=tuple(picks),
        costs={
            recipe.name: tuple(_cost(problem, recipe, near) for problem in problems)
            for recipe in (RECIPES if adapts else RECIPES[:1])
        },
        held_out=tuple(result for result in units if result is not None),
    )


def _cost(problem: Problem, recipe: Recipe, near: float) -> Cost:
    regret = problem.regret_of(recipe.full)
    return Cost(
        table=problem.name,
        regret=regret,
        typical=regret / problem.typical,
        noises=regret / problem.noise if problem.noise > 0 else math.nan,
        near=regret <= problem.near(near),
    )


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "adapters": group.adapts,
        "tables": {
            problem.name: {
                "family": problem.family,
                "metric": problem.metric.name,
                "configurations": len(problem.configs),
                "typical_regret": problem.typical,
                "noise": _known(problem.noise),
            }
            for problem in group.problems
        },
        "best_rates": [rate.to_json() for rate in group.rates],
        "portfolio": [
            {"settings": pick.settings, "near": list(pick.near), "regret": pick.tried.to_json()}
            for pick in group.portfolio
        ],
        "recipes": {
            name: {
                cost.table: {
                    "regret": _known(cost.regret),
                    "in_typical": _known(cost.typical),
                    "in_noises": _known(cost.noises),
                    "near": cost.near,
                }
                for cost in costs
            }
            for name, costs in group.costs.items()
        },
        "held_out": [result.to_json() for result in group.held_out],
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
