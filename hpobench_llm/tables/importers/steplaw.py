"""Step Law, arXiv 2503.04715: pretraining losses over learning rate and batch size, 17 tasks."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd

from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Metric
from hpobench_llm.space import Ordinal, Space
from hpobench_llm.tables.importers.imported import ImportedDraft, noted
from hpobench_llm.tables.importers.upstream import Original, Upstream, original
from hpobench_llm.tables.publication import Publication

NAME = "steplaw"
UPSTREAM = Upstream(
    repository="step-law/steplaw",
    commit="32a8f4cc50247695fb56cc6c9117abdf67c97763",
    path="data/dense_lr_bs_loss.csv",
    sha256="9e46181076c04d450294d75dfe6f72adc416e231e154a07b337e378f9410002c",
    licence="none found",
)
PUBLICATION = Publication(
    authors=("The authors of Step Law",),
    url="https://arxiv.org/abs/2503.04715",
    doi="10.48550/arXiv.2503.04715",
)
_COLUMNS = ("h", "ffnh", "numh", "numl", "lr", "bs", "ti", "loss", "smooth loss", "D", "N")
_INTEGERS = ("h", "ffnh", "numh", "numl", "bs", "ti", "D", "N")
LARGEST = 2.0**53  # up to there a float holds every integer
UNSTABLE = 4.0  # a run that broke: the smoothed losses leave a gap from 3.2 to 4.1
_CONTEXT = (
    "Dense transformers trained from scratch on nearly one epoch; one run of each learning rate "
    "and batch size, batches of sequences of 2,048 tokens. `smooth_loss` is the metric to use: "
    "`last_loss` is that of the last step alone, with a noise of about 0.034. Both are training "
    "losses: there is no validation loss, no curve and no time."
)


def drafts(folder: Path | None, *, allow_changed: bool) -> list[ImportedDraft]:
    """Return one table for each number of parameters and of tokens.

    Raises:
        DataError: the file has another format than the pinned one.
        IntegrityError: it has another sum than the pinned one.
    """
    source = original(UPSTREAM, folder, allow_changed=allow_changed)
    rows = _rows(source)
    space = Space(
        (
            Ordinal("lr", tuple(sorted(set(rows["lr"]))), log=True),
            Ordinal(
                "batch_rows",
                tuple(sorted({int(b) for b in rows["batch_rows"]})),
                log=True,
                unit="sequences",
            ),
        )
    )
    tasks = sorted(set(zip(rows["parameters"], rows["tokens_seen"], strict=True)))
    return [_draft(source, space, rows, int(n), int(d)) for n, d in tasks]


def _draft(source: Original, space: Space, family: pd.DataFrame, n: int, d: int) -> ImportedDraft:
    rows = family[(family["parameters"] == n) & (family["tokens_seen"] == d)]
    broken = rows["status"] == "diverged"
    repeats = rows[rows.duplicated(["lr", "batch_rows"], keep=False)]
    if len(repeats):
        lines = sorted(int(row) for row in repeats["source_row"][:2])
        raise DataError(
            f"{source.path}: lines {lines} measure one "
            "learning rate and batch size of one task; a single run is expected"
        )
    return ImportedDraft(
        name=f"steplaw-n{n / 1e9:.3g}b-d{d / 1e9:.3g}b",
        version="1",
        description=(
            f"Pretraining of {n / 1e9:.3g}B parameters on {d / 1e9:.3g}B tokens over learning "
            "rate and batch size."
        ),
        context=_CONTEXT,
        licence="none found upstream: cite arXiv 2503.04715, do not redistribute",
        space=space,
        metrics=[_loss("smooth_loss", rows), _loss("last_loss", rows)],
        rows=rows,
        importer=NAME,
        publication=PUBLICATION,
        files=[source.provenance],
        columns={
            "seed": ("", "0: one run each, seed not stated"),
            "lr": ("", "peak learning rate: the half power of two nearest to what is printed"),
            "batch_rows": ("sequences", "sequences of 2,048 tokens in a batch"),
            "iterations": ("steps", "updates of the weights"),
            "tokens_seen": ("tokens", "training tokens, D upstream"),
            "parameters": ("", "N upstream, without embeddings"),
            "hidden_size": ("", "h upstream"),
            "ffn_size": ("", "ffnh upstream"),
            "heads": ("", "numh upstream"),
            "layers": ("", "numl upstream"),
            "printed_lr": ("", "learning rate as upstream prints it, with 3 or 4 digits"),
            "source_row": ("", "line of the file"),
            "flag": ("", "why the row is defective; empty: no defect known"),
        },
        notes=[
            "Learning rates are joined on round(2 * log2(lr)): upstream prints one with 3 or 4 "
            "digits.",
            f"A smooth_loss above {UNSTABLE:g} is kept as measured, with the status diverged.",
            "The space is that of the whole family; each task measured a part of it.",
        ],
        flagged=[
            noted(
                "diverged",
                [int(row) for row in rows["source_row"][broken]],
                f"smooth_loss above {UNSTABLE:g}",
            )
        ]
        if broken.any()
        else [],
        family=NAME,
        task={"parameters": n, "tokens": d},
    )


def _rows(source: Original) -> pd.DataFrame:
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    header = next(reader, [])
    absent = [name for name in _COLUMNS if name not in header]
    if absent:
        raise DataError(f"{source.path}: column `{absent[0]}` is missing; found {header}")
    rows = []
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{source.path}, line {reader.line_num}: {len(header)} cells are expected, "
                    f"got {len(cells)}"
                )
            rows.append(_row(source.path, reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{source.path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise DataError(f"{source.path}: holds no rows")
    return pd.DataFrame(rows)


def _row(path: Path, line: int, cells: dict[str, str]) -> dict[str, object]:
    values: dict[str, float] = {}
    for name in _COLUMNS:
        try:
            values[name] = float(cells[name])
        except ValueError:
            values[name] = math.nan
        fits = name not in _INTEGERS or values[name].is_integer()
        if not (0 < values[name] < LARGEST and fits):
            kind = "a positive integer" if name in _INTEGERS else "a positive number"
            raise DataError(
                f"{path}, line {line}: `{name}`: {kind} is expected, got {cells[name]!r}"
            )
    broken = values["smooth loss"] > UNSTABLE
    return {
        # Undoes the rounding of the print: the grid has half powers of two.
        "lr": float(f"{2 ** (round(2 * np.log2(values['lr'])) / 2):.4g}"),
        "batch_rows": int(values["bs"]),
        "seed": 0,
        "status": "diverged" if broken else "ok",
        "smooth_loss": values["smooth loss"],
        "last_loss": values["loss"],
        "tokens_seen": int(values["D"]),
        "iterations": int(values["ti"]),
        "parameters": int(values["N"]),
        "hidden_size": int(values["h"]),
        "ffn_size": int(values["ffnh"]),
        "heads": int(values["numh"]),
        "layers": int(values["numl"]),
        "printed_lr": values["lr"],
        "source_row": line,
        "flag": "diverged" if broken else "",
    }


def _loss(name: str, rows: pd.DataFrame) -> Metric:
    """A run without a value counts as the worst sound one: broken runs must not set the scale."""
    sound = rows.loc[rows["status"] == "ok", name]
    worst = float(sound.max()) if len(sound) else UNSTABLE
    return Metric(name=name, unit="nats per token", direction="minimize", worst=worst, low=0.0)
