"""Read the columns that a spec names from one file or several of one layout, within its limits."""

import zlib
from pathlib import Path

from hpobench_llm.errors import DataError, SpecError
from hpobench_llm.spec import resolve_path
from hpobench_llm.tables.importers.generic.cells import Records
from hpobench_llm.tables.importers.generic.column_specs import Cell
from hpobench_llm.tables.importers.generic.columns import Block, Collector, Counts
from hpobench_llm.tables.importers.generic.parquet_file import read_parquet
from hpobench_llm.tables.importers.generic.spec import SOURCE_FILE, ImportSpec
from hpobench_llm.tables.importers.generic.text_files import read_text
from hpobench_llm.tables.parquet import one_line

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_WILD = "*?["
FileOfSpec = tuple[Path, dict[str, Cell]]  # and the columns that the spec adds to it


def sources(spec_file: Path, spec: ImportSpec, from_path: Path | None) -> list[FileOfSpec]:
    """Return the files of a spec; `from_path` is another file, or the folder of its files.

    Raises:
        DataError, SpecError: a file does not exist, or none is named.
    """
    wanted = spec.files or ({spec.file: {}} if spec.file else {})
    if from_path is not None and not from_path.is_dir():
        if spec.files:
            raise DataError(f"--from {from_path}: the spec has several `files`; give their folder")
        return [(from_path, {})]
    if not wanted:
        raise DataError(f"{spec_file}: `file` is not set; set it, or give --from FILE")
    files: list[FileOfSpec] = []
    for name, columns in wanted.items():
        key = f"files.{name}" if spec.files else "file"
        if from_path is None:
            paths = _expand(name, spec_file, key)
        else:
            # The folder stands for the one of the spec, so a plain name loses its own folders.
            wild = any(c in name for c in _WILD)
            paths = _matches(from_path, name if wild else Path(name).name)
        if not paths:
            where = f" in {from_path}" if from_path else ""
            raise SpecError(spec_file, key, f"no such file{where}: {name}")
        files += [(path, columns) for path in paths]
    return files


def _expand(name: str, spec_file: Path, key: str) -> list[Path]:
    parts = Path(name).parts
    wild = next((i for i, part in enumerate(parts) if any(c in part for c in _WILD)), None)
    if wild is None or (spec_file.parent / name).exists():
        return [resolve_path(name, file=spec_file, key=key)]
    folder = resolve_path(str(Path(*parts[:wild])), file=spec_file, key=key)
    return _matches(folder, str(Path(*parts[wild:])))


def _matches(folder: Path, pattern: str) -> list[Path]:
    if (folder / pattern).is_file():
        return [folder / pattern]
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError):
        return []


def read_records(files: list[FileOfSpec], spec: ImportSpec) -> Records:
    """Return the rows of all files, one after the other, as columns.

    Raises:
        DataError: a column is absent, a line is broken, or the files pass a limit of the spec;
            the message names file, line and column.
    """
    counts = Counts(spec.limits)
    names = _names([path for path, _ in files])
    blocks = [
        _read(path, spec, dict(columns) | {SOURCE_FILE: name}, counts)
        for (path, columns), name in zip(files, names, strict=True)
    ]
    if len({block.unit for block in blocks}) > 1:
        raise DataError(f"{files[0][0]}: files of one import must be of one format")
    return _joined(blocks, [str(path) for path, _ in files])


def _names(paths: list[Path]) -> list[str]:
    """Return distinct names of the files: their own, or their paths if two are equal."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [path.as_posix() for path in paths]


def _read(path: Path, spec: ImportSpec, added: dict[str, Cell], counts: Counts) -> Block:
    kind = spec.format if spec.format != "auto" else _kind(path)
    collector = Collector(path, spec, added, counts)
    try:
        if kind == "parquet":
            return read_parquet(collector)
        return read_text(collector, kind)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {one_line(error)}") from None


def _kind(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes[-2:] if suffix != ".gz"]
    kind = _SUFFIXES.get(suffixes[-1].lower()) if suffixes else None
    if kind is None:
        raise DataError(
            f"{path}: the suffix does not tell the format; `format` in the spec may be csv, json, "
            "jsonl or parquet"
        )
    return kind


def _joined(blocks: list[Block], files: list[str]) -> Records:
    """Return the blocks as one; a file that lacks a column behind a `*` has empty cells there."""
    names = dict.fromkeys(name for block in blocks for name in block.columns)
    patterns: dict[str, dict[str, float]] = {}
    for block in blocks:
        for key, levels in block.patterns.items():
            patterns[key] = patterns.get(key, {}) | levels
    return Records(
        files=files,
        file_of=[number for number, block in enumerate(blocks) for _ in block.places],
        columns={
            name: [
                cell
                for block in blocks
                for cell in block.columns.get(name, [None] * len(block.places))
            ]
            for name in names
        },
        places=[number for block in blocks for number in block.places],
        unit=blocks[0].unit,
        patterns=patterns,
    )
