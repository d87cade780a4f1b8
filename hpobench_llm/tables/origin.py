"""What `CARD.md` says of columns and origin: of a collected table, and of an imported one."""

from typing import Any

from hpobench_llm.tables.schema import BY_NAME, IMPORTED, Metadata

FILES = 20  # that a card still lists; table.json names all


def collected_column(metadata: Metadata, name: str) -> tuple[str, str]:
    """Return unit and meaning of a column of a collected table."""
    if name in BY_NAME:
        return BY_NAME[name].unit, BY_NAME[name].meaning
    for metric in metadata.metrics.values():
        if name == metric.name:
            if name.startswith("val_loss_"):
                rows = name.removeprefix("val_loss_")
                return metric.unit, f"loss on the first {rows} of the validation rows"
            if name.endswith("_margin"):
                return metric.unit, (
                    "log-likelihood of the right answer, less the best wrong one's where there "
                    "are choices"
                )
            return metric.unit, "benchmark score, empty where it was not measured"
        if name == metric.stderr:
            return metric.unit, f"standard error of {metric.name} over the benchmark's items"
    return "", ""


def collected_origin(metadata: Metadata) -> list[str]:
    """Return what a table was trained on, by which code and where."""
    origin = metadata.provenance
    data = origin["sources"]["data"]
    return [
        f"- base: {_listed(origin['sources']['base'])}",
        *(f"- data `{name}`: {_listed(source)}" for name, source in data["sources"].items()),
        f"- rows: {_listed(data['rows'])}, {origin['split']}",
        f"- rows not used: {_listed(data['unused']) or 'none'}",
        *(
            f"- score `{name}`: {_listed(source)}"
            for name, source in origin["sources"]["scores"].items()
        ),
        f"- code: {', '.join(origin['commits'])}",
        f"- device: {', '.join(origin['devices'])}; {_listed(origin['versions'])}",
        f"- recipe sha256 {origin['recipe_sha256']}",
        f"- table.parquet sha256 {metadata.table_sha256}",
    ]


def imported_column(metadata: Metadata, name: str) -> tuple[str, str]:
    """Return unit and meaning of a column of an imported table."""
    column = metadata.provenance[IMPORTED]["columns"].get(name, {"unit": "", "meaning": ""})
    return column["unit"], column["meaning"]


def imported_origin(metadata: Metadata) -> list[str]:
    """Return from where the rows were imported and what was done to them."""
    origin = metadata.provenance[IMPORTED]
    lines = [f"Imported by `{origin['importer']}` on {origin['date']} (UTC).", ""]
    files = origin["files"]
    lines += [f"- {_listed({k: v for k, v in file.items() if v})}" for file in files[:FILES]]
    lines += [f"- and {len(files) - FILES} files more"] if len(files) > FILES else []
    lines += [f"- table.parquet sha256 {metadata.table_sha256}"]
    lines += [f"- {note}" for note in origin["notes"]]
    for title in ("flagged", "dropped"):
        for entry in origin[title]:
            lines.append(f"- {title}: {entry['count']} {entry['what']}: {entry['reason']}")
    if metadata.family:
        task = ", ".join(f"{key} {value}" for key, value in metadata.task.items())
        lines.append(f"- one of the related tables `{metadata.family}`: {task}")
    return lines


def _listed(mapping: dict[str, Any]) -> str:
    parts = [
        f"{key} ({_listed(value)})" if isinstance(value, dict) else f"{key} {value}"
        for key, value in mapping.items()
    ]
    return ", ".join(parts)
