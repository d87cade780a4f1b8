"""What all runs of a campaign share: frozen base, rows, scores, and how to evaluate."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from hpobench_llm.collect.bases.model import context_tokens, load_base
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.data.rows import Split, load_split
from hpobench_llm.collect.scores.losses import Batch, evaluation_batches, mean_loss, summed_losses
from hpobench_llm.collect.scores.scorer import Scorer, build_scorers
from hpobench_llm.collect.scores.trust import NONE, Trust
from hpobench_llm.errors import SpecError
from hpobench_llm.provenance import git_revision, processor, versions

LIBRARIES = ("torch", "transformers", "peft", "numpy", "hpobench-llm")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything that is made once; `untrained` is the row of the base as it is.

    `per_example` holds the ids of the runs that keep the loss of every validation row.
    """

    campaign: Campaign
    base: PreTrainedModel
    split: Split
    scorers: list[Scorer]
    pad: int
    untrained: Row
    per_example: frozenset[str]
    sources: dict[str, Any]
    provenance: dict[str, Any]
    losses: "LossRows"

    @property
    def device(self) -> torch.device:
        """Where the base lies."""
        device: torch.device = next(self.base.parameters()).device
        return device

    def header(self) -> Row:
        """Return what a ledger says of the whole collection beside the campaign's identity."""
        return {
            "sources": self.sources,
            "untrained": self.untrained,
            "val_rows": [
                {"row_id": row_id, "label_tokens": len(row.ids) - row.prompt_tokens}
                for row_id, row in zip(self.split.val_ids, self.split.val, strict=True)
            ],
        }

    def evaluate(self, model: torch.nn.Module, step: int) -> tuple[Row, torch.Tensor]:
        """Return the metrics of a checkpoint, and the `(val_rows,)` losses in nats."""
        metrics, val = self.losses.measure(model)
        for scorer in self.scorers:
            if step in scorer.spec.checkpoints:
                metrics |= scorer.measure(model, self.pad)
        return metrics, val


class LossRows:
    """The rows whose losses are recorded: validation, test, and leaked training rows."""

    def __init__(self, campaign: Campaign, split: Split, pad: int, device: torch.device) -> None:
        data = campaign.data
        rows = [*split.val, *split.test, *split.train[: data.leaked_rows]]
        val, test = len(split.val), len(split.val) + len(split.test)
        self._parts = {"val_loss": slice(0, val), "test_loss": slice(val, test)}
        self._parts |= {f"val_loss_{count}": slice(0, count) for count in data.val_subsets}
        if data.leaked_rows:
            self._parts["leaked_val_loss"] = slice(test, len(rows))
        self.labels = torch.tensor(
            [len(row.ids) - row.prompt_tokens for row in rows], dtype=torch.float64
        )
        self._batches: list[tuple[list[int], Batch]] = list(evaluation_batches(rows, pad, device))

    def measure(self, model: torch.nn.Module) -> tuple[Row, torch.Tensor]:
        """Return each set's mean loss (nats per label token), and each validation row's sum."""
        sums = summed_losses(model, len(self.labels), self._batches)
        means = {
            name: float(sums[part].sum() / self.labels[part].sum())
            for name, part in self._parts.items()
        }
        return means, sums[self._parts["val_loss"]]


def seconds_on(device: torch.device) -> float:
    """Return a clock of computing: CPU seconds of this process on a CPU, wall seconds on a GPU.

    On a CPU the wall clock would count the other programs of the machine as a run's cost.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def prepare(
    campaign: Campaign, file: Path, device: torch.device, *, trust: Trust = NONE
) -> Workbench:
    """Load base, data and scores, and measure the untrained base once for all runs.

    `trust` says which code of others the scores may run.

    Raises:
        SpecError, DataError: the base, the data or a score cannot be used.
    """
    base, tokenizer, base_source = load_base(campaign, file, device)
    context = context_tokens(base, file)
    if campaign.data.max_tokens > context:
        raise SpecError(
            file,
            "data.max_tokens",
            f"{campaign.data.max_tokens} is more than the {context} tokens that the base takes",
        )
    split = load_split(campaign, file, tokenizer)
    scorers = build_scorers(campaign, file, split, tokenizer, context, trust=trust)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    losses = LossRows(campaign, split, pad, device)
    started = seconds_on(device)
    untrained = {"train_loss": mean_loss(base, split.train[: len(split.val)], pad)}
    untrained |= losses.measure(base)[0]
    for scorer in scorers:
        untrained |= scorer.measure(base, pad)
    seconds = seconds_on(device) - started
    sources = {
        "base": base_source,
        "data": split.report,
        "scores": {
            s.spec.name: s.source | {"items": s.items, "chance": s.chance} for s in scorers
        },
    }
    provenance = git_revision() | {
        "untrained_eval_seconds": round(seconds, 3),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "versions": versions(*LIBRARIES),
    }
    per_example = frozenset(run.run_id for run in campaign.runs()[: campaign.per_example_runs])
    return Workbench(
        campaign,
        base,
        split,
        scorers,
        pad,
        finite(untrained),
        per_example,
        sources,
        provenance,
        losses,
    )


def finite(row: Row) -> Row:
    """Return the row without values that are not finite: in the ledger they are absent."""
    return {k: v for k, v in row.items() if not (isinstance(v, float) and not math.isfinite(v))}
