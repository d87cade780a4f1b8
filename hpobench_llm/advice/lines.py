"""Advice as lines for a terminal."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpobench_llm.advice.held_out import HeldOut, Tried
from hpobench_llm.advice.recipes import RECIPES
from hpobench_llm.advice.settings import shown
from hpobench_llm.seeds import FREEDOM

if TYPE_CHECKING:
    from hpobench_llm.advice.advise import Advice, Cost, TableGroup

UNITS = {"table": "table", "family": "family of related tables"}


def lines(advice: "Advice") -> Iterator[str]:
    """Yield each group, then what was left out."""
    for group in advice.groups:
        yield from _group(group, advice.near)
        yield ""
    for name, reason in advice.left_out.items():
        yield f"left out: {name}: {reason}"


def _group(group: "TableGroup", near: float) -> Iterator[str]:
    count = len(group.tables)
    families = ", ".join(
        f"{number} of {name}" if number > 1 else name for name, number in group.families.items()
    )
    yield f"{'With' if group.adapts else 'Without'} adapters: {_tables(count)} ({families})"
    if count == 1:
        yield "  One table alone says nothing about the next problem: what follows is its optimum."
    elif len(group.families) == 1:
        yield "  All are related: they say little about a problem of another kind."
    for table in group.tables:
        if table.flagged:
            yield f"  {table.name} calls {table.flagged} configurations doubtful: left out."
    yield ""
    yield "Best learning rate, by rank and batch (over tables; all other axes free)"
    yield from _rates(group)
    yield ""
    yield (
        f"Portfolio: one of these is near the best on {group.covered} of {_tables(count)}. Near: "
        f"within {near:.0%} of a"
    )
    yield "typical configuration's regret, or within the noise"
    for number, pick in enumerate(group.portfolio, start=1):
        yield f"  {number}. {shown(pick.settings)}"
        yield f"     {_tried(pick.tried)}; measured on {pick.origin}"
    yield from _held_out(group.held_out, len(group.portfolio))
    yield ""
    yield "What settings cost that nobody searched for: regret in typical ones (in noises)"
    if all(math.isnan(cost.typical) for costs in group.costs.values() for cost in costs):
        yield "  Nothing near them was measured."
    else:
        yield from _costs(group)


def _rates(group: "TableGroup") -> Iterator[str]:
    yield f"  {'rank':>6} {'batch':>6} {'tables':>7}  {'median':>8}  lowest to highest  at an edge"
    for rate in group.rates:
        rank, batch = ("-" if value is None else f"{value:g}" for value in (rate.rank, rate.batch))
        between = f"{rate.low:.2g} to {rate.high:.2g}"
        yield (
            f"  {rank:>6} {batch:>6} {rate.tables:>7}  {rate.middle:>8.2g}  {between:<17}  "
            f"{rate.at_edge or ''}"
        ).rstrip()
    yield "  -: not said by these tables. At an edge of what was tried: the best may lie beyond."


def _tables(count: int) -> str:
    return f"{count} table{'' if count == 1 else 's'}"


def _tried(tried: Tried) -> str:
    if not tried.tables:
        return "nothing near it was measured"
    return (
        f"near on {tried.near} of {_tables(tried.tables)}, regret {tried.median:.2f} typical ones "
        f"in the median, {tried.worst:.2f} at worst"
    )


def _held_out(results: Sequence[HeldOut], length: int) -> Iterator[str]:
    if not results:
        yield "  Not tried on tables that had no part in it: that takes three or more."
    for result in results:
        yield f"  Made without each {UNITS[result.unit]} in turn ({result.folds}), tried on it:"
        yield f"    the first settings: {_tried(result.first)}"
        yield f"    the best of up to {length}: {_tried(result.best)}"


def _costs(group: "TableGroup") -> Iterator[str]:
    # A row a table, a column a recipe.
    names = list(group.costs)
    width = max(len(table.name) for table in group.tables)
    yield f"  {'table':<{width}}  " + "  ".join(f"{name:>14}" for name in names)
    for row in zip(*group.costs.values(), strict=True):
        yield f"  {row[0].table:<{width}}  " + "  ".join(f"{_cost(cost):>14}" for cost in row)
    typical = [[cost.typical for cost in costs] for costs in group.costs.values()]
    medians = [Tried.of(regrets, []).median for regrets in typical]
    yield f"  {'median':<{width}}  " + "  ".join(f"{_number(m):>14}" for m in medians)
    yield (
        "  ?: nothing within a factor of 2 of the learning rate, 4 of rank, alpha/rank and batch, "
        "was measured."
    )
    yield "  A table without an axis for alpha was measured at its own, whatever the recipe's."
    yield f"  In noises: where {FREEDOM} repeats or more tell how large one is."
    yield from (f"  {r.name}: {r.source}" for r in RECIPES if r.name in names)


def _cost(cost: "Cost") -> str:
    noises = "" if math.isnan(cost.noises) else f" ({cost.noises:.0f})"
    return f"{_number(cost.typical)}{noises}"


def _number(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.2f}"
