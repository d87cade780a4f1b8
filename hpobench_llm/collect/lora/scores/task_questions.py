"""Turn the items of a task into finished questions that fit into the base's context.

A task file says how an item and its examples read; lm-eval puts them together, once. An item that
is too long is asked with fewer examples; one that does not fit even without any is counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hpobench_llm.collect.lora.data.encoding import begin_token, plain_ids
from hpobench_llm.collect.lora.scores.samples import spread
from hpobench_llm.collect.lora.scores.task_data import ItemGroup, Row
from hpobench_llm.collect.lora.scores.task_files import TaskFile
from hpobench_llm.errors import DataError

# Makes lm-eval's task of a task file, examples and items; it is not imported here.
MakeTask = Callable[[Sequence[Row], Sequence[Row]], Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One finished question; `target` is a choice's number, or the text of the answer.

    `tokens` is the length of the longest text that the model sees or makes for it.
    """

    row: Row
    prompt: str
    choices: tuple[str, ...]
    target: int | str
    shots: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Asker:
    """How a task asks: its file, its data's place, the base's tokenizer and context in tokens."""

    file: TaskFile
    path: Path
    tokenizer: PreTrainedTokenizerBase
    context_tokens: int
    make_task: MakeTask

    def questions(
        self, groups: Sequence[ItemGroup], fewshot: int, items: int
    ) -> tuple[list[Question], int]:
        """Return the questions that fit, and how many items do not.

        At most `items` items (0: all) are taken, spread evenly over all groups.

        Raises:
            DataError: too few examples, an item that cannot be asked, or none that fits.
        """
        divided = [self._divided(group, fewshot) for group in groups]
        numbered = [(number, row) for number, (_, rows) in enumerate(divided) for row in rows]
        rows_by_group: dict[int, list[Row]] = {}
        for number, row in spread(numbered, items):
            rows_by_group.setdefault(number, []).append(row)
        questions: list[Question] = []
        unused = 0
        for number, rows in rows_by_group.items():
            finished = self._group(groups[number], divided[number][0], rows)
            fitting = [question for question in finished if question.tokens <= self.context_tokens]
            unused += len(finished) - len(fitting)
            questions += fitting
        if not questions:
            raise DataError(
                f"{self.path}: no item of {self.file.name} fits into {self.context_tokens} tokens"
            )
        return questions, unused

    def _where(self, group: ItemGroup) -> str:
        return str(self.path) if group.name == self.path.name else f"{self.path}: {group.name}"

    def _divided(self, group: ItemGroup, fewshot: int) -> tuple[list[Row], list[Row]]:
        try:
            return group.divided(fewshot)
        except DataError as error:
            raise DataError(f"{self._where(group)}: {error}") from None

    def _group(self, group: ItemGroup, shots: list[Row], rows: list[Row]) -> list[Question]:
        questions: list[Question] = []
        try:
            task = self.make_task(shots, rows)
            # lm-eval compiles a template at each use, so the examples are put together once.
            examples = [_parts(task, rows[0], number)[1] for number in range(len(shots) + 1)]
            # One by one: how many are there when one fails says which.
            questions.extend(self._question(task, row, examples) for row in rows)
        except Exception as error:  # whatever a template or a function of a task file may raise
            reason = str(error)
            if not isinstance(error, DataError):
                fields = ", ".join(rows[len(questions)])
                kind = type(error).__name__
                reason = f"{self.file.name} cannot ask it (fields: {fields}): {kind}: {error}"
            where = f"{self._where(group)}: item {len(questions)} of {len(rows)}"
            raise DataError(f"{where}: {reason.splitlines()[0]}") from None
        return questions

    def _question(self, task: Any, row: Row, examples: list[str]) -> Question:
        """Return the question with as many examples as fit, at worst one that is too long.

        `examples[number]` is the text of that many examples.
        """
        output = self.file.output
        target = task.doc_to_target(row)
        choices: tuple[str, ...] = ()
        room = 0
        if output == "multiple_choice":
            choices = tuple(task.doc_to_choice(row))
            if len(choices) < 2 or not all(isinstance(c, str) and c for c in choices):
                raise DataError(f"two or more choices are needed, none empty: {len(choices)}")
            if not isinstance(target, int) or not 0 <= target < len(choices):
                raise DataError(f"the answer {target!r} is none of {len(choices)} choices")
            endings = [f"{task.config.target_delimiter}{choice}" for choice in choices]
        elif not isinstance(target, str):
            raise DataError(f"doc_to_target must give a text, got {target!r}")
        elif output == "loglikelihood":
            endings = [target]
        else:
            endings, room = [""], self.file.room
        description, _, question = _parts(task, row, 0)
        # From the most examples down to none; after the last try the question stays too long.
        for number in range(len(examples) - 1, -1, -1):
            prompt = f"{description}{examples[number]}{question}"
            lengths = [len(encoded(self.tokenizer, prompt + ending)) for ending in endings]
            if max(lengths) + room <= self.context_tokens:
                break
        return Question(row, prompt, choices, target, number, max(lengths) + room)


def _parts(task: Any, row: Row, number: int) -> tuple[str, str, str]:
    """Return the description, `number` examples and the question of lm-eval's prompt."""
    question = task.doc_to_text(row)
    if not isinstance(question, str):
        raise DataError("doc_to_text must give a text")
    description = task.fewshot_context(row, num_fewshot=0).removesuffix(question)
    if number == 0:
        return description, "", question
    prompt = task.fewshot_context(row, num_fewshot=number)
    return description, prompt.removesuffix(question).removeprefix(description), question


def encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return a text's tokens after the begin token, without which no first word has a score."""
    return [begin_token(tokenizer), *plain_ids(tokenizer, text)]


def chance_level(questions: Sequence[Question]) -> tuple[float, str]:
    """Return the score that needs no understanding, and in words what it is.

    Where all questions have the same choices, always giving the commonest answer is what a model
    could learn without reading; else a choice at random. A generated answer has no such level.
    """
    if not questions[0].choices:
        return 0.0, "none: the answer is free"
    if len({question.choices for question in questions}) == 1:
        commonest = Counter(question.target for question in questions).most_common(1)[0][1]
        return commonest / len(questions), "share of the commonest answer"
    return sum(1 / len(q.choices) for q in questions) / len(questions), "a choice at random"
