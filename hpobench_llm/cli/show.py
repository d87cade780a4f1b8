"""`show`: a table at a glance, on a terminal or as a page."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    show = commands.add_parser(
        "show",
        help="a table at a glance: axes, landscape, importance, noise, how hard it is",
        description="Show a table: what was measured, how the objective lies along each axis, "
        "which axes matter, curves, loss against scores, noise, what random search and a sweep of "
        "the learning rate are expected to miss, and its surrogate.",
    )
    show.add_argument("table", metavar="TABLE", help="name or folder of a table")
    show.add_argument("--html", type=Path, metavar="FILE", help="write a page instead")
    show.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from hpobench_llm.report.overview import overview
    from hpobench_llm.report.table_page import write_table_page
    from hpobench_llm.report.terminal import lines

    view = overview(options.table)
    if options.html is None:
        print("\n".join(lines(view)))
    else:
        print(write_table_page(options.html, view))
    return 0
