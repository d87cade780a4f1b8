"""What all runs of a campaign share: frozen base, rows, scores, and how to evaluate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hpobench_llm.collect.ledger.header import Header, ItemSet
from hpobench_llm.collect.lora.bases.model import context_tokens, load_base
from hpobench_llm.collect.lora.data.encoding import Tokens
from hpobench_llm.collect.lora.data.rows import Split, load_split
from hpobench_llm.collect.lora.recipe import Recipe
from hpobench_llm.collect.lora.scores.losses import (
    Batch,
    evaluation_batches,
    mean_loss,
    summed_losses,
)
from hpobench_llm.collect.lora.scores.prefix import shared_prefix, without_prefix
from hpobench_llm.collect.lora.scores.scorer import Scorer, build_scorers
from hpobench_llm.collect.record import Provenance, finite
from hpobench_llm.collect.training.meter import seconds_on
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import SpecError
from hpobench_llm.plain import Json
from hpobench_llm.provenance import git_revision, processor, versions
from hpobench_llm.tables.provenance import Sources

R = TypeVar("R", bound=Recipe)
LIBRARIES = ("torch", "transformers", "peft", "numpy", "hpobench-llm")


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation: values by column, and the `(items,)` values of single items by column."""

    values: dict[str, float]
    items: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Workbench(Generic[R]):
    """Everything that is made once for all runs; `untrained` holds what the base scores as it is.

    `per_example` holds the ids of the runs that keep the values of single items.
    """

    campaign: R
    base: PreTrainedModel
    split: Split
    scorers: list[Scorer]
    pad: int
    untrained: dict[str, float]
    per_example: frozenset[str]
    sources: Sources
    provenance: Provenance
    losses: "LossRows"
    tokenizer: PreTrainedTokenizerBase

    @property
    def device(self) -> torch.device:
        """Where the base lies."""
        device: torch.device = next(self.base.parameters()).device
        return device

    def header(self, pack_size: int = 1) -> Header:
        """Return what a ledger says of the whole collection."""
        rows = self.split.val
        items = {
            "val_loss": ItemSet(
                ids=self.split.val_ids,
                tokens=tuple(len(row.ids) - row.prompt_tokens for row in rows),
            )
        }
        items |= {scorer.items_column: ItemSet(ids=scorer.item_ids) for scorer in self.scorers}
        return Header(
            sources=self.sources, untrained=self.untrained, items=items, pack_size=pack_size
        )

    def evaluate(self, model: torch.nn.Module, step: int) -> Measured:
        """Return the metrics of a checkpoint, and the losses and margins of single items."""
        last = step == self.campaign.checkpoints[-1]
        values, val = self.losses.measure(model, whole=last)
        items = {"val_loss": val}
        for scorer in self.scorers:
            if step in scorer.spec.checkpoints:
                scores, items[scorer.items_column] = scorer.measure(model, self.pad)
                values |= scores
        return Measured(values, items)


class LossRows:
    """The rows whose losses are recorded: validation, test, and leaked training rows.

    At checkpoints before the last only the first `interim_rows` of the validation and of the test
    rows are measured (all where it is 0).
    """

    def __init__(self, campaign: Recipe, split: Split, pad: int, device: torch.device) -> None:
        data = campaign.data
        leaked = split.train[: data.leaked_rows]
        by_source: dict[str, list[int]] = {source: [] for source in campaign.mixture}
        for index, source in enumerate(split.val_sources):
            if source in by_source:
                by_source[source].append(index)
        self._whole = _RowSet(
            split.val, split.test, leaked, data.val_subsets, by_source, pad, device
        )
        self._interim = self._whole
        if data.interim_rows:
            val, test = split.val[: data.interim_rows], split.test[: data.interim_rows]
            subsets = tuple(count for count in data.val_subsets if count <= data.interim_rows)
            first = {
                source: [index for index in indices if index < len(val)]
                for source, indices in by_source.items()
            }
            self._interim = _RowSet(val, test, leaked, subsets, first, pad, device)

    def measure(
        self, model: torch.nn.Module, *, whole: bool = True
    ) -> tuple[dict[str, float], torch.Tensor]:
        """Return each set's mean loss (nats per label token), and each validation row's sum."""
        return (self._whole if whole else self._interim).measure(model)


class _RowSet:
    """Rows in ready batches; each part of them has a mean loss."""

    def __init__(
        self,
        val: Sequence[Tokens],
        test: Sequence[Tokens],
        leaked: Sequence[Tokens],
        val_subsets: Sequence[int],
        val_sources: Mapping[str, list[int]],
        pad: int,
        device: torch.device,
    ) -> None:
        rows = [*val, *test, *leaked]
        end_of_test = len(val) + len(test)
        self._parts: dict[str, slice | list[int]] = {
            "val_loss": slice(0, len(val)),
            "test_loss": slice(len(val), end_of_test),
        }
        self._parts |= {f"val_loss_{source}": indices for source, indices in val_sources.items()}
        self._parts |= {f"val_loss_{count}": slice(0, count) for count in val_subsets}
        if leaked:
            self._parts["leaked_val_loss"] = slice(end_of_test, len(rows))
        self._labels = torch.tensor(
            [len(row.ids) - row.prompt_tokens for row in rows], dtype=torch.float64
        )
        self._prefix = shared_prefix(rows)
        rest = [without_prefix(row, self._prefix) for row in rows]
        # Made once: every evaluation of every run sees the same rows.
        self._batches: list[tuple[list[int], Batch]] = list(evaluation_batches(rest, pad, device))

    def measure(self, model: torch.nn.Module) -> tuple[dict[str, float], torch.Tensor]:
        sums = summed_losses(model, len(self._labels), self._batches, self._prefix)
        means = {
            name: float(sums[part].sum() / self._labels[part].sum())
            for name, part in self._parts.items()
        }
        return means, sums[self._parts["val_loss"]]


def prepare(campaign: R, file: Path, device: torch.device, *, trust: Trust = NONE) -> Workbench[R]:
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
    # Any token does: the padding is never a label, and comes after all that counts.
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    losses = LossRows(campaign, split, pad, device)
    started = seconds_on(device)
    # The base has no training batches: as many training rows stand for them.
    untrained = {"train_loss": mean_loss(base, split.train[: len(split.val)], pad)}
    untrained |= losses.measure(base)[0]
    for scorer in scorers:
        untrained |= scorer.measure(base, pad)[0]
    seconds = seconds_on(device) - started
    sources: dict[str, Json] = {
        "base": base_source,
        "data": split.report,
        "scores": {
            s.spec.name: s.source | {"items": s.items, "chance": s.chance} for s in scorers
        },
    }
    revision = git_revision()
    provenance = Provenance(
        commit=revision["commit"],
        dirty=revision["dirty"],
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        threads=torch.get_num_threads(),
        versions=versions(*LIBRARIES),
        seconds={"untrained_evaluation": round(seconds, 3)},
    )
    # As many values as rows and items: a few runs keep them, or a ledger would be mostly these.
    per_example = frozenset(run.run_id for run in campaign.runs()[: campaign.per_example_runs])
    return Workbench(
        campaign,
        base,
        split,
        scorers,
        pad,
        {name: float(value) for name, value in finite(untrained).items()},
        per_example,
        sources,
        provenance,
        losses,
        tokenizer,
    )
