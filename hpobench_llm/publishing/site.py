"""`publish`: tables and studies as one folder, written whole or not at all, and sent to a hub."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpobench_llm.artefacts import read_json, sha256_of_file, write_atomically, write_json
from hpobench_llm.errors import DataError, HpobenchError, IntegrityError
from hpobench_llm.hub import Repository, repository_of, send
from hpobench_llm.locate import find_artefact, list_artefacts
from hpobench_llm.publishing import pages
from hpobench_llm.publishing.cards import site_card, table_card
from hpobench_llm.publishing.studies import FILES, PublishedStudy, read_study_folder
from hpobench_llm.tables.card import card
from hpobench_llm.tables.croissant import croissant
from hpobench_llm.tables.figures import write_figures
from hpobench_llm.tables.importers.staging import staging
from hpobench_llm.tables.licences import is_stated, licence_text
from hpobench_llm.tables.schema import CROISSANT_FILE, EXAMPLES_FILE, METADATA_FILE, TABLE_FILE
from hpobench_llm.tables.table import Table

MANIFEST, FORMAT = "published.json", 1
TITLE = "Tables and studies of hyperparameter optimization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A publication: its folder, tables and studies, and the tables left out, with reasons.

    `elsewhere` names by study the benchmarks whose tables are not published with it, though its
    trials hold values of them. `commit` is the address of the hub's commit, empty if nothing was
    sent.
    """

    folder: Path
    tables: tuple[str, ...]
    studies: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, list[str]] = field(default_factory=dict)
    commit: str = ""


def publish(
    out: str | Path,
    *,
    tables: Sequence[str | Path] | None = None,
    studies: Sequence[str | Path] = (),
    title: str = TITLE,
    to: str = "",
) -> Published:
    """Write tables and studies as a static site with cards and data, and send it to a hub.

    Args:
        out: the folder to write; an earlier publication there is replaced, anything else is not.
        tables: names or folders; by default all at hand that state a licence.
        studies: folders of studies that were compared.
        title: of the site.
        to: `hf://org/name`, to which all is sent as one commit; empty: nowhere.

    Example:
        >>> from hpobench_llm import load
        >>> published = publish("site", tables=["lora-nano"])
        >>> load(published.folder / "tables" / "lora-nano").name
        'lora-nano'

    Raises:
        UnknownNameError: a table does not exist.
        IntegrityError: a table or study is damaged, or a study was not compared.
        DataError: a named table states no licence, `out` holds something else, or the hub refused;
            in that case the folder is written nevertheless.
        MissingDependencyError: markdown-it-py or huggingface_hub is not installed.
        OSError: the folder cannot be written.
    """
    repository = repository_of(to) if to else None
    if to and (repository is None or repository.table):
        raise DataError(f"--to {to}: hf://org/name is expected")
    opened, left_out = _open_tables(tables)
    read = [read_study_folder(Path(folder)) for folder in studies]
    _refuse_shared_names([table.metadata.name for table in opened], "tables")
    _refuse_shared_names([study.name for study in read], "studies")
    folder = Path(out).resolve()
    _refuse_occupied(folder)
    # Written beside its place and moved there, so that nobody reads half a site.
    with staging(folder.parent) as stage:
        _write(stage.folder / folder.name, title, opened, read, repository)
        stage.publish(folder.name)
    return Published(
        folder=folder,
        tables=tuple(table.metadata.name for table in opened),
        studies=tuple(study.name for study in read),
        left_out=left_out,
        elsewhere={study.name: names for study in read if (names := study.beside(opened))},
        commit=send(folder, repository, f"hpobench-llm publish: {title}") if repository else "",
    )


def _open_tables(names: Sequence[str | Path] | None) -> tuple[list[Table], dict[str, str]]:
    listed: Iterable[Path] = list_artefacts("tables").values()
    if names is not None:
        listed = [find_artefact("tables", name) for name in names]
    opened, left_out = [], {}
    for folder in listed:
        table = Table.load(folder)
        if is_stated(table.metadata.licence):
            opened.append(table)
        elif names is None:
            left_out[table.metadata.name] = (
                f"its licence is {table.metadata.licence!r}, no SPDX name"
            )
        else:
            raise DataError(
                f"{folder}: its licence is {table.metadata.licence!r}, no SPDX name such as "
                "CC-BY-4.0, so it is not passed on; where it may be, its campaign or import spec "
                "says so by `licence`"
            )
    if not opened:
        raise HpobenchError("publish: there is no table that states a licence")
    return opened, left_out


def _refuse_shared_names(names: Sequence[str], kind: str) -> None:
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise DataError(f"publish: two {kind} are called {shared[0]!r}")


def _refuse_occupied(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        ours = read_json(folder / MANIFEST)["format"] == FORMAT
    except (IntegrityError, KeyError, TypeError):
        ours = folder.is_dir() and not any(folder.iterdir())
    if not ours:
        raise DataError(
            f"{folder}: exists and is no earlier publication; name another folder, or move it away"
        )


def _write(
    folder: Path,
    title: str,
    tables: Sequence[Table],
    studies: Sequence[PublishedStudy],
    repository: Repository | None,
) -> None:
    for table in tables:
        _write_table(folder / "tables" / table.metadata.name, title, table)
    for study in studies:
        target = folder / "studies" / study.name
        target.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(study.folder / name, target / name)
        write_atomically(target / "index.html", pages.study_page(title, study))
    names = [study.name for study in studies]
    write_atomically(folder / "README.md", site_card(title, tables, names, repository))
    write_atomically(folder / "index.html", pages.index_page(title, tables, studies))
    write_atomically(folder / "leaderboard.html", pages.leaderboard_page(title, studies))
    write_atomically(folder / pages.STYLE, pages.style_sheet())
    manifest = {
        "format": FORMAT,
        "title": title,
        "tables": {table.metadata.name: table.metadata.table_sha256 for table in tables},
        "studies": names,
        "sha256": _sums(folder),
    }
    write_json(folder / MANIFEST, manifest)


def _write_table(folder: Path, title: str, table: Table) -> None:
    folder.mkdir(parents=True)
    items = [EXAMPLES_FILE] if table.metadata.examples_sha256 else []
    for name in (TABLE_FILE, METADATA_FILE, *items):
        shutil.copyfile(table.folder / name, folder / name)
    # Read back, so that no damaged copy is published.
    copied = Table.load(folder)
    copied.examples()  # verifies their sum too
    text, described = card(copied), croissant(copied)
    write_json(folder / CROISSANT_FILE, described)
    write_figures(copied.metadata.provenance, folder)
    write_atomically(folder / "README.md", table_card(copied, text))
    write_atomically(folder / "LICENSE", licence_text(copied.metadata.licence))
    write_atomically(folder / "index.html", pages.table_page(title, copied, text, described))
    lines = [f"{digest}  {name}\n" for name, digest in _sums(folder).items()]
    write_atomically(folder / "SHA256SUMS", "".join(lines))


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}
