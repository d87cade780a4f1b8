"""Write a spec and a file beside it, and import them."""

from pathlib import Path

import pytest

from hpobench_llm.tables.importers.command import import_tables

HEAD = 'name = "mine"\ndescription = "d"\nlicence = "CC0-1.0"\nfile = "{file}"\n'


@pytest.fixture
def bring(tmp_path):
    """Return a function of (spec, content, file name): the tables, by name."""

    def made(spec, content, file="runs.csv"):
        if isinstance(content, str):
            (tmp_path / file).write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            (tmp_path / file).write_bytes(content)
        path = tmp_path / "spec.toml"
        path.write_text(HEAD.format(file=file) + spec)
        tables = import_tables("generic", spec=path, out=tmp_path / "out")
        assert sorted(Path(tmp_path / "out").iterdir()) == sorted(t.folder for t in tables)
        return {table.metadata.name: table for table in tables}

    return made
