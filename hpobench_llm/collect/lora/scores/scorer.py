"""Benchmark scores of a model in memory: shares of right answers, margins, standard errors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens, begin_token, plain_ids
from hpobench_llm.collect.lora.data.files import read_rows
from hpobench_llm.collect.lora.data.rows import Split
from hpobench_llm.collect.lora.recipe import Recipe, Score
from hpobench_llm.collect.lora.scores.lm_eval_scorer import build_lm_eval_scorer
from hpobench_llm.collect.lora.scores.losses import evaluation_batches, label_logits, row_losses
from hpobench_llm.collect.lora.scores.samples import mean_and_stderr, spread
from hpobench_llm.collect.lora.scores.task_files import check_scores
from hpobench_llm.collect.training.checksum import checked_sum
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import DataError
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path


class Scorer(Protocol):
    """One benchmark, ready to be measured on any model in memory.

    `chance` is the score without any understanding; `source` says where the items come from.
    """

    @property
    def spec(self) -> Score:
        """The campaign's entry."""

    @property
    def source(self) -> dict[str, Json]:
        """File names, sums and versions: never a text of the benchmark."""

    @property
    def chance(self) -> float:
        """The score of a guess, 0 where an answer is generated."""

    @property
    def items(self) -> int:
        """How many items are scored."""

    def columns(self) -> list[str]:
        """Return the names of the table's columns that `measure` fills."""

    @property
    def items_column(self) -> str:
        """The column whose single items are kept: the margin where there is one."""

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Which items are scored: their numbers in the file, never a text."""

    def measure(self, model: torch.nn.Module, pad: int) -> tuple[dict[str, float], torch.Tensor]:
        """Return the columns' values, and the `(items,)` values of `items_column`.

        The columns are the score and its standard error, and the margin in nats where there is
        one.
        """


@dataclass(frozen=True, slots=True)
class TokenScorer:
    """One benchmark with its items ready as tokens.

    `rows` are the texts to be scored; item `i` owns `rows[starts[i]:starts[i + 1]]`, and number
    `gold[i]` of these is the right one. For `exact-match` each item is one row.
    """

    spec: Score
    rows: list[Tokens]
    starts: list[int]
    gold: list[int]
    item_ids: tuple[str, ...]
    chance: float
    source: dict[str, Json]

    @property
    def items(self) -> int:
        """How many items are scored."""
        return len(self.gold)

    def columns(self) -> list[str]:
        """The names of the table's columns that `measure` fills."""
        name = f"score_{self.spec.name}"
        if self.spec.kind == "exact-match":
            return [name, f"{name}_stderr"]
        return [name, f"{name}_stderr", f"{name}_margin", f"{name}_margin_stderr"]

    @property
    def items_column(self) -> str:
        """The column whose single items are kept."""
        return self.columns()[-2]

    def measure(self, model: torch.nn.Module, pad: int) -> tuple[dict[str, float], torch.Tensor]:
        """Return score, standard errors and margin, and the items' margins. See `Scorer`.

        The margin is the log-likelihood of the right text minus that of the best wrong one.
        """
        if self.spec.kind == "exact-match":
            values = [_exact_matches(model, self.rows, pad)]
        else:
            margins = self._margins(-row_losses(model, self.rows, pad).numpy())
            # NaN is not above 0: a broken model scores nothing.
            values = [(margins > 0).astype(np.float64), margins]
        numbers = [number for sample in values for number in mean_and_stderr(sample)]
        return dict(zip(self.columns(), numbers, strict=True)), torch.from_numpy(values[-1])

    def _margins(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        margins = np.empty(len(self.gold))
        for item, gold in enumerate(self.gold):
            item_scores = scores[self.starts[item] : self.starts[item + 1]]
            margins[item] = item_scores[gold] - np.delete(item_scores, gold).max()
        return margins


def build_scorers(
    campaign: Recipe,
    file: Path,
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    context_tokens: int,
    *,
    trust: Trust = NONE,
) -> list[Scorer]:
    """Return the scorers of a campaign, for a base that takes `context_tokens` tokens.

    An item that does not fit is not scored; the scorer's `source` says how many.
    `trust` says which code of others the scores may run.

    Raises:
        SpecError: a file is missing, or a score that runs generated code is not allowed.
        DataError: a file is not what its sum says, or an item cannot be used.
    """
    check_scores(campaign, file, trust)
    return [
        build_lm_eval_scorer(score, f"score[{number}]", file, tokenizer, context_tokens, trust)
        if score.kind == "lm-eval"
        else _build(score, number, file, split, tokenizer, context_tokens)
        for number, score in enumerate(campaign.score)
    ]


def _build(
    score: Score,
    number: int,
    file: Path,
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    context_tokens: int,
) -> TokenScorer:
    if score.kind == "answer-choice":
        return _answer_choice(score, split, context_tokens)
    if score.kind == "exact-match":
        test = split.test[: score.items or None]
        return TokenScorer(
            score,
            test,
            list(range(len(test) + 1)),
            [0] * len(test),
            tuple(map(str, range(len(test)))),
            0.0,
            {"rows": "the test rows of the campaign"},
        )
    path = resolve_path(score.path, file=file, key=f"score[{number}].path")
    source: dict[str, Json] = {
        "file": path.name,
        "sha256": checked_sum(path, score.sha256, file),
    }
    rows: list[Tokens] = []
    starts, gold, unused = [0], [], 0
    ids: list[str] = []
    for position, item in spread(list(enumerate(read_rows(path))), score.items):
        texts, right = _texts(item, score, path, position)
        try:
            item_rows = [_whole(tokenizer, prompt, text) for prompt, text in texts]
        except (TypeError, ValueError) as error:  # as of half a surrogate pair
            raise DataError(f"{path}: item {position}: no text to tokenise: {error}") from None
        if max(len(row.ids) for row in item_rows) > context_tokens:
            unused += 1
            continue
        rows += item_rows
        starts.append(len(rows))
        gold.append(right)
        ids.append(str(position))
    if not gold:
        raise DataError(f"{path}: no item fits the {context_tokens} tokens that the base takes")
    if unused:
        source["unused"] = unused
    sizes = np.diff(starts)
    return TokenScorer(score, rows, starts, gold, tuple(ids), float(np.mean(1.0 / sizes)), source)


OTHERS = 3  # answers that a right one is compared with


def _answer_choice(score: Score, split: Split, context_tokens: int) -> TokenScorer:
    """Return the scorer of the test rows' answers against others of their tasks.

    Where a task has more answers, a hash of the row and the answer decides which are compared.

    Raises:
        DataError: no task of the test rows has two answers.
    """
    if split.encoder is None:
        raise DataError(f"the score {score.name!r} needs the texts of the test rows")
    rows: list[Tokens] = []
    starts, ids, unused = [0], [], 0
    for number, example in spread(list(enumerate(split.test_examples)), score.items):
        candidates = example.others or split.answers[example.source, example.task]
        others = [answer for answer in candidates if answer != example.answer]
        others.sort(key=lambda answer: sha256_of_text(f"{example.key} {answer}"))
        texts = [example.answer, *others[:OTHERS]]
        encoded = [split.encoder.encode(replace(example, answer=text)) for text in texts]
        if len(texts) < 2 or max(len(row.ids) for row in encoded) > context_tokens:
            unused += 1
            continue
        rows += encoded
        starts.append(len(rows))
        ids.append(str(number))
    if not ids:
        raise DataError(f"the score {score.name!r}: no task of the test rows has two answers")
    source: dict[str, Json] = {"rows": "the test rows of the campaign", "others": OTHERS}
    if unused:
        source["unused"] = unused
    # A guess is right once in as many texts as the item has.
    chance = float(np.mean(1.0 / np.diff(starts)))
    return TokenScorer(score, rows, starts, [0] * len(ids), tuple(ids), chance, source)


def _texts(item: Any, score: Score, path: Path, number: int) -> tuple[list[tuple[str, str]], int]:
    wanted = ("good", "bad") if score.kind == "minimal-pairs" else ("query", "choices", "gold")
    if not isinstance(item, Mapping) or any(key not in item for key in wanted):
        raise DataError(
            f"{path}: item {number}: {score.kind} needs the fields {', '.join(wanted)}"
        )
    if score.kind == "minimal-pairs":
        return [("", str(item["good"])), ("", str(item["bad"]))], 0
    choices, gold = item["choices"], item["gold"]
    if not isinstance(choices, list) or type(gold) is not int:
        raise DataError(f"{path}: item {number}: a list `choices` and a number `gold` are needed")
    if len(choices) < 2 or not 0 <= gold < len(choices):
        raise DataError(f"{path}: item {number}: gold {gold} of {len(choices)} choices")
    return [(f"{item['query']}\n", str(choice)) for choice in choices], gold


def _whole(tokenizer: PreTrainedTokenizerBase, prompt: str, text: str) -> Tokens:
    # Prompt and text apart, as in training: no token spans the seam.
    head = [begin_token(tokenizer), *plain_ids(tokenizer, prompt)]
    body = plain_ids(tokenizer, text)
    return Tokens([*head, *body], [*([IGNORED] * len(head)), *body])


def _exact_matches(model: torch.nn.Module, rows: list[Tokens], pad: int) -> NDArray[np.float64]:
    """Return 1 where greedy decoding would give the answer to the last token: `(rows,)`.

    One forward pass suffices: greedy decoding repeats the answer exactly when each of its tokens
    is the likeliest after the tokens before it.
    """
    wrong = torch.zeros(len(rows), dtype=torch.float64)
    with torch.no_grad():
        for indices, batch in evaluation_batches(rows, pad, next(model.parameters()).device):
            logits, labels, rows_of_labels = label_logits(model, batch)
            misses = (logits.argmax(dim=-1) != labels).double().cpu()
            wrong.index_add_(0, torch.tensor(indices)[rows_of_labels.cpu()], misses)
    return (wrong == 0).double().numpy()
