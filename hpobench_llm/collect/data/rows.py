"""Instruction data: read, normalise, split by hash, tokenise. No row is dropped in silence."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpobench_llm.artefacts import sha256_of_file, sha256_of_text
from hpobench_llm.collect.campaign.recipe import Data, Source
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.data import synthetic
from hpobench_llm.collect.data.grouping import group_by_rare_runs
from hpobench_llm.errors import DataError, MissingDependencyError
from hpobench_llm.spec import resolve_path

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label that cross-entropy leaves out (transformers' convention)
# Question fields and answer field of the formats that are understood, tried in this order.
FORMATS = (
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("instruction", "input"), "output"),
    (("instruction", "context"), "response"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its answer, and where it comes from."""

    source: str
    instruction: str
    answer: str

    @property
    def key(self) -> str:
        """SHA-256 of the normalised question: rows that ask the same always share a split."""
        return sha256_of_text(" ".join(self.instruction.casefold().split()))


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example as token ids; `labels` is `IGNORED` on the prompt."""

    ids: list[int]
    labels: list[int]

    @property
    def prompt_tokens(self) -> int:
        """How many tokens come before the answer."""
        return self.labels.count(IGNORED)


@dataclass(frozen=True, slots=True)
class Split:
    """The three disjoint sets of a campaign, with what was counted on the way.

    `val_ids` names the validation rows by the beginning of their questions' hash.
    """

    train: list[Tokens]
    val: list[Tokens]
    test: list[Tokens]
    val_ids: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)


def load_split(campaign: Campaign, file: Path, tokenizer: "PreTrainedTokenizerBase") -> Split:
    """Read all sources of a campaign and split them.

    Rows that ask the same question share a hash and so a split; a repeated question is used once.
    With `group_words`, rows that share a rare run of so many words share a split too. Within each
    split the rows are ordered by that hash, so a smaller set is the beginning of a
    larger one.

    Raises:
        SpecError: a file is missing.
        DataError: a file is not what its sum says, cannot be read, or gives too few rows.
    """
    data = campaign.data
    unused: Counter[str] = Counter()
    sums: dict[str, Any] = {}
    examples: dict[str, Example] = {}
    for number, source in enumerate(data.source):
        rows, sums[source.name] = _read_source(source, file, number, campaign)
        found: dict[str, Example] = {}
        for row in rows:
            example, problem = _example(row, source)
            if example is None:
                unused[f"{source.name}: {problem}"] += 1
            elif example.key in found or example.key in examples:
                unused[f"{source.name}: question asked before"] += 1
            else:
                found[example.key] = example
        examples.update(_first(found, source.rows))
    usable: dict[str, Tokens] = {}
    for key in sorted(examples):
        tokens = tokenize(examples[key], tokenizer, data.template)
        if len(tokens.ids) <= data.max_tokens:
            usable[key] = tokens
        else:
            unused[f"{examples[key].source}: longer than {data.max_tokens} tokens"] += 1
    keys = list(usable)
    groups = list(range(len(keys)))
    if data.group_words:
        groups = group_by_rare_runs([examples[key].instruction for key in keys], data.group_words)
    sets: dict[str, list[Tokens]] = {"train": [], "val": [], "test": []}
    digest: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    wanted = {"train": data.train_rows, "val": data.val_rows, "test": data.test_rows}
    for key, group in zip(keys, groups, strict=True):
        name = _split_name(keys[group], data)
        if not wanted[name] or len(sets[name]) < wanted[name]:
            sets[name].append(usable[key])
            digest[name].append(key)
    for name, count in wanted.items():
        if len(sets[name]) < max(count, 1):
            raise DataError(
                f"{file}: `data.{name}_rows` wants {max(count, 1)} rows, the sources give "
                f"{len(sets[name])} usable ones (not usable: {dict(unused) or 'none'})"
            )
    report = {
        "sources": sums,
        "rows": {name: len(rows) for name, rows in sets.items()},
        "split_sha256": {name: sha256_of_text("\n".join(keys)) for name, keys in digest.items()},
        "unused": dict(sorted(unused.items())),
    }
    val_ids = tuple(key[:16] for key in digest["val"])
    return Split(sets["train"], sets["val"], sets["test"], val_ids, report)


def _split_name(key: str, data: Data) -> str:
    # Other digits of the hash than those that order the rows, or each split would be one range.
    place = int(key[32:48], 16) / 16**16
    if place < data.val_fraction:
        return "val"
    return "test" if place < data.val_fraction + data.test_fraction else "train"


def _first(examples: dict[str, Example], count: int) -> dict[str, Example]:
    keys = sorted(examples)[: count or None]
    return {key: examples[key] for key in keys}


def _example(row: object, source: Source) -> tuple[Example | None, str]:
    if not isinstance(row, Mapping):
        return None, "not an object"
    for questions, answer in FORMATS:
        if questions[0] in row and answer in row:
            parts = [row.get(name) for name in questions]
            text = "\n".join(part.strip() for part in parts if isinstance(part, str))
            reply = row[answer]
            if not text.strip():
                return None, "no question"
            reply = reply.strip() if isinstance(reply, str) else ""
            reply = reply.removesuffix(source.strip_suffix).strip()
            if not reply:
                return None, "no answer"
            return Example(source.name, text.strip(), reply), ""
    return None, "no known fields (prompt/completion, instruction/output, instruction/response)"


def tokenize(example: Example, tokenizer: "PreTrainedTokenizerBase", template: str) -> Tokens:
    """Return begin, prompt, answer, end; the loss sees the answer and the end alone."""
    prompt = template.replace("{instruction}", example.instruction)
    before = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    after = tokenizer(example.answer, add_special_tokens=False, verbose=False)["input_ids"]
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    head = [*start, *before]
    return Tokens(
        [*head, *after, tokenizer.eos_token_id],
        [*([IGNORED] * len(head)), *after, tokenizer.eos_token_id],
    )


def _read_source(
    source: Source, file: Path, number: int, campaign: Campaign
) -> tuple[Iterable[object], dict[str, Any]]:
    if source.generated_tasks:
        tasks = synthetic.instructions(source.generated_tasks, seed=0)
        return tasks, {"generated_tasks": source.generated_tasks}
    if source.hub:
        return _read_hub(source), {"hub": source.hub, "revision": source.revision}
    path = resolve_path(source.path, file=file, key=f"data.source[{number}].path")
    return read_rows(path), {"file": path.name, "sha256": checked_sum(path, source.sha256, file)}


def checked_sum(path: Path, expected: str, file: object) -> str:
    """Return a data file's SHA-256.

    Raises:
        DataError: it is not the one that the spec `file` gives.
    """
    digest = sha256_of_file(path)
    if expected and digest != expected:
        raise DataError(f"{path}: its sha256 is {digest}, but {file} says {expected}")
    return digest


def read_rows(path: Path) -> list[Any]:
    """Read a JSON array or JSON lines, gzipped where the name ends in .gz.

    Raises:
        DataError: the file is empty or broken; the message names the line.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    if text.lstrip().startswith("["):
        try:
            rows: list[Any] = json.loads(text)
        except ValueError as error:
            raise DataError(f"{path}: not valid JSON: {error}") from None
        return rows
    return list(_json_lines(text, path))


def _json_lines(text: str, path: Path) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}: line {number}: not valid JSON: {error}") from None


def _read_hub(source: Source) -> Iterable[object]:
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
