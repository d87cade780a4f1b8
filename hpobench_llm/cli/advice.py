"""`advise`: which settings to try first."""

import argparse
import json


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    advise = commands.add_parser(
        "advise",
        help="which settings to try first, by all tables at hand",
        description="Say which settings to try first, by all tables at hand: the best learning "
        "rate by rank and batch, a small portfolio that is near the best everywhere, and what "
        "well-known settings would have cost.",
    )
    advise.add_argument("table", nargs="*", help="names or folders; all tables without one")
    advise.add_argument("--suite", metavar="NAME", help="the tables and objectives of a suite")
    advise.add_argument(
        "--length", type=int, default=4, metavar="N", help="of the portfolio (default 4)"
    )
    advise.add_argument(
        "--near",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of a typical regret that still counts as near the best (default 0.1)",
    )
    form = advise.add_mutually_exclusive_group()
    form.add_argument(
        "--peft", action="store_true", help="a LoraConfig and training arguments to paste"
    )
    form.add_argument("--json", action="store_true", help="as JSON")
    advise.set_defaults(run=_advise)


def _advise(options: argparse.Namespace) -> int:
    from hpobench_llm.advice.advise import advise

    advice = advise(
        options.table or None, suite=options.suite, length=options.length, near=options.near
    )
    if options.json:
        print(json.dumps(advice.to_json(), indent=2))
    else:
        print(advice.peft() if options.peft else advice.summary())
    return 0
