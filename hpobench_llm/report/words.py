"""Numbers and names as a reader expects them."""

from collections.abc import Mapping

from hpobench_llm.comparison.result import Interval, Overall
from hpobench_llm.comparison.spending import IN_FULL, TRIALS
from hpobench_llm.constraints import Constraint
from hpobench_llm.metrics import Fidelity
from hpobench_llm.replaying.budget import SECONDS, TOKENS
from hpobench_llm.wording import label, number, words

__all__ = [
    "bound",
    "count",
    "counted",
    "identity",
    "interval",
    "label",
    "listed",
    "number",
    "overall",
    "p_value",
    "percent",
    "rank_interval",
    "reached",
    "some",
    "with_unit",
    "words",
]

MANY = 8  # names in a sentence
MANY_AMOUNTS = 12


def with_unit(text: str, unit: str) -> str:
    """Return a number followed by its unit; the unit "1" is none."""
    return text if unit in ("", "1") else f"{text} {unit}"


def interval(estimate: Interval) -> str:
    """Return an estimate with its interval in brackets, three significant digits each."""
    value, low, high = (
        f"{x:#.3g}" if 1e-3 <= abs(x) < 1000 else number(x)
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def rank_interval(estimate: Interval) -> str:
    """Return a mean rank with its interval in brackets, two decimals each."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def percent(share: float) -> str:
    """Return a share in per cent, without decimals."""
    return f"{100 * share:.0f} %"


def p_value(p: float) -> str:
    """Return a p-value: three decimals, or that it is below a thousandth."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def overall(test: Overall) -> str:
    """Return the result of a test of all optimizers in words."""
    p = p_value(test.p)
    return (
        f"{test.test} over all optimizers: chi-square {number(test.statistic)}, "
        f"p {p if p.startswith('<') else f'= {p}'}"
    )


def count(n: int, noun: str) -> str:
    """Return a count with its noun, in the plural where it belongs."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(names: list[str]) -> str:
    """Return names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def some(names: list[str], most: int = MANY) -> str:
    """Return names as a list in a sentence: `most` at most, and how many more."""
    if len(names) <= most:
        return listed(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def counted(spending: str) -> str:
    """Return the unit of a budget in the plural, such as "simulated seconds"."""
    if spending == SECONDS:
        return "simulated seconds"
    plural = spending in (TRIALS, IN_FULL, TOKENS) or spending.endswith("s")
    return words(spending) if plural else f"{words(spending)}s"


def counted_axis(axis: Fidelity) -> str:
    """Return a fidelity's values in words; if they are many, the first and the last."""
    values = ", ".join(map(number, axis.values))
    if len(axis.values) > MANY_AMOUNTS:
        ends = f"{number(axis.values[0])} to {number(axis.values[-1])}"
        values = f"{len(axis.values)} values from {ends}"
    return f"{axis.name}: {with_unit(values, axis.unit)}"


def reached(amount: float, spending: str) -> str:
    """Return an amount of a budget in words, such as "50 trials"."""
    if spending == TRIALS:
        return count(int(amount), "trial")
    return f"{number(amount)} {counted(spending)}"


def identity(facts: Mapping[str, str]) -> str:
    """Return a benchmark's identity in one line: its kind first, then all else."""
    return "; ".join(value if key == "kind" else f"{key} {value}" for key, value in facts.items())


def bound(constraint: Constraint) -> str:
    """Return a constraint in words, such as "peak memory bytes at most 2e9 bytes"."""
    side = "at most" if constraint.direction == "minimize" else "at least"
    value = with_unit(f"{constraint.bound:.4g}", constraint.unit)
    return f"{words(constraint.name)} {side} {value}"
