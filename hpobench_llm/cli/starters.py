"""`init`: a commented file to start from."""

import argparse
import gzip
from importlib import resources
from pathlib import Path

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.console import say
from hpobench_llm.errors import HpobenchError
from hpobench_llm.locate import shipped

NEXT = {
    "study": "hpobench-llm replay {file} --out {stem}",
    "campaign": "collect-grid {file} --out {stem} --dry-run",
    "live": "hpobench-llm replay {file} --out {stem}",
}
MODEL = "{stem}-model"  # the campaign beside a live study
GENERATED = 800  # tasks, where there is no data
FEWEST = 20  # rows of data that three sets can be made of


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    init = commands.add_parser(
        "init",
        help="write a commented file to start from",
        description="Write a commented file to start from: a study, a campaign, a study that "
        "tunes a model of your own, or the spec of an import, which is proposed from a CSV file "
        "of yours.",
    )
    kinds = init.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, noun in (("study", "a study"), ("campaign", "a campaign")):
        starter = kinds.add_parser(kind, help=f"{noun} that runs as it stands")
        starter.add_argument(
            "file", type=Path, nargs="?", metavar="FILE.toml", help=f"{kind}.toml"
        )
        starter.set_defaults(run=_start)
    live = kinds.add_parser(
        "live",
        help="tune a model of your own",
        description="Write a study that tunes LoRA's settings on a model and data of your own, "
        "and beside it the campaign that says what is trained. Both run as they stand.",
    )
    live.add_argument("file", type=Path, nargs="?", metavar="FILE.toml", help="live.toml")
    live.add_argument(
        "--base", type=Path, metavar="DIR", help="the model: config.json, *.safetensors, tokenizer"
    )
    live.add_argument("--data", type=Path, metavar="ROWS.jsonl", help="what it is to learn")
    live.set_defaults(run=_start_live)
    bring = kinds.add_parser("import", help="a spec for a CSV file of tuning results")
    bring.add_argument("csv", type=Path, metavar="RUNS.csv")
    bring.add_argument("file", type=Path, nargs="?", metavar="FILE.toml", help="beside the CSV")
    bring.set_defaults(run=_propose)


def _start(options: argparse.Namespace) -> int:
    """Write a study or a campaign, with its own name in it."""
    file: Path = options.file or Path(f"{options.kind}.toml")
    _write(file, options.kind, {"base": str(shipped("collect/bases/tiny"))})
    return _say_next(options.kind, file)


def _start_live(options: argparse.Namespace) -> int:
    """Write a live study, and the campaign that it trains."""
    file: Path = options.file or Path("live.toml")
    campaign = file.with_name(f"{MODEL.format(stem=file.stem)}.toml")
    base: Path = options.base or shipped("collect/bases/tiny")
    if not base.is_dir():
        raise HpobenchError(f"--base {base}: no such folder")
    if options.data is not None and not options.data.is_file():
        raise HpobenchError(f"--data {options.data}: no such file")
    source = f"generated_tasks = {GENERATED}" if options.data is None else 'path = "{data}"'
    words = {"base": str(base.resolve()), "data": str(Path(options.data or "").resolve())}
    words |= _sizes(GENERATED if options.data is None else _rows_of(options.data))
    for path in (file, campaign):
        _refuse_if_there(path)
    _write(campaign, "live-model", words, source=source)
    _write(file, "live", {"campaign": str(campaign)})
    return _say_next("live", file)


def _rows_of(data: Path) -> int:
    """Return the number of lines that are not empty, of plain text or gzip.

    Raises:
        HpobenchError: too few for three sets, or the file cannot be read.
    """
    try:
        with gzip.open(data) if data.suffix == ".gz" else data.open("rb") as stream:
            rows = sum(bool(line.strip()) for line in stream)
    except (OSError, EOFError) as error:
        raise HpobenchError(f"--data {data}: cannot be read: {error}") from None
    if rows < FEWEST:
        raise HpobenchError(f"--data {data}: {rows} rows; {FEWEST} are needed, more are better")
    return rows


def _sizes(rows: int) -> dict[str, str]:
    """Return sizes of the three sets that so many rows are likely to give.

    A hash sets about a tenth of all rows aside for each of the two small sets; half of that is
    safe to ask for.
    """
    small = min(32, rows // 20)
    return {"train_rows": str(min(256, rows * 7 // 10)), "val_rows": str(small)}


def _write(file: Path, template: str, words: dict[str, str], source: str = "") -> None:
    """Write a file from its template, in which `words` are texts; `source` is TOML itself."""
    _refuse_if_there(file)
    text = resources.files("hpobench_llm") / "starters" / f"{template}.toml"
    content = text.read_text(encoding="utf-8").replace("{source}", source)
    for word, value in {"file": str(file), "stem": file.stem, **words}.items():
        # Words stand in TOML's strings, where these two characters need an escape.
        content = content.replace(f"{{{word}}}", value.replace("\\", "\\\\").replace('"', '\\"'))
    write_atomically(file, content)
    print(file)


def _refuse_if_there(file: Path) -> None:
    if file.exists():
        raise HpobenchError(f"{file}: exists and is not overwritten; name another file")


def _say_next(kind: str, file: Path) -> int:
    say(f"Edit it, then: {NEXT[kind].format(file=file, stem=file.stem)}")
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
