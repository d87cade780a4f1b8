"""The gate: which surrogates `load` refuses unless told otherwise, by their own quality record."""

from collections.abc import Sequence

from hpobench_llm.metrics import Fidelity
from hpobench_llm.surrogates.record import Quality, QualityFigures, TargetRecord

SHARE_OF_CEILING = 0.5


def why_poor(quality: Quality, fidelities: Sequence[Fidelity]) -> str:
    """Return what is wrong with a surrogate, as the end of a sentence; empty if nothing is.

    It may rank optimizers unlike its table, or have its best in the wrong place. Or it may
    explain less than half of the variance, of its objective in full, that can be explained.
    """
    check = quality.get("ranking_check")
    if not check:
        return "was never put to the ranking check (`hpobench-llm fit` ends with it)"
    if not check["passed"]:
        return f"did not pass its ranking check: {check['verdict']}"
    if "location" not in check:
        return (
            "passed a ranking check of an older design, which did not ask where the best lies; "
            "`hpobench-llm fit TABLE --out DIR --check-only` makes it again"
        )
    figures = in_full(quality["targets"][check["objective"]], fidelities)
    r2, ceiling = figures["r2"], figures["r2_ceiling"]
    if r2 is None:  # all values in full are equal, so that there is nothing to explain
        return ""
    least = SHARE_OF_CEILING * (1.0 if ceiling is None else ceiling)
    if r2 > 0 and r2 >= least:
        return ""
    limit = "no seed repeats" if ceiling is None else f"{ceiling:.2f} could be reached"
    return (
        f"predicts {check['objective']} in full of configurations that it has not seen with "
        f"R² {r2:.2f}: not above 0, or less than {SHARE_OF_CEILING:.0%} of what seeds allow "
        f"({limit})"
    )


def in_full(target: TargetRecord, fidelities: Sequence[Fidelity]) -> QualityFigures:
    """Return the figures of a target at full fidelity, or of all rows where full has none."""
    full = {axis.name: float(axis.full) for axis in fidelities}
    for figures in target["by_fidelity"]:
        if figures["fidelity"] == full:
            return figures
    return target["all"]
