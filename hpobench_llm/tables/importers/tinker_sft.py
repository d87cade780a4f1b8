"""Tinker cookbook's sweep: supervised LoRA fine-tunes of 35 models over learning rate and rank.

The source is a Markdown report with one section a model. Runs that diverged are not in its tables:
a note under each says how many, at which learning rates and ranks. They become rows without values
if the note leaves no doubt which they are.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Metric, Role
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.importers.imported import ImportedDraft, noted
from hpobench_llm.tables.importers.upstream import Original, Upstream, original
from hpobench_llm.tables.provenance import Noted
from hpobench_llm.tables.publication import Publication

NAME = "tinker-sft"
UPSTREAM = Upstream(
    repository="thinking-machines-lab/tinker-cookbook",
    commit="9dfcc3a2cf44432d621a01005073dc6d76a1e87a",
    path="tinker_cookbook/recipes/chat_sl/results/sft_sweep.md",
    sha256="ef4d8afaf871dd890141f22e74dce83640b38131d35f7fccd3439d473f624682",
    licence="Apache-2.0",
)
PUBLICATION = Publication(
    authors=("Thinking Machines Lab",),
    url="https://github.com/thinking-machines-lab/tinker-cookbook",
)
DIVERGED_NLL = 2.0  # upstream leaves out runs that end above it
UNSTABLE_NLL = 1.5  # finished just under that cut: no sound run of the sweep ends so high
HEADER = ["LR", "LoRA Rank", "Test NLL", "Train NLL", "Wall Time (min)"]
# Sizes of models whose names do not say them; from the model cards, not from the file.
_BILLIONS = {"DeepSeek-V3.1": 671.0, "Kimi-K2": 1000.0}
_AMBIGUOUS = "a repeat may have diverged"
_UNSTABLE = "unstable: just under the cut of 2.0"
_CONTEXT = (
    "LoRA on Tulu 3, train split for training and test split for the metric, batch 128, 780 "
    "steps, run as a service. Losses are per token: not comparable between models of different "
    "tokenizers. Wall times depend on the load of the service: a rough cost."
)


class _SweepRun(TypedDict):
    """A row of the table; `flag` says why it is doubtful."""

    lr: float
    rank: int
    status: str
    test_loss: float
    train_loss: float
    train_seconds: float
    source_row: int
    flag: str


@dataclass(slots=True)
class _ModelSection:
    """The report's section on one model; numbers are lines of the file."""

    model: str
    line: int
    lrs: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    runs: list[_SweepRun] = field(default_factory=list)
    note: tuple[int, tuple[float, ...], tuple[int, ...], int] | None = None

    def absent(self) -> list[tuple[float, int]]:
        """Return the learning rates and ranks that the note can mean and no finished run has."""
        if self.note is None:
            return []
        finished = {(run["lr"], run["rank"]) for run in self.runs}
        _, lrs, ranks, _ = self.note
        return [(lr, rank) for lr in lrs for rank in ranks if (lr, rank) not in finished]


def drafts(folder: Path | None, *, allow_changed: bool) -> list[ImportedDraft]:
    """Return one table for each model.

    Raises:
        DataError: the report has another format than the pinned one.
        IntegrityError: it has another sum than the pinned one.
    """
    source = original(UPSTREAM, folder, allow_changed=allow_changed)
    sections = _sections(source)
    space = Space(
        (
            Ordinal("lr", tuple(sorted({lr for s in sections for lr in s.lrs})), log=True),
            Ordinal("rank", tuple(sorted({rank for s in sections for rank in s.ranks})), log=True),
        )
    )
    return [_draft(source, section, space) for section in sections]


def _draft(source: Original, section: _ModelSection, space: Space) -> ImportedDraft:
    placed = _placed(section)
    frame = pd.DataFrame(section.runs + placed)
    frame["seed"] = frame.groupby(["lr", "rank"]).cumcount()
    flagged = [
        noted(flag, [int(line) for line in group["source_row"]], reason)
        for flag, reason in (
            (_AMBIGUOUS, "the note on diverged runs may mean a repeat of this finished run"),
            (_UNSTABLE, "the run was breaking but ended under the cut"),
        )
        if len(group := frame[frame["flag"] == flag])
    ]
    short = section.model.rpartition("/")[2]
    return ImportedDraft(
        name=f"{NAME}-{short.lower()}",
        version="1",
        description=f"LoRA fine-tunes of {short} on Tulu 3 over learning rate and rank.",
        context=_CONTEXT,
        licence="Apache-2.0",
        space=space,
        metrics=[_loss("test_loss"), _loss("train_loss", "diagnostic")],
        rows=frame,
        importer=NAME,
        publication=PUBLICATION,
        files=[source.provenance],
        columns={
            "seed": ("", "repeat: 1 for a cell's second row. No random seed is stated"),
            "train_seconds": ("s", "wall time of the run, printed in minutes; empty if diverged"),
            "source_row": ("", "line of the file; of a diverged run that of the note on it"),
            "flag": ("", "why the row is doubtful; empty: no defect known"),
        },
        notes=[
            "A cell listed twice has two rows, taken for replicates; the learning rates are as "
            "printed, so that two close ones could stand for one.",
            f"{len(placed)} diverged runs (test loss above {DIVERGED_NLL}) stand in the note "
            "under the report's table, without values; their cells have the status diverged. "
            f"A run without a value counts as {DIVERGED_NLL}.",
            "The space is that of the whole family; each model measured a part of it.",
        ],
        flagged=flagged,
        dropped=_lost(section, len(placed)),
        family=NAME,
        task=_task(section.model),
    )


def _placed(section: _ModelSection) -> list[_SweepRun]:
    """Return the diverged runs as rows, if the note's number is that of the absent ones."""
    if section.note is None or len(section.absent()) != section.note[0]:
        return []
    return [
        {
            "lr": lr,
            "rank": rank,
            "status": "diverged",
            "test_loss": math.nan,
            "train_loss": math.nan,
            "train_seconds": math.nan,
            "source_row": section.note[3],
            "flag": "",
        }
        for lr, rank in section.absent()
    ]


def _lost(section: _ModelSection, placed: int) -> list[Noted]:
    if section.note is None or section.note[0] == placed:
        return []
    count, _, _, line = section.note
    reason = (
        f"the note names {count} runs, its learning rates and ranks leave "
        f"{len(section.absent())} cells without a finished run: which diverged cannot be told"
    )
    return [{"count": count - placed, "what": "diverged runs", "rows": [line], "reason": reason}]


def _task(model: str) -> dict[str, str | int | float]:
    """Return the model and, if its name or its maker states it, its size."""
    short = model.rpartition("/")[2]
    stated = re.search(r"-(\d+(?:\.\d+)?)[Bb](?:-|$)", short)
    listed = [billions for name, billions in _BILLIONS.items() if short.startswith(name)]
    sizes = [float(stated[1])] if stated else listed
    return {"model": model} | ({"parameters_billion": sizes[0]} if sizes else {})


def _sections(source: Original) -> list[_ModelSection]:
    sections: list[_ModelSection] = []
    in_table = False
    for number, line in enumerate(source.text.splitlines(), start=1):
        where = f"{source.path}, line {number}"
        if heading := re.fullmatch(r"## (\S+/\S+)", line):
            sections.append(_ModelSection(heading[1], number))
        if not sections:
            continue
        section = sections[-1]
        if line.startswith("- Learning rates:"):
            section.lrs = tuple(_numbers(where, line.partition(":")[2], "[]", float))
        elif line.startswith("- LoRA ranks:"):
            section.ranks = tuple(_numbers(where, line.partition(":")[2], "[]", int))
        elif line.startswith("> **Note:**") and "diverged" in line:
            section.note = _note(where, number, line)
        in_table = in_table and line.startswith("|")
        if in_table and not re.fullmatch(r"[|:\- ]+", line):
            section.runs.append(_run(where, number, line, section))
        elif line.startswith("|") and not in_table:
            if _cells(line) != HEADER:
                raise DataError(f"{where}: the columns {HEADER} are expected, got {_cells(line)}")
            in_table = True
    if not sections:
        raise DataError(f"{source.path}: no section of a model (`## maker/model`)")
    for section in sections:
        if not section.runs:
            raise DataError(
                f"{source.path}, line {section.line}: no table of runs of {section.model}"
            )
        _check_note(source.path, section)
    return sections


def _run(where: str, number: int, line: str, section: _ModelSection) -> _SweepRun:
    cells = _cells(line)
    if len(cells) != len(HEADER):
        raise DataError(f"{where}: {len(HEADER)} cells are expected, got {cells}")
    lr, rank, test, train, minutes = _numbers(where, ",".join(cells), "", float)
    if lr not in section.lrs or rank not in section.ranks:
        raise DataError(
            f"{where}: lr {lr} and rank {rank} are not among those that line {section.line} ff. "
            f"lists: {list(section.lrs)}, {list(section.ranks)}"
        )
    return {
        "lr": lr,
        "rank": int(rank),
        "status": "ok",
        "test_loss": test,
        "train_loss": train,
        "train_seconds": 60.0 * minutes,
        "source_row": number,
        "flag": _UNSTABLE if test > UNSTABLE_NLL else "",
    }


def _note(
    where: str, number: int, line: str
) -> tuple[int, tuple[float, ...], tuple[int, ...], int]:
    match = re.search(r"(\d+) run\(s\) diverged .*lr=(\{.*?\}) with rank=(\{.*?\})", line)
    if not match:
        raise DataError(f"{where}: a note on diverged runs of another form: {line!r}")
    lrs = tuple(_numbers(where, match[2], "{}", float))
    return int(match[1]), lrs, tuple(_numbers(where, match[3], "{}", int)), number


def _check_note(path: Path, section: _ModelSection) -> None:
    """Check a note; if its runs cannot be told, flag the finished runs that it may mean."""
    if section.note is None:
        return
    count, lrs, ranks, number = section.note
    if not set(lrs) <= set(section.lrs) or not set(ranks) <= set(section.ranks):
        raise DataError(
            f"{path}, line {number}: the note names learning rates or ranks that the section at "
            f"line {section.line} does not list"
        )
    for run in section.runs if len(section.absent()) != count else ():
        if run["lr"] in lrs and run["rank"] in ranks:
            run["flag"] = _AMBIGUOUS


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _numbers(where: str, text: str, brackets: str, kind: type[Any]) -> list[Any]:
    inside = text.strip().strip(brackets) if brackets else text
    try:
        values = [kind(part) for part in inside.split(",")]
    except ValueError:
        raise DataError(f"{where}: numbers are expected, got {text.strip()!r}") from None
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise DataError(f"{where}: positive numbers are expected, got {text.strip()!r}")
    return values


def _loss(name: str, role: Role = "objective") -> Metric:
    return Metric(
        name=name,
        unit="nats per token",
        direction="minimize",
        worst=DIVERGED_NLL,
        low=0.0,
        role=role,
    )
