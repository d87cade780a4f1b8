"""The parts of `CARD.md` that an imported table writes in its own way: columns and origin."""

from typing import Any

from hpobench_llm.tables.schema import IMPORTED, Metadata

_COMMON = {
    "config_id": ("", "hash of the configuration's axes"),
    "status": ("", "ok, diverged, out_of_memory or failed"),
}


def imported_column(metadata: Metadata, name: str) -> tuple[str, str]:
    """Return unit and meaning of a column."""
    told = metadata.provenance[IMPORTED]["columns"].get(name)
    if told:
        return told["unit"], told["meaning"]
    for fidelity in metadata.fidelities:
        if fidelity.name == name:
            return fidelity.unit, "fidelity"
    for metric in metadata.metrics.values():
        if metric.name == name:
            return metric.unit, f"metric, {metric.direction}d"
        if metric.stderr == name:
            return metric.unit, f"standard error of {metric.name}"
    return _COMMON.get(name, ("", ""))


def imported_origin(metadata: Metadata) -> list[str]:
    """Return the section that says from where the rows came and what was done to them."""
    origin = metadata.provenance[IMPORTED]
    lines = ["## Where it comes from", ""]
    lines.append(f"Imported by `{origin['importer']}` on {origin['date']} (UTC).")
    lines += ["", *[f"- {_flat(file)}" for file in origin["files"]]]
    lines += [f"- table.parquet sha256 {metadata.table_sha256}"]
    lines += [f"- {note}" for note in origin["notes"]]
    for title in ("flagged", "dropped"):
        for entry in origin[title]:
            lines.append(f"- {title}: {entry['count']} {entry['what']}: {entry['reason']}")
    if metadata.family:
        task = ", ".join(f"{key} {value}" for key, value in metadata.task.items())
        lines.append(f"- one of the related tables `{metadata.family}`: {task}")
    return lines


def _flat(mapping: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items() if value not in ("", None))
