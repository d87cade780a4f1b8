"""`ls`: what there is."""

import argparse
import json
import shutil
import sys
from textwrap import wrap
from typing import TYPE_CHECKING, TypedDict

from hpobench_llm.console import one_line, say
from hpobench_llm.errors import HpobenchError

if TYPE_CHECKING:
    from hpobench_llm.benchmarks import listing as benchmarks
    from hpobench_llm.benchmarks.suite import SuiteColumns
    from hpobench_llm.optimizers import listing as optimizers


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    ls = commands.add_parser("ls", help="list benchmarks, suites, optimizers, wrappers")
    ls.add_argument("what", choices=("benchmarks", "suites", "optimizers", "wrappers"), nargs="?")
    ls.add_argument("--json", action="store_true", help="as JSON")
    ls.set_defaults(run=_ls)


class Listing(TypedDict, total=False):
    """The listed entries, by kind."""

    benchmarks: dict[str, "benchmarks.Listed"]
    suites: dict[str, "SuiteColumns"]
    optimizers: dict[str, "optimizers.ListedOptimizer"]
    wrappers: dict[str, dict[str, str | int | float | None]]


def _ls(options: argparse.Namespace) -> int:
    listed: Listing = {}
    status = 0
    if options.what in (None, "benchmarks"):
        from hpobench_llm.benchmarks import listing as benchmarks

        listed["benchmarks"], errors = benchmarks.columns()
        for damage in errors:
            say(f"ls: error: {damage}")
            status = damage.exit_status
    if options.what in (None, "suites"):
        from hpobench_llm.benchmarks.suite import list_suites, suite

        listed["suites"] = {}
        for name, path in list_suites().items():
            try:
                listed["suites"][name] = suite(path).columns()
            except HpobenchError as error:
                say(f"ls: error: {error}")
                status = error.exit_status
    if options.what in (None, "optimizers"):
        from hpobench_llm.optimizers.listing import columns, lines

        listed["optimizers"] = columns()
    if options.what in (None, "wrappers"):
        from hpobench_llm.optimizers.registry import list_wrappers

        listed["wrappers"] = {n: wrapper.columns() for n, wrapper in list_wrappers().items()}
    if options.json:
        print(json.dumps(listed, indent=2))
        return status
    width = shutil.get_terminal_size().columns
    if "benchmarks" in listed:
        print("benchmarks")
        print("\n".join(map(one_line, benchmarks.lines(listed["benchmarks"], width))))
    if listed.get("suites"):
        print('suites, as in benchmarks = "suite:NAME"')
        for name, about in listed["suites"].items():
            tables = ", ".join(about["problems"])
            text = f"{name}  {about['version']}: {about['description']} {tables}"
            print("\n".join(_wrapped(one_line(text), width)))
    if "optimizers" in listed:
        print("optimizers")
        print("\n".join(lines(listed["optimizers"], width if sys.stdout.isatty() else None)))
    if "wrappers" in listed:
        print("wrappers, as in NAME+WRAPPER or NAME+WRAPPER:VALUE")
        for name, wrapper in listed["wrappers"].items():
            default = wrapper["default"]
            rule = "must be given" if default is None else f"{default} by default"
            text = f"{name}  {wrapper['summary']}; {wrapper['value']}: {rule}"
            print("\n".join(_wrapped(text, width)))
    return status


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, initial_indent="  ", subsequent_indent=" " * 6)
