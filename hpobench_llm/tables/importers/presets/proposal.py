"""A proposed spec for the runs of a tracker, and the file of the runs, one JSON a line."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

from hpobench_llm.artefacts import write_atomically
from hpobench_llm.errors import DataError, HpobenchError
from hpobench_llm.plain import Toml
from hpobench_llm.spec import parse_spec
from hpobench_llm.tables.columns import MEASURES
from hpobench_llm.tables.importers.generic.cells import deciding_values, is_blank, number, text
from hpobench_llm.tables.importers.generic.spec import ADDED, SOURCE_FILE, ImportSpec

Run = dict[str, Any]  # a run as a line of the file: cells by column, of any type of a tracker
_RESERVED = {"config_id", "seed", "status", "source_row", SOURCE_FILE, ADDED, *MEASURES}
_SEEDS = re.compile(r"(?:.*[._])?(?:random_)?(?:seed|random_state)")
_BETTER_HIGH = re.compile(
    r"acc|auc|f1|bleu|rouge|score|reward|return|precision|recall|r2|exact|pass|map|iou|win", re.I
)
_METRIC = re.compile(
    r"loss|err|mse|mae|nll|ppl|perplexity|bpb|regret|" + _BETTER_HIGH.pattern, re.I
)
_HELD_OUT = re.compile(r"val|dev|eval", re.I)


class Stated(TypedDict, total=False):
    """What a tracker knows of an axis, in the keys of the spec."""

    name: str
    kind: str
    values: Sequence[str | int | float]
    low: int | float
    high: int | float
    log: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table of the spec: its key, its values, and a comment for the person."""

    key: tuple[str, ...]
    values: Mapping[str, Toml]
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal: `settings` are the keys at the top, `notes` tell the decisions."""

    description: str
    source: str
    runs: Sequence[Run]
    settings: Mapping[str, Toml]
    sections: Sequence[Section]
    notes: Sequence[str] = field(default=())

    def write(self, spec_file: Path) -> list[Path]:
        """Write the spec and the runs beside it; return both.

        Raises:
            HpobenchError: one of them exists, or cannot be written.
        """
        data = spec_file.with_suffix(".jsonl")
        for path in (spec_file, data):
            if path.exists():
                raise HpobenchError(f"{path}: exists and is not overwritten; name another --spec")
        name = re.sub(r"[^A-Za-z0-9_+-]+", "-", spec_file.stem).strip("-_+") or "mine"
        top = {"name": name, "description": self.description, "file": data.name}
        content = self._text(top | {"source": self.source} | dict(self.settings))
        _check(content, spec_file)
        try:
            lines = "".join(json.dumps(run, ensure_ascii=False) + "\n" for run in self.runs)
            # The data first: a spec whose file is missing would be half a proposal.
            write_atomically(data, lines)
            write_atomically(spec_file, content)
        except (OSError, UnicodeEncodeError) as error:
            raise HpobenchError(f"{spec_file}: cannot be written: {error}") from None
        return [spec_file, data]

    def _text(self, top: Mapping[str, Toml]) -> str:
        lines = ["# Proposed, for a person to edit: what each column is was guessed."]
        lines += map(_comment, self.notes)
        lines += ['# licence = "..."   # without it the table says: not stated']
        lines += [f"{key} = {_toml(value)}" for key, value in top.items()]
        for section in self.sections:
            lines += ["", f"[{'.'.join(map(_key, section.key))}]"]
            lines += [_comment(section.comment)] if section.comment else []
            lines += [f"{_key(key)} = {_toml(value)}" for key, value in section.values.items()]
        return "\n".join(lines) + "\n"


def _check(content: str, spec_file: Path) -> None:
    """Check that the content can be read again, before it is written."""
    import tomllib

    parse_spec(tomllib.loads(content), ImportSpec, file=spec_file)


def _comment(text: str) -> str:
    """Return a comment; a foreign name with a line break cannot end it."""
    return "# " + "".join(letter if letter.isprintable() else " " for letter in text)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    # TOML's strings are JSON's, except that DEL has to be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def hyperparameter(
    runs: Sequence[Run], column: str, others: Iterable[str], stated: Stated
) -> Section:
    """Return the section of a hyperparameter; `stated` is what the tracker knows of its axis.

    If some runs lack it and another hyperparameter decides which, a value is filled in there. If
    none decides, a person must say what it means, and the import asks for it.
    """
    cells = [run.get(column) for run in runs]
    empty = [lacks(cell) for cell in cells]
    values = cast("dict[str, Toml]", dict(stated))
    if any(is_blank(cell) and not gone for cell, gone in zip(cells, empty, strict=True)):
        values.setdefault("kind", "categorical")  # a text such as None is one of its values
    if not any(empty):
        return Section(key=("hyperparameters", column), values=values)
    for other in others:
        if deciding := deciding_values([run.get(other) for run in runs], empty):
            fill = _fill(runs, column, stated)
            values |= {"missing": fill, "only_if": {other: deciding}}
            comment = f"exists only under this condition: elsewhere {fill!r} stands for it"
            break
    else:
        comment = (
            f"{sum(empty)} of {len(runs)} runs lack it: say what stands in (missing = ...), or "
            "leave them out ([filters])"
        )
    return Section(key=("hyperparameters", column), values=values, comment=comment)


def lacks(cell: object) -> bool:
    """Tell a run that has no such cell from one that says None."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _fill(runs: Sequence[Run], column: str, stated: Stated) -> str | float | int:
    present = [run[column] for run in runs if not lacks(run.get(column))]
    try:
        numbers = [value for cell in present if (value := number(cell)) is not None]
    except ValueError:
        return str([*stated.get("values", ()), *sorted(map(text, present))][0])
    low = stated.get("low", min(numbers))
    return int(low) if float(low).is_integer() else float(low)


def metric(column: str, name: str, direction: str = "", *, per_run: bool = False) -> Section:
    """Return the section of a metric; without a direction it is guessed from the name."""
    guessed = "maximize" if _BETTER_HIGH.search(name) else "minimize"
    values: dict[str, Toml] = {"name": name} if name != column else {}
    values["direction"] = direction or guessed
    comment = "" if direction else "the direction is guessed from the name"
    values |= {"per_run": True} if per_run else {}
    return Section(key=("metrics", column), values=values, comment=comment)


def in_order(metrics: Iterable[str]) -> list[str]:
    """Return metrics, held-out losses first: the first is the main one."""
    return sorted(metrics, key=lambda m: (not _HELD_OUT.search(m), "loss" not in m.lower(), m))


def like_a_metric(name: str) -> bool:
    """Tell a metric by its name."""
    return bool(_METRIC.search(name))


def like_a_seed(name: str) -> bool:
    """Tell a seed by its name."""
    return bool(_SEEDS.fullmatch(name.lower()))


def varying(runs: Sequence[Run], columns: Iterable[str]) -> list[str]:
    """Return the columns that have more than one value, empty cells aside."""
    return [
        column
        for column in columns
        if len({text(run[column]) for run in runs if not lacks(run.get(column))}) > 1
    ]


def seed_of(runs: Sequence[Run], columns: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the setting `seed` if every run has one, and a note if only some have."""
    for column in columns:
        lacking = sum(lacks(run.get(column)) for run in runs)
        if not lacking:
            return {"seed": column}, []
        return {}, [
            f"`{column}` looks like a seed, but {lacking} of {len(runs)} runs lack it: runs of "
            "one configuration are numbered instead; or leave those runs out and say "
            f"seed = {column!r}."
        ]
    return {}, []


def free_names(columns: Sequence[str], prefix: str, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name for each column, without the prefix, that is no other column's."""
    used, names = {*_RESERVED, *taken}, {}
    for column in columns:
        name = column.removeprefix(prefix)
        while name in used:
            name += "_"
        names[column] = name
        used.add(name)
    return names


def refuse_without(
    runs: Sequence[Run], metrics: Sequence[str], axes: Sequence[str], source: object
) -> None:
    """Refuse a source of which no table can be made.

    Raises:
        DataError: there are no runs, no metrics, or no hyperparameter that varies.
    """
    needed = {"runs": runs, "metrics": metrics, "hyperparameters that vary": axes}
    for kind, values in needed.items():
        if not values:
            raise DataError(f"{source}: holds no {kind}")
