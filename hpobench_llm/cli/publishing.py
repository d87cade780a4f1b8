"""`publish`: tables and studies as a site, and on a hub."""

import argparse
from pathlib import Path

from hpobench_llm.console import say


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    publish = commands.add_parser(
        "publish",
        help="tables and studies as a static site with cards, and on a hub",
        description="Write tables and studies as a static site: an index, a page and a card a "
        "table with its files, sums, licence and Croissant, a page a study, a leaderboard.",
    )
    publish.add_argument("folder", type=Path, metavar="DIR", help="an earlier site is replaced")
    publish.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help="a name or folder, several times; default: all that state a licence",
    )
    publish.add_argument(
        "--study",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a study's folder after hpobench-llm compare, several times",
    )
    publish.add_argument("--title", help="of the site")
    publish.add_argument(
        "--to", default="", metavar="hf://ORG/NAME", help="a data set on a hub: one commit of all"
    )
    publish.set_defaults(run=_publish)


def _publish(options: argparse.Namespace) -> int:
    from hpobench_llm.publishing.site import TITLE, publish

    published = publish(
        options.folder,
        tables=options.table,
        studies=options.study,
        title=options.title or TITLE,
        to=options.to,
    )
    for name, reason in published.left_out.items():
        say(f"publish: left out {name}: {reason}")
    for study, names in published.elsewhere.items():
        say(f"publish: {study} holds values of {', '.join(names)}, published without their tables")
    print(published.folder)
    if published.commit:
        print(published.commit)
    return 0
