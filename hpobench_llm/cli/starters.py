"""`init`: a commented file to start from."""

import argparse
from importlib import resources
from pathlib import Path

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.console import say
from hpobench_llm.errors import HpobenchError
from hpobench_llm.locate import shipped

NEXT = {
    "study": "hpobench-llm replay {file} --out {stem}",
    "campaign": "collect-grid {file} --out {stem} --dry-run",
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    init = commands.add_parser(
        "init",
        help="write a commented file to start from",
        description="Write a commented file to start from: a study, a campaign, or the spec of an "
        "import, which is proposed from a CSV file of yours.",
    )
    kinds = init.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind in NEXT:
        one = kinds.add_parser(kind, help=f"a {kind} that runs as it stands")
        one.add_argument("file", type=Path, nargs="?", metavar="FILE.toml", help=f"{kind}.toml")
        one.set_defaults(run=_start)
    bring = kinds.add_parser("import", help="a spec for a CSV file of tuning results")
    bring.add_argument("csv", type=Path, metavar="RUNS.csv")
    bring.add_argument("file", type=Path, nargs="?", metavar="FILE.toml", help="beside the CSV")
    bring.set_defaults(run=_propose)


def _start(options: argparse.Namespace) -> int:
    """Write a study or a campaign, with its own name in it."""
    file: Path = options.file or Path(f"{options.kind}.toml")
    if file.exists():
        raise HpobenchError(f"{file}: exists and is not overwritten; name another file")
    template = resources.files("hpobench_llm") / "starters" / f"{options.kind}.toml"
    content = template.read_text(encoding="utf-8")
    words = {"file": str(file), "stem": file.stem, "base": str(shipped("collect/bases/tiny"))}
    for word, text in words.items():
        content = content.replace(f"{{{word}}}", text.replace("\\", "\\\\").replace('"', '\\"'))
    write_atomically(file, content)
    print(file)
    say(f"Edit it, then: {NEXT[options.kind].format(file=file, stem=file.stem)}")
    return 0


def _propose(options: argparse.Namespace) -> int:
    """Write the spec of an import."""
    from hpobench_llm.tables.importers.command import propose

    file: Path = options.file or options.csv.with_suffix(".toml")
    files, notes = propose(file, csv=options.csv)
    print("\n".join(map(str, files)))
    for note in notes:
        say(f"  {note}")
    say(f"Edit it, then: hpobench-llm import generic --spec {file}")
    return 0
