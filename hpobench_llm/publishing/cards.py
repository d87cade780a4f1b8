"""The cards of a hub of data sets: a `README.md` whose front matter says what it is in YAML.

Every value is written as JSON, which YAML reads, so that foreign text stays text.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from hpobench_llm.console import one_line
from hpobench_llm.hub import Repository
from hpobench_llm.tables.licences import licence_url
from hpobench_llm.tables.markdown import plain
from hpobench_llm.tables.schema import TABLE_FILE
from hpobench_llm.tables.table import Table

TAGS = ("hyperparameter-optimization", "benchmark", "tabular", "lora", "croissant")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
HUB_LICENCES = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "Apache-2.0", "MIT")


def table_card(table: Table, card: str) -> str:
    """Return the card of one table, whose files lie beside it, with a hub's front matter."""
    metadata = table.metadata
    head = _front_matter(
        f"{metadata.name} {metadata.version}",
        [metadata.licence],
        len(table.frame),
        {metadata.name: TABLE_FILE},
    )
    return head + card


def site_card(
    title: str, tables: Sequence[Table], studies: Iterable[str], repository: Repository | None
) -> str:
    """Return the card of a folder of tables and studies, `README.md` at its root.

    `repository` is its address on a hub, if it is sent to one.
    """
    names = [table.metadata.name for table in tables]
    configs = {name: f"tables/{name}/{TABLE_FILE}" for name in names}
    licences = list(dict.fromkeys(table.metadata.licence for table in tables))
    rows = sum(len(table.frame) for table in tables)
    lines = [
        f"# {plain(title)}",
        "",
        "| table | version | rows | licence | what |",
        "|---" * 5 + "|",
    ]
    for table in tables:
        metadata = table.metadata
        cells = (metadata.version, len(table.frame), metadata.licence, metadata.description)
        link = f"[{metadata.name}](tables/{metadata.name}/README.md)"
        lines.append(f"| {link} | {' | '.join(map(plain, cells))} |")
    lines += ["", "Each table's card says what it holds, where it comes from and how to cite it."]
    first = f"{repository}/{names[0]}" if repository else f"tables/{names[0]}"
    lines += ["", "```python", "import hpobench_llm", ""]
    lines += [f'benchmark = hpobench_llm.load("{first}")', "```"]
    named = [f"- [{plain(name)}](studies/{name}/report.html)" for name in studies]
    lines += ["", "## Studies", "", *named] if named else []
    return _front_matter(title, licences, rows, configs) + "\n".join(lines) + "\n"


def _front_matter(
    title: str, licences: Sequence[str], rows: int, configs: Mapping[str, str]
) -> str:
    lines = ["---", f"pretty_name: {_quoted(title)}"]
    single = licences[0] if len(licences) == 1 else ""
    if single in HUB_LICENCES:
        lines.append(f"license: {single.lower()}")
    else:
        name = single or "several: see each table"
        lines += ["license: other", f"license_name: {_quoted(name)}"]
        lines.append(f"license_link: {_quoted(licence_url(single) or 'README.md')}")
    lines += ["tags:", *(f"- {tag}" for tag in TAGS)]
    size = next((name for most, name in SIZES if rows < most), "1M<n<10M")
    lines += ["size_categories:", f"- {_quoted(size)}", "configs:"]
    for name, path in configs.items():
        lines += [f"- config_name: {_quoted(name)}", f"  data_files: {_quoted(path)}"]
    return "\n".join([*lines, "---", "", ""])


def _quoted(text: str) -> str:
    return json.dumps(one_line(text), ensure_ascii=False)
