"""The rows of a campaign: read, split by hash, made into tokens. Rows left out are counted."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.collect.lora.data.encoding import Encoder, Tokens
from hpobench_llm.collect.lora.data.examples import Example, Unusable, example_of
from hpobench_llm.collect.lora.data.files import read_rows
from hpobench_llm.collect.lora.data.grouping import group_by_rare_runs
from hpobench_llm.collect.lora.data.mixing import in_turns, mixed
from hpobench_llm.collect.lora.mixture import Shares
from hpobench_llm.collect.lora.recipe import Data, DataSource, Recipe
from hpobench_llm.collect.training import synthetic
from hpobench_llm.collect.training.checksum import checked_sum
from hpobench_llm.errors import DataError, MissingDependencyError
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SETS = ("train", "val", "test")
SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Unused:
    """How many rows cannot be used, by source and reason, and the beginning of a first one."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, source: str, reason: str, row: object) -> None:
        """Count a row."""
        key = f"{source}: {reason}"
        self.counts[key] += 1
        if key not in self.first:
            self.first[key] = str(row)[:SHOWN_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Split:
    """The three disjoint sets of a campaign, with what was counted on the way.

    `val_ids` names the validation rows by the beginning of their questions' hash. `test_examples`
    are the test rows before they were made into tokens by `encoder`, and `answers` all distinct
    answers by source and task, for scores that compare them. `usable` counts the rows that each
    set could have, `unused` those that none can. The runs of a mixture draw `mixed_rows` rows of
    `train_by_source`; `val_sources` says whose each validation row is.
    """

    train: list[Tokens]
    val: list[Tokens]
    test: list[Tokens]
    val_ids: tuple[str, ...] = ()
    report: dict[str, Json] = field(default_factory=dict)
    test_examples: tuple[Example, ...] = ()
    answers: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    encoder: Encoder | None = None
    usable: dict[str, int] = field(default_factory=dict)
    train_by_source: dict[str, list[Tokens]] = field(default_factory=dict)
    mixed_rows: int = 0
    val_sources: tuple[str, ...] = ()
    unused: Unused = field(default_factory=Unused)

    def rows_of(self, shares: Shares) -> list[Tokens]:
        """Return the training rows of a mixture; of none, all."""
        return mixed(self.train_by_source, shares, self.mixed_rows) if shares else self.train


def load_split(campaign: Recipe, file: Path, tokenizer: "PreTrainedTokenizerBase") -> Split:
    """Read all sources of a campaign and split them.

    Rows that ask the same question share a hash and so a split; a repeated question is used once.
    With `group_words`, rows that share a rare run of so many words share a split too. Within each
    split the rows are ordered by that hash, so a smaller set is the beginning of a larger one.

    Raises:
        SpecError: a file is missing, or the tokenizer lacks the chat template that is asked for.
        DataError: a file is not what its sum says, cannot be read, or gives too few rows.
    """
    data = campaign.data
    examples, usable, unused, sums, encoder = read_tokens(data, file, tokenizer)
    keys = list(usable)
    groups = list(range(len(keys)))  # each row by itself
    if data.group_words:
        groups = group_by_rare_runs(
            [_grouped(examples[key], data) for key in keys], data.group_words
        )
    by_source: dict[str, list[str]] = {}
    wanted = {"train": data.train_rows, "val": data.val_rows, "test": data.test_rows}
    available: dict[str, list[str]] = {name: [] for name in SETS}
    for key, group in zip(keys, groups, strict=True):
        # The group's first row decides for all of it.
        available[_set_of(keys[group], data)].append(key)
    usable_rows = {name: len(rows) for name, rows in available.items()}
    if campaign.mixture:
        available, by_source = _in_parts(campaign, available, examples, file)
    for name, count in wanted.items():
        if len(available[name]) < max(count, 1):
            raise DataError(
                f"{file}: `data.{name}_rows` wants {max(count, 1)} rows, the sources give "
                f"{len(available[name])} usable ones (not usable: {dict(unused.counts) or 'none'})"
            )
    used = {name: rows[: wanted[name] or None] for name, rows in available.items()}
    if campaign.mixture:  # each run takes its share of these
        used["train"] = available["train"]
    report: dict[str, Json] = {
        "sources": sums,
        "rows": {name: len(rows) for name, rows in used.items()},
        "split_sha256": {name: sha256_of_text("\n".join(rows)) for name, rows in used.items()},
        "unused": dict(sorted(unused.counts.items())),
    }
    sets = {name: [usable[key] for key in used[name]] for name in SETS}
    # Of all usable rows: wrong answers may come from any set.
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key in keys:
        answers[examples[key].source, examples[key].task].add(examples[key].answer)
    return Split(
        **sets,
        val_ids=tuple(key[:16] for key in used["val"]),
        report=report,
        test_examples=tuple(examples[key] for key in used["test"]),
        answers={task: sorted(distinct) for task, distinct in answers.items()},
        encoder=encoder,
        usable=usable_rows,
        unused=unused,
        train_by_source={s: [usable[key] for key in keys] for s, keys in by_source.items()},
        # A run of a mixture has as many rows as the campaign says, whatever its shares.
        mixed_rows=data.train_rows,
        val_sources=tuple(examples[key].source for key in used["val"]),
    )


def _in_parts(
    campaign: Recipe, available: dict[str, list[str]], examples: dict[str, Example], file: Path
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the sets of a mixture, and the training rows that its runs draw from, by source.

    A source gives at most as many training rows as a run has. Validation and test rows are of
    each source in turn.
    """
    data = campaign.data
    parts: dict[str, dict[str, list[str]]] = {}
    for name, keys in available.items():
        parts[name] = {source: [] for source in campaign.mixture}
        for key in keys:
            parts[name][examples[key].source].append(key)
    train = {source: keys[: data.train_rows] for source, keys in parts["train"].items()}
    for source, levels in campaign.mixture.items():
        needed = math.ceil(max(levels) * data.train_rows)
        if len(train[source]) < needed:
            raise DataError(
                f"{file}: `mixture.{source}` reaches {max(levels):g} of {data.train_rows} rows "
                f"(data.train_rows), {needed}; the source gives {len(train[source])} usable ones"
            )
    sets = {
        "train": sorted(key for keys in train.values() for key in keys),
        "val": in_turns(parts["val"], data.val_rows, f"{file}: data.val_rows"),
        "test": in_turns(parts["test"], data.test_rows, f"{file}: data.test_rows"),
    }
    return sets, train


def read_tokens(
    data: Data, file: Path, tokenizer: "PreTrainedTokenizerBase", key: str = "data"
) -> tuple[dict[str, Example], dict[str, Tokens], Unused, dict[str, Json], Encoder]:
    """Read all sources that stand under `key` of a campaign's file.

    Returns the examples and the tokens of those that can be used, both by hash, the rows that
    cannot be used, the sources' sums, and what made the tokens.

    Raises:
        SpecError, DataError: as `load_split`.
    """
    unused = Unused()
    examples, sums = _read_all(data, file, unused, key)
    usable: dict[str, Tokens] = {}
    encoder = Encoder(data, tokenizer, file)
    for name in sorted(examples):  # by hash, the order of each set
        example = examples[name]
        try:
            tokens = encoder.encode(example)
        except Unusable as reason:
            unused.add(example.source, str(reason), example.instruction)
            continue
        if len(tokens.ids) <= data.max_tokens:
            usable[name] = tokens
        else:
            unused.add(
                example.source, f"longer than {data.max_tokens} tokens", example.instruction
            )
    return examples, usable, unused, sums, encoder


def _read_all(
    data: Data, file: Path, unused: Unused, key: str
) -> tuple[dict[str, Example], dict[str, Json]]:
    """Return all examples by key, and the sources' sums."""
    sums: dict[str, Json] = {}
    examples: dict[str, Example] = {}
    for number, source in enumerate(data.source):
        rows, sums[source.name] = _read_source(source, file, f"{key}.source[{number}].path")
        fresh: dict[str, Example] = {}
        for row in rows:
            try:
                if not _is_wanted(row, source):
                    raise Unusable("not chosen by `where`")
                example = example_of(row, source)
                if example.key in fresh or example.key in examples:
                    raise Unusable("question asked before")
            except Unusable as reason:
                unused.add(source.name, str(reason), row)
                continue
            fresh[example.key] = example
        # In the order of their hash, so that a limit does not depend on the file's order.
        for digest in sorted(fresh)[: source.rows or None]:
            examples[digest] = fresh[digest]
    return examples, sums


def _is_wanted(row: object, source: DataSource) -> bool:
    if not source.where:
        return True
    if not isinstance(row, dict):
        return False
    for name, patterns in source.where.items():
        value = str(row.get(name))
        if not any(fnmatchcase(value, pattern) for pattern in patterns):
            return False
    return True


def _grouped(example: Example, data: Data) -> str:
    """Return the text whose rare runs of words tie a row to others."""
    return (
        f"{example.instruction}\n{example.answer}" if data.group_answers else example.instruction
    )


def _set_of(key: str, data: Data) -> str:
    # Other digits of the hash than those that order the rows, or each split would be one range.
    position = int(key[32:48], 16) / 16**16
    if position < data.val_fraction:
        return "val"
    return "test" if position < data.val_fraction + data.test_fraction else "train"


def _read_source(
    source: DataSource, file: Path, key: str
) -> tuple[Iterable[object], dict[str, Json]]:
    if source.generated_tasks:
        tasks = synthetic.instructions(source.generated_tasks, seed=0)
        return tasks, {"generated_tasks": source.generated_tasks}
    if source.hub:
        return _read_hub(source), {"hub": source.hub, "revision": source.revision}
    path = resolve_path(source.path, file=file, key=key)
    return read_rows(path), {"file": path.name, "sha256": checked_sum(path, source.sha256, file)}


def _read_hub(source: DataSource) -> Iterable[object]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise MissingDependencyError("datasets", "hub", f"the hub dataset {source.hub}") from None
    try:
        rows: Iterable[object] = load_dataset(
            source.hub, revision=source.revision, split=source.split
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"the hub dataset {source.hub} cannot be loaded: {reason}") from None
    return rows
