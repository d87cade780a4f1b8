"""Tribes et al., arXiv 2312.00949: LoRA fine-tunes of LLaMA-2-7B that NOMAD chose.

Two tables: `tribes-2b`, 100 configurations of 2 epochs from a parallel-coordinates figure, and
`tribes-3`, 50 of 3 epochs from NOMAD's history. Both are sparse: nothing between their points was
measured.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpobench_llm.errors import DataError
from hpobench_llm.metrics import Metric, Role
from hpobench_llm.space import Float, Integer, Ordinal, Space
from hpobench_llm.tables.importers.imported import ImportedDraft, noted
from hpobench_llm.tables.importers.upstream import Original, Upstream, original
from hpobench_llm.tables.publication import Publication

NAME = "tribes"
_REPOSITORY = "bbopt/Nomad_HPO_Llama-2_With_LoRa"
_COMMIT = "bba0d7a29bcf2cff9631ce99bbb9efd1d61ec745"
FIGURE = Upstream(
    repository=_REPOSITORY,
    commit=_COMMIT,
    path="plot/broken.html",
    sha256="667006c5054041aec9ac6d61449fd52b061fe60c856aa95da6a5a324e48a5575",
    licence="none found",
    excerpts={
        "broken.excerpt.html": "319de98bfbf8b73ffe6e185c9c7c3d67b2c003c64b4e348362bdc37b3eadc6a4"
    },
)
HISTORY = Upstream(
    repository=_REPOSITORY,
    commit=_COMMIT,
    path="bbo3/history.0.txt",
    sha256="816b7ce2780a71317e4811a1f9c1963adb2be449fbb4c50532659caa9b94c508",
    licence="none found",
)
PUBLICATION = Publication(
    authors=(
        "Christophe Tribes",
        "Sacha Benarroch-Lelong",
        "Peng Lu",
        "Ivan Kobyzev",
    ),
    url="https://arxiv.org/abs/2312.00949",
    doi="10.48550/arXiv.2312.00949",
)
DROPOUTS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FIXED_LR = 10**-3.5
# With dropout 1 no gradient reaches the adapter: such rows measure little but the base, and all
# but one have a loss above 1.015.
NO_ADAPTER_LOSS = 1.0
_CONTEXT = (
    "LLaMA-2-7B, LoRA on q_proj and v_proj, 53,610 training rows of Alpaca and Dolly, batch 128, "
    "AdamW, cosine schedule. One run of each configuration. The validation rows were probably "
    "drawn so that about 56 % of them are training rows too. Losses of tribes-2b and tribes-3 "
    "differ in epochs and are not comparable. Too sparse for an exact replay: fit a surrogate."
)
_FLAG = ("", "why the row is defective; empty: no defect known")
_NO_SEED = "One run of each configuration, seed not stated: all rows have seed 0."


def drafts(folder: Path | None, *, allow_changed: bool) -> list[ImportedDraft]:
    """Return both tables.

    Raises:
        DataError: a file has another format than the pinned one.
        IntegrityError: a file has another sum than the pinned one.
    """
    figure = original(FIGURE, folder, allow_changed=allow_changed)
    history = original(HISTORY, folder, allow_changed=allow_changed)
    return [_experiment_2b(figure), _experiment_3(history)]


def _experiment_2b(source: Original) -> ImportedDraft:
    rank, dropout, alpha, log_lr, loss = _dimensions(source)
    rows = pd.DataFrame(
        {
            "rank": [2 ** (_index(source, "rank", v, 8) + 1) for v in rank],
            "dropout": [DROPOUTS[_index(source, "dropout", v, 6) - 1] for v in dropout],
            "alpha": [_index(source, "alpha", v, 64) for v in alpha],
            "lr": [10.0**value for value in log_lr],
            "seed": 0,
            "status": "ok",
            "val_loss": loss,
            "source_row": np.arange(1, len(loss) + 1),
        }
    )
    silent = rows["dropout"] == 1.0
    mislabelled = silent & (rows["val_loss"] < NO_ADAPTER_LOSS)
    rows["flag"] = np.select(
        [mislabelled, silent], ["mislabelled", "adapter off: dropout 1"], default=""
    )
    return ImportedDraft(
        name="tribes-2b",
        version="1",
        description="LoRA on LLaMA-2-7B: 100 configurations of 2 epochs, chosen by NOMAD.",
        context=_CONTEXT + " 40 rows have alpha 64 and 39 rank 512, the bounds of the search.",
        licence="none found upstream: cite arXiv 2312.00949, do not redistribute",
        space=Space(
            (
                Ordinal("rank", tuple(2 ** (i + 1) for i in range(1, 9)), log=True),
                Ordinal("dropout", DROPOUTS, unit="probability"),
                Integer("alpha", 1, 64),
                Float("lr", 1e-6, 1e-3, log=True),
            )
        ),
        metrics=[_loss("val_loss", rows)],
        rows=rows,
        importer=NAME,
        publication=PUBLICATION,
        files=[source.provenance],
        columns={
            "seed": ("", "0: upstream states none"),
            "source_row": ("", "place in the figure's lists, from 1: by loss, not by time"),
            "flag": _FLAG,
        },
        notes=[_NO_SEED, _worst_note("val_loss")],
        flagged=[
            noted(
                "mislabelled",
                [int(row) for row in rows["source_row"][mislabelled]],
                "dropout 1, where the adapter cannot learn, yet a loss that needs one; the same "
                "rank and dropout with nearly the same lr is 0.076 worse",
            ),
            noted(
                "adapter off: dropout 1",
                [int(row) for row in rows["source_row"][silent & ~mislabelled]],
                "no gradient reaches the adapter; what changed the loss was trained beside it",
            ),
        ],
    )


def _experiment_3(source: Original) -> ImportedDraft:
    lines = [
        (number, line.split())
        for number, line in enumerate(source.text.splitlines(), start=1)
        if line.strip()
    ]
    rows = []
    for evaluation, (number, cells) in enumerate(lines, start=1):
        values = _history_line(source.path, number, cells)
        rank = 2 ** (_index(source, f"rank in line {number}", values[0], 5) + 1)
        dropout = DROPOUTS[_index(source, f"dropout in line {number}", values[2], 5) - 1]
        ratio = _index(source, f"alpha/rank in line {number}", values[1], 64)
        rows.append(
            {
                "rank": rank,
                "alpha_ratio": ratio,
                "dropout": dropout,
                "seed": 0,
                "status": "ok",
                "val_loss": values[3],
                "train_loss": values[5],
                "train_seconds": values[6],
                "eval_seconds": values[4],
                "alpha": ratio * rank,
                "lr": FIXED_LR,
                "evaluation": evaluation,
                "source_row": number,
                "flag": "",
            }
        )
    if not rows:
        raise DataError(f"{source.path}: is empty; a line an evaluation is expected")
    frame = pd.DataFrame(rows)
    return ImportedDraft(
        name="tribes-3",
        version="1",
        description="LoRA on LLaMA-2-7B: 50 configurations of 3 epochs, in NOMAD's order.",
        context=_CONTEXT + f" Fixed: lr {FIXED_LR:.4g}.",
        licence="none found upstream: cite arXiv 2312.00949, do not redistribute",
        space=Space(
            (
                Ordinal("rank", tuple(2 ** (i + 1) for i in range(1, 6)), log=True),
                Integer("alpha_ratio", 1, 64),
                Ordinal("dropout", DROPOUTS[:5], unit="probability"),
            )
        ),
        metrics=[_loss("val_loss", frame), _loss("train_loss", frame, "diagnostic")],
        rows=frame,
        importer=NAME,
        publication=PUBLICATION,
        files=[source.provenance],
        columns={
            "seed": ("", "0: upstream states none"),
            "train_seconds": ("s", "wall time of the training on four A100"),
            "eval_seconds": ("s", "wall time of the evaluation"),
            "alpha": ("", "alpha_ratio times rank"),
            "lr": ("", "the same in every run"),
            "evaluation": ("", "place in NOMAD's order, from 1"),
            "source_row": ("", "line of the file"),
            "flag": _FLAG,
        },
        notes=[_NO_SEED, _worst_note("val_loss"), _worst_note("train_loss")],
    )


def _dimensions(source: Original) -> list[list[float]]:
    """Return the five lists of the last `dimensions` array; no code of the page is run."""
    starts = [match.end() - 1 for match in re.finditer(r'"dimensions"\s*:\s*\[', source.text)]
    if not starts:
        raise DataError(f"{source.path}: holds no `dimensions` array")
    try:
        array: Any = json.JSONDecoder().raw_decode(source.text, starts[-1])[0]
        lists = [dimension["values"] for dimension in array]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{source.path}: the last `dimensions` array cannot be read: {error!r}"
        ) from None
    sizes = [len(values) if isinstance(values, list) else -1 for values in lists]
    if len(sizes) != 5 or len(set(sizes)) != 1 or sizes[0] < 1:
        raise DataError(
            f"{source.path}: `dimensions` must be five lists of one length (rank, dropout, alpha, "
            f"log10 lr, loss), found lengths {sizes}"
        )
    for name, values in zip(("rank", "dropout", "alpha", "lr", "loss"), lists, strict=True):
        for number, value in enumerate(values, start=1):
            if type(value) not in (int, float) or not math.isfinite(value):
                raise DataError(f"{source.path}: {name} {number} is no finite number: {value!r}")
    return lists


def _index(source: Original, name: str, value: float, highest: int) -> int:
    if value not in range(1, highest + 1):
        raise DataError(f"{source.path}: {name}: {value!r} is no integer from 1 to {highest}")
    return int(value)


def _history_line(path: Path, number: int, cells: list[str]) -> list[float]:
    if len(cells) != 7:
        raise DataError(f"{path}, line {number}: 7 numbers are expected, got {len(cells)}")
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}") from None
    if not np.isfinite(values).all():
        raise DataError(f"{path}, line {number}: a number is not finite: {cells}")
    return values


def _loss(name: str, rows: pd.DataFrame, role: Role = "objective") -> Metric:
    return Metric(
        name=name,
        unit="nats per label token",
        direction="minimize",
        worst=float(rows[name].max()),
        low=0.0,
        role=role,
    )


def _worst_note(name: str) -> str:
    return f"A run without {name} would count as the worst {name} of the table."
