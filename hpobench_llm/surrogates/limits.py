"""What a surrogate is not good for, said by its own figures."""

from operator import itemgetter

from hpobench_llm.surrogates.record import DrawsRecord, Quality, QualityFigures
from hpobench_llm.surrogates.words import at_highest, of_kind, percent, shown, small

_WEAK_R2, _COVERAGE_SLACK, _INNER_COVERAGE = 0.8, 0.05, 0.8
_DRAWN_APART = 2.0  # times the measured deviation, or as little as its half


def limits(quality: Quality) -> list[str]:
    """Return the card's section, one line for each weakness."""
    lines = []
    check = quality.get("ranking_check")
    if not check:
        lines.append("Ranking optimizers: it was never put to the ranking check.")
    elif not check["passed"]:
        lines.append(f"Ranking optimizers: {check['verdict']}.")
    for name, target in of_kind(quality, "metric").items():
        full = at_highest(target)
        if full["r2"] is None or full["r2"] < _WEAK_R2:
            lines.append(f"`{name}`: R² {shown(full['r2'])} at the highest fidelity.")
        for nominal, share in full.get("coverage", {}).items():
            if share is not None and share < float(nominal) - _COVERAGE_SLACK:
                lines.append(
                    f"`{name}`: its {float(nominal):.0%} intervals hold {share:.1%} of the runs "
                    "at the highest fidelity."
                )
        # Of inner levels; all regions are judged by R² below.
        inner = [
            f"{region['axis']} = {region['left_out']} ({percent(region['coverage']['0.9'])})"
            for region in target["extrapolation"]
            if region["kind"] == "inner" and (region["coverage"]["0.9"] or 0.0) < _INNER_COVERAGE
        ]
        if inner:
            lines.append(
                f"`{name}` between the levels of an axis: without an inner level in its table its "
                f"90 % intervals hold too few runs there: {', '.join(inner)}."
            )
        regions = [(r2, e) for e in target["extrapolation"] if (r2 := e["r2"]) is not None]
        r2, worst = min(regions, key=itemgetter(0), default=(1.0, QualityFigures()))
        if r2 < _WEAK_R2:
            lines.append(
                f"`{name}` where nothing near was measured: without {worst['axis']} = "
                f"{worst['left_out']} in its table, R² there is {shown(r2)}."
            )
        best = target.get("best_quarter", QualityFigures())
        inside = best.get("r2")
        if inside is not None and inside < _WEAK_R2:
            lines.append(
                f"`{name}` among the best quarter of configurations: R² {shown(inside)}, "
                f"Kendall's tau {shown(best['kendall_tau'])}."
            )
        lines += _odd_draws(name, quality.get("draws", {}).get(name))
    if not quality["seeds_repeat"]:
        lines.append(
            "The noise of seeds: no configuration was run with two, so noise cannot be told from "
            "the model's error; draws have the size of both."
        )
    return ["## Not good for", "", *(f"- {line}" for line in lines or ["nothing that shows here"])]


def _odd_draws(name: str, draws: DrawsRecord | None) -> list[str]:
    """Say where draws of a seed are no likely runs."""
    if not draws or not draws["regions"]:
        return []
    lines = []
    good, best = draws["regions"][0], draws["best"]
    if good["measured"] and good["drawn"]:
        times = good["drawn"] / good["measured"]
        if not 1 / _DRAWN_APART <= times <= _DRAWN_APART:
            lines.append(
                f"Draws of `{name}` in the best quarter: their seeds lie {times:.2f} times as far "
                "apart as measured ones."
            )
    if best["measured"] is not None and len(best["drawn"]) == 3:
        low, _, high = best["drawn"]
        if not low <= best["measured"] <= high:
            lines.append(
                f"The best draw of `{name}` in a table: {small(low)} to {small(high)}, measured "
                f"{best['measured']:.4g}."
            )
    return lines
