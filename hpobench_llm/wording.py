"""Names and numbers as a reader expects them."""

_SPELLED = {"val": "validation", "lr": "learning rate"}


def words(name: str) -> str:
    """Return a column's name in words: `val_loss` is "validation loss"."""
    if name.startswith("score_"):
        return f"{name.removeprefix('score_').replace('_', ' ')} score"
    return " ".join(_SPELLED.get(part, part) for part in name.split("_"))


def label(name: str, unit: str) -> str:
    """Return a column's name in words with its unit; the unit "1" is none."""
    return words(name) if unit in ("", "1") else f"{words(name)} ({unit})"


def number(value: object) -> str:
    """Return a number with three significant digits, without leading zeros in its exponent."""
    if not isinstance(value, int | float):
        return str(value)
    if value and abs(value) < 1e-3:
        digits, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
