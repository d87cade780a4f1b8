"""The page of a live study while it runs: the best so far, and every trial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.benchmarks.best_run import read_about
from hpobench_llm.metrics import Metric
from hpobench_llm.report.canvas import WIDTH_INCHES, Picture, house_style, svg_of
from hpobench_llm.report.looks import in_legend_as, looks
from hpobench_llm.report.web.document import Figures, document
from hpobench_llm.report.words import label, words

FILE = "progress.html"
SECONDS_TO_RELOAD = 15
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FollowedBenchmark:
    """A live benchmark as the page shows it: its metric, axes, and where its best adapter lies.

    `runs`, one a seed, are trained for a trial, which is their mean.
    """

    name: str
    metric: Metric
    axes: tuple[str, ...]
    best: Path
    runs: int = 1

    def adapter(self) -> str:
        """Return which run the best adapter is of, in words; empty while there is none."""
        about = read_about(self.best)
        if about is None:
            return ""
        settings = [f"{axis} {_digits(str(v))}" for axis, v in about.configuration.items()]
        of = ", ".join([*settings, f"seed {about.seed}"])
        return f"of the best single run: {of}; {about.metric} {_digits(str(about.value))}"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says of one benchmark: `rows` are its trials, the last to end first."""

    benchmark: FollowedBenchmark
    heading: str
    rows: Sequence[Row]
    best: Row | None
    adapter: str
    figure: object


def write_live_page(
    path: Path,
    title: str,
    benchmarks: Sequence[FollowedBenchmark],
    rows: Sequence[Row],
    *,
    trials: float,
    running: bool,
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        title: of the study.
        benchmarks: its live ones.
        rows: the trials in the order in which they ended, as text by column.
        trials: how many there are to be; NaN: the budget counts something else.
        running: whether the page loads itself again.

    Raises:
        OSError: it cannot be written.
    """
    figures = Figures()
    shown = []
    for number, benchmark in enumerate(benchmarks):
        trials_here = [row for row in rows if row["benchmark"] == benchmark.name]
        best = best_of(benchmark, trials_here)
        shown.append(
            Shown(
                benchmark,
                f"benchmark-{number}",
                [*map(_short, trials_here[::-1])],
                best and _short(best),
                benchmark.adapter(),
                figures.of(_curves(benchmark, trials_here), None),
            )
        )
    text = document(
        "live.html",
        title=title,
        contents=[(section.heading, section.benchmark.name) for section in shown],
        still=True,
        shown=shown,
        done=len(rows),
        trials=None if math.isnan(trials) else round(trials),
        seconds=SECONDS_TO_RELOAD if running else 0,
    )
    write_atomically(path, text)


def best_of(benchmark: FollowedBenchmark, rows: Sequence[Row]) -> Row | None:
    """Return the trial with the best metric, None where none is ok."""
    successes = [row for row in rows if row["status"] == "ok" and row[benchmark.metric.name]]
    return min(
        successes,
        key=lambda row: benchmark.metric.to_loss(float(row[benchmark.metric.name])),
        default=None,
    )


def _short(row: Row) -> Row:
    """Return a row whose fractions have four digits."""
    return {name: _digits(text) for name, text in row.items()}


def _digits(text: str) -> str:
    """Return a text as it is, unless it is a fraction: then with four digits."""
    try:
        return text if text.isdecimal() else f"{float(text):.4g}"
    except ValueError:
        return text


def _curves(benchmark: FollowedBenchmark, rows: Sequence[Row]) -> Picture | None:
    """Draw the best so far of every replay over its trials."""
    lines: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        line = lines.setdefault((row["optimizer"], row["seed"]), [])
        line.append(float(row["best"]) if row["best"] else math.nan)
    if not any(math.isfinite(value) for line in lines.values() for value in line):
        return None
    name = words(benchmark.metric.name)
    title = f"Best {name} so far on {benchmark.name}"
    styles = looks(sorted({optimizer for optimizer, _ in lines}))
    with house_style(title):
        figure = Figure(figsize=(WIDTH_INCHES, 3.4))
        axes = figure.add_axes((0.085, 0.14, 0.89, 0.83))
        in_legend: set[str] = set()  # an optimizer has a line a seed, and one entry
        for (optimizer, _), line in lines.items():
            colour, dashes = styles[optimizer]
            axes.step(
                range(1, len(line) + 1),
                line,
                where="post",
                marker=".",
                color=colour,
                linestyle=dashes,
                label=None if optimizer in in_legend else in_legend_as(optimizer),
            )
            in_legend.add(optimizer)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trials that have ended", ylabel=label(name, benchmark.metric.unit))
        axes.legend()
        caption = f"{title}, a line a replay ({len(lines)})."
        return Picture(svg_of(figure, title), caption)
