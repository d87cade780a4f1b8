"""The axes of a search space, and what counts as a value of one."""

import math
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from hpobench_llm.errors import ConfigurationError, nearest, shown

Value = int | float | str
_NUMBERS = (int, float, np.integer, np.floating)
_WHOLE = 2**53  # up to here floats tell whole numbers apart
_ROUNDING = 2.0**-24  # the relative error of a number that was once stored in 32 bits


@dataclass(frozen=True, slots=True)
class Float:
    """A real interval `[low, high]`.

    Example:
        >>> Float("dropout", 0.0, 0.5).from_unit(0.5)
        0.25
    """

    name: str
    low: float
    high: float
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, log=self.log)

    def canonical(self, value: object) -> float:
        """Return the value as a float inside the bounds."""
        if type(value) is float and self.low <= value <= self.high:  # the common case, at once
            return value + 0.0  # and -0.0 becomes 0.0: equal values have one id
        number = _number(self.name, value)
        inside = min(max(number, self.low), self.high)
        if not math.isclose(number, inside, rel_tol=_ROUNDING):
            raise _outside(self.name, value, f"[{self.low}, {self.high}]")
        return float(inside) + 0.0

    @property
    def levels(self) -> None:
        """None: an interval has no list of values."""
        return None

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, log=self.log)

    def from_unit(self, unit: float) -> float:
        """Map [0, 1] to a value."""
        return min(max(_from_unit(unit, self.low, self.high, log=self.log), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Integer:
    """The integers from `low` to `high`, both included.

    Example:
        >>> Integer("layers", 1, 12).to_unit(12)
        1.0
    """

    name: str
    low: int
    high: int
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        _check_bounds(self.name, self.low, self.high, log=self.log)
        if max(abs(self.low), abs(self.high)) > _WHOLE:
            raise ValueError(
                f"`{self.name}`: bounds within -2^53 and 2^53 are expected, where a float tells "
                f"whole numbers apart; got [{self.low}, {self.high}]"
            )

    def canonical(self, value: object) -> int:
        """Return the value as an int inside the bounds."""
        if type(value) is int and self.low <= value <= self.high:  # the common case, at once
            return value
        number = _number(self.name, value)
        if number != int(number):
            raise ConfigurationError(f"`{self.name}`: an integer is expected, got {shown(value)}")
        if not self.low <= number <= self.high:
            raise _outside(self.name, value, f"[{self.low}, {self.high}]")
        return int(number)

    @property
    def levels(self) -> None:
        """None: an interval has no list of values."""
        return None

    def to_unit(self, value: Value) -> float:
        """Map a value to [0, 1]."""
        return _to_unit(float(value), self.low, self.high, log=self.log)

    def from_unit(self, unit: float) -> int:
        """Map [0, 1] to the nearest integer."""
        number = round(_from_unit(unit, self.low, self.high, log=self.log))
        return min(max(number, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Ordinal:
    """A finite, increasing list of numbers; `log` spaces the unit encoding by their logarithm.

    Example:
        >>> Ordinal("rank", (4, 16, 64), log=True).from_unit(0.6)
        16
    """

    name: str
    values: tuple[int | float, ...]
    log: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"`{self.name}`: the list of values is empty")
        if not all(map(_finite, self.values)):
            raise ValueError(f"`{self.name}`: values must be finite: {list(self.values)}")
        # As floats, which whole numbers from 2^53 up may share.
        if any(float(a) >= float(b) for a, b in zip(self.values, self.values[1:], strict=False)):
            raise ValueError(f"`{self.name}`: values must increase as floats: {list(self.values)}")
        if self.log and self.values[0] <= 0:
            raise ValueError(f"`{self.name}`: log needs positive values, got {self.values[0]}")

    def canonical(self, value: object) -> int | float:
        """Return the value as the axis spells it."""
        if (type(value) is float or type(value) is int) and value in self.values:
            return self.values[self.values.index(value)]  # the common case, at once
        return self.values[self.level(value)]

    @property
    def levels(self) -> tuple[int | float, ...]:
        """The values of the axis, in order."""
        return self.values

    def level(self, value: object) -> int:
        """Return the index of a value, which may have been rounded to 32 bits."""
        number = _number(self.name, value)
        if number in self.values:
            return self.values.index(number)
        close = min(self.values, key=lambda other: abs(other - number))
        if not math.isclose(number, close, rel_tol=_ROUNDING):
            raise ConfigurationError(
                f"`{self.name}`: {shown(value)} is not on its axis {list(self.values)}; "
                f"nearest: {close}"
            )
        return self.values.index(close)

    def to_unit(self, value: Value) -> float:
        """Map a value of the axis to [0, 1]."""
        return _to_unit(float(value), self.values[0], self.values[-1], log=self.log)

    def from_unit(self, unit: float) -> int | float:
        """Map [0, 1] to the value nearest in the unit encoding."""
        return min(self.values, key=lambda value: abs(self.to_unit(value) - unit))


@dataclass(frozen=True, slots=True)
class Categorical:
    """A finite list of names without an order.

    Example:
        >>> Categorical("schedule", ("cosine", "linear")).level("linear")
        1
    """

    name: str
    values: tuple[str, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"`{self.name}`: the list of values is empty")
        if not all(isinstance(value, str) for value in self.values):
            raise ValueError(f"`{self.name}`: names are expected: {list(self.values)}")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"`{self.name}`: two values are equal: {list(self.values)}")

    def canonical(self, value: object) -> str:
        """Return the value if it is one of the names."""
        return self.values[self.level(value)]

    @property
    def levels(self) -> tuple[str, ...]:
        """The names, in the order in which they were given."""
        return self.values

    def level(self, value: object) -> int:
        """Return the index of a value."""
        if not isinstance(value, str) or value not in self.values:
            raise ConfigurationError(
                f"`{self.name}`: unknown value {shown(value)}{nearest(value, self.values)}"
            )
        return self.values.index(str(value))

    def to_unit(self, value: Value) -> float:
        """Map a name to its place in [0, 1]."""
        return _to_unit(self.values.index(str(value)), 0, len(self.values) - 1, log=False)

    def from_unit(self, unit: float) -> str:
        """Map [0, 1] to a name."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]


Dimension = Float | Integer | Ordinal | Categorical


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number of Python or numpy; a truth value is none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number that a float can hold, and is neither infinite nor NaN."""
    return is_number(value) and _finite(value)


def check_seed(seed: object, name: str = "seed") -> int:
    """Return a seed as a plain integer.

    Raises:
        ConfigurationError: it is no whole number from 0 up.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigurationError(
            f"`{name}`: a whole number from 0 up is expected, got {shown(seed)}"
        )
    return int(seed)


def _number(name: str, value: object) -> float:
    if not is_number(value):
        raise ConfigurationError(f"`{name}`: a number is expected, got {shown(value)}")
    if not _finite(value):
        raise ConfigurationError(f"`{name}`: a finite number is expected, got {shown(value)}")
    return float(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def _outside(name: str, value: object, bounds: str) -> ConfigurationError:
    return ConfigurationError(f"`{name}`: {shown(value)} is outside its range {bounds}")


def _check_bounds(name: str, low: float, high: float, *, log: bool) -> None:
    if not (_finite(low) and _finite(high) and low < high):
        raise ValueError(f"`{name}`: low must be below high, both finite; got [{low}, {high}]")
    if log and low <= 0:
        raise ValueError(f"`{name}`: log needs positive bounds, got low = {low}")


def _to_unit(value: float, low: float, high: float, *, log: bool) -> float:
    if high == low:
        return 0.0
    if log:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def _from_unit(unit: float, low: float, high: float, *, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
    return low + unit * (high - low)
