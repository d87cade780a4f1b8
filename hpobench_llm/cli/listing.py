"""`ls`: what there is."""

import argparse
import json
import shutil
import sys
from typing import Any

from hpobench_llm.console import one_line, say
from hpobench_llm.errors import HpobenchError, IntegrityError


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    ls = commands.add_parser("ls", help="list benchmarks, suites, optimizers, wrappers")
    ls.add_argument("what", choices=("benchmarks", "suites", "optimizers", "wrappers"), nargs="?")
    ls.add_argument("--json", action="store_true", help="as JSON")
    ls.set_defaults(run=_ls)


def _ls(options: argparse.Namespace) -> int:
    listed: dict[str, Any] = {}
    status = 0
    if options.what in (None, "benchmarks"):
        from hpobench_llm.benchmarks.catalogue import TOYS
        from hpobench_llm.locate import list_artefacts
        from hpobench_llm.tables.table import Table
        from hpobench_llm.tables.worth import density_of

        listed["benchmarks"] = {}
        for name, folder in list_artefacts("tables").items():
            try:
                table = Table.load(folder)
            except IntegrityError as error:
                say(f"ls: error: {error}")
                status = error.exit_status
                continue
            metadata = table.metadata
            axes = ", ".join(metadata.space.names)
            listed["benchmarks"][name] = (
                f"table {metadata.version}: {axes}; {density_of(table)}; {folder}"
            )
        listed["benchmarks"] |= dict.fromkeys(TOYS, "closed form, for tests")
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
    if "benchmarks" in listed:
        print("benchmarks")
        widest = max(map(len, listed["benchmarks"]))
        for name, about in listed["benchmarks"].items():
            print(one_line(f"  {name.ljust(widest)}  {about}"))
    if listed.get("suites"):
        print('suites, as in benchmarks = "suite:NAME"')
        widest = max(map(len, listed["suites"]))
        for name, about in listed["suites"].items():
            tables = ", ".join(about["problems"])
            line = f"  {name.ljust(widest)}  {about['version']}: {about['description']} {tables}"
            print(one_line(line))
    if "optimizers" in listed:
        print("optimizers")
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(lines(listed["optimizers"], width)))
    if "wrappers" in listed:
        print("wrappers, as in NAME+WRAPPER or NAME+WRAPPER:VALUE")
        widest = max(map(len, listed["wrappers"]))
        for name, about in listed["wrappers"].items():
            default = about["default"]
            given = "must be given" if default is None else f"{default} by default"
            print(f"  {name.ljust(widest)}  {about['summary']}; {about['value']}: {given}")
    return status
