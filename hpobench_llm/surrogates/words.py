"""A surrogate's quality in a few lines, for a terminal and beside results."""

from collections.abc import Sequence

from hpobench_llm.metrics import Fidelity
from hpobench_llm.surrogates.gate import in_full
from hpobench_llm.surrogates.record import Quality, QualityFigures, TargetRecord


def summary(quality: Quality) -> list[str]:
    """Return a few lines for a terminal: each target at its highest fidelity, held out."""
    lines = [
        f"{'target':<24} {'family':<8} {'R2':>6} {'best 1/4':>8} {'tau':>6} {'MAE':>9} "
        f"{'in 90 %':>8}"
    ]
    for name, target in of_kind(quality, "metric").items():
        full = at_highest(target)
        lines.append(
            f"{name:<24} {target['family']:<8} {shown(full['r2']):>6} "
            f"{shown(target.get('best_quarter', {}).get('r2')):>8} "
            f"{shown(full['kendall_tau']):>6} "
            f"{small(full['mean_absolute_error']):>9} "
            f"{percent(full.get('coverage', {}).get('0.9')):>8}"
        )
    for name, target in of_kind(quality, "probability").items():
        full = at_highest(target)
        lines.append(
            f"{name:<24} {target['family']:<8} Brier {small(full.get('brier'))}, "
            f"of the share {small(full.get('brier_of_the_share'))}"
        )
    for name, cost in quality["resources"].items():
        lines.append(
            f"{name:<24} {cost['families'][0]:<8} {shown(cost['r2']):>6} {'':>8} "
            f"{shown(cost['kendall_tau']):>6} {small(cost['mean_absolute_error']):>9}"
        )
    check = quality.get("ranking_check")
    return [*lines, f"ranking check: {check['verdict'] if check else 'not made'}"]


def in_words(quality: Quality, fidelities: Sequence[Fidelity]) -> dict[str, str]:
    """Return what has to stand beside results: held-out quality and the ranking check."""
    check = quality.get("ranking_check")
    objective = check["objective"] if check else [*of_kind(quality, "metric"), ""][0]
    target = quality["targets"][objective]
    full, best = in_full(target, fidelities), target.get("best_quarter", {})
    quarter = f", in the best quarter {shown(best['r2'])}" if best.get("cells") else ""
    return {
        "held-out quality in full": (
            f"{objective}: R² {shown(full['r2'])} (ceiling {shown(full['r2_ceiling'])}){quarter}; "
            f"Kendall's tau {shown(full['kendall_tau'])}"
        ),
        "ranking check": check["verdict"] if check else "not made",
    }


def of_kind(quality: Quality, kind: str) -> dict[str, TargetRecord]:
    """Return the targets that are metrics, or probabilities."""
    return {n: target for n, target in quality["targets"].items() if target["kind"] == kind}


def at_highest(target: TargetRecord) -> QualityFigures:
    """Return the figures at the highest judged fidelity; without any, those of all rows."""
    return target["by_fidelity"][-1] if target["by_fidelity"] else target["all"]


def shown(value: float | None) -> str:
    """Return a number with three decimals."""
    return "-" if value is None else f"{value:.3f}"


def small(value: float | None) -> str:
    """Return a number with three digits."""
    return "-" if value is None else f"{value:.3g}"


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return "-" if value is None else f"{value:.1%}"
