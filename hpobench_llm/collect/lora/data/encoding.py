"""Examples as tokens: by a template of the campaign, or by the tokenizer's own for chats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpobench_llm.collect.lora.data.examples import Example, Unusable
from hpobench_llm.collect.lora.recipe import Data
from hpobench_llm.errors import SpecError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label that cross-entropy leaves out (transformers' convention)
_SLOT = "{instruction}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example as token ids; `labels` is `IGNORED` on the prompt."""

    ids: list[int]
    labels: list[int]

    @property
    def prompt_tokens(self) -> int:
        """How many tokens come before the answer."""
        return self.labels.count(IGNORED)


def begin_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Return the begin token, or the end token where there is none.

    A text to be scored comes after it, else its first word could not be scored; lm-eval does so.
    """
    token = tokenizer.bos_token_id
    return int(tokenizer.eos_token_id if token is None else token)


def plain_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return a text's tokens; the name of a special token in it is text like any other."""
    return list(
        tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)[
            "input_ids"
        ]
    )


class Encoder:
    """Makes tokens of examples: begin, prompt, answer, end; the loss sees answer and end alone.

    With `chat_template` the prompt is what the tokenizer's own template makes of the turns, and
    the answer ends with its end of turn. Otherwise it is the campaign's `template`, for rows of
    one question. The text of a row never becomes a special token, that of the template only with
    `special_tokens`. A begin token that the template starts with is not doubled.

    Raises:
        SpecError: the tokenizer has no chat template, or the template cannot be used.
    """

    def __init__(self, data: Data, tokenizer: "PreTrainedTokenizerBase", file: object) -> None:
        self._data, self._tokenizer = data, tokenizer
        self._specials = [str(token) for token in tokenizer.all_special_tokens]
        if data.chat_template and not tokenizer.chat_template:
            raise SpecError(
                file, "data.chat_template", "the tokenizer of this base has no chat template"
            )
        head, tail = data.template.split(_SLOT, 1)
        self._head, self._tail = (self._meant(text) for text in (head, tail))

    def _meant(self, text: str) -> list[int]:
        """Return the tokens of a part of the template, special ones where they are meant."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode(self, example: Example) -> Tokens:
        """Return an example's tokens.

        Raises:
            Unusable: it has several turns and there is no chat template, or the template cannot
                take its turns.
        """
        if self._data.chat_template:
            prompt, answer = self._chat(example)
        else:
            prompt, answer = self._templated(example)
        return Tokens([*prompt, *answer], [*([IGNORED] * len(prompt)), *answer])

    def _templated(self, example: Example) -> tuple[list[int], list[int]]:
        if len(example.turns) > 1:
            raise Unusable("several turns, which need `chat_template = true`")
        tokenizer, template = self._tokenizer, self._data.template
        if self._data.special_tokens and self._names_special(template):
            # The template's parts were read with special tokens, the question is read without.
            prompt = [*self._head, *plain_ids(tokenizer, example.instruction), *self._tail]
        else:
            prompt = plain_ids(tokenizer, template.replace(_SLOT, example.instruction))
        begin = tokenizer.bos_token_id
        start = (
            []
            if begin is None or (self._data.special_tokens and prompt[:1] == [begin])
            else [begin]
        )
        answer = [*plain_ids(tokenizer, example.answer), tokenizer.eos_token_id]
        return [*start, *prompt], answer

    def _chat(self, example: Example) -> tuple[list[int], list[int]]:
        """Return prompt and answer as the tokenizer's template puts them.

        The template sees marks in the place of the texts, so that nothing in a text can become a
        special token or be read as the template's own.
        """
        from jinja2 import TemplateError

        texts = [*(turn.text for turn in example.turns), example.answer]
        marks = [f"\ue000{number}\ue001" for number in range(len(texts))]
        messages = [
            {"role": turn.role, "content": mark}
            for turn, mark in zip(example.turns, marks, strict=False)
        ]
        reply = {"role": "assistant", "content": marks[-1]}
        try:
            question = self._rendered(messages, ask=True)
            answered = self._rendered([*messages, reply], ask=False)
        except TemplateError as error:  # such as turns that must alternate
            raise Unusable(f"the chat template cannot take it: {error}") from None
        # Else the prompt that is trained on would not be the one that the model is asked with.
        if not answered.startswith(question):
            raise Unusable("the chat template writes the question otherwise before an answer")
        prompt = self._filled(question, marks[:-1], texts[:-1])
        end = self._tokenizer.eos_token_id
        answer = self._filled(answered[len(question) :], marks[-1:], texts[-1:])
        if end in answer:  # a line break after it is the template's, not the answer's
            answer = answer[: len(answer) - answer[::-1].index(end)]
        else:  # a template without an end would teach no end
            answer.append(int(end))
        return prompt, answer

    def _rendered(self, messages: list[dict[str, str]], *, ask: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=ask
            )
        )

    def _filled(self, rendered: str, marks: Sequence[str], texts: Sequence[str]) -> list[int]:
        """Return the tokens of a rendered template with the texts in the place of their marks."""
        if not any(self._names_special(text) for text in texts):
            # As one text, so that tokens may span the seam as the template's author meant.
            for mark, text in zip(marks, texts, strict=True):
                rendered = rendered.replace(mark, text)
            return self._meant(rendered)
        ids: list[int] = []
        for mark, text in zip(marks, texts, strict=True):
            before, _, rendered = rendered.partition(mark)
            ids += [*self._meant(before), *plain_ids(self._tokenizer, text)]
        return [*ids, *self._meant(rendered)]

    def _names_special(self, text: str) -> bool:
        return any(special in text for special in self._specials)
