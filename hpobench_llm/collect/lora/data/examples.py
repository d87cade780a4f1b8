"""One row of instruction data: what was asked, in turns, and the answer that is learned.

The formats of the field are told apart by their fields; nothing is guessed from the content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpobench_llm.artefacts import sha256_of_text
from hpobench_llm.collect.lora.recipe import DataSource

ROLES = ("system", "user", "assistant")
_SHAREGPT = {"system": "system", "human": "user", "user": "user", "gpt": "assistant"} | {
    "assistant": "assistant"
}
# Question fields and answer field of the plain formats, tried in this order.
_PLAIN = (
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("instruction", "input"), "output"),
    (("instruction", "context"), "response"),
)
_KNOWN = (
    "messages, conversations, prompt/completion, instruction/output, instruction/response, "
    "query/choices/gold; other names are given as `question` and `answer` of the source"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation says."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """The turns that come before an answer, the answer, and the source they are from.

    `task` tells apart what a source mixes, where it says so; `others` are the wrong answers that
    a row of multiple choice offers.
    """

    source: str
    turns: tuple[Turn, ...]
    answer: str
    task: str = ""
    others: tuple[str, ...] = ()

    @property
    def instruction(self) -> str:
        """All that comes before the answer, as one text."""
        return "\n".join(turn.text for turn in self.turns)

    @property
    def key(self) -> str:
        """SHA-256 of the normalised question, so that rows that ask the same share a split."""
        return sha256_of_text(" ".join(self.instruction.casefold().split()))


class Unusable(ValueError):
    """A row that cannot be learned from; the text is the reason it is counted under."""


def example_of(row: object, source: DataSource) -> Example:
    """Return the example that a row of a source holds.

    The formats are OpenAI's `messages`, ShareGPT's `conversations`, `prompt` and `completion` as
    texts or as lists of messages, Alpaca's and Dolly's fields, `query`, `choices` and `gold` of
    multiple choice, and the fields that the source names. Of a conversation the last turn is
    learned, which must be the assistant's.

    Raises:
        Unusable: the row has no such fields, or no question or answer in them.
    """
    if not isinstance(row, Mapping):
        raise Unusable("not an object")
    others: tuple[str, ...] = ()
    # Fields that the source names win over the known formats.
    turns = _conversation(row) if not source.question else None
    if turns is None and not source.question and "choices" in row:
        turns, others = _choice(row)
    if turns is None:
        turns = _plain(row, source)
    *before, last = turns
    if last.role != "assistant":
        raise Unusable("does not end with the assistant's turn")
    answer = last.text.removesuffix(source.strip_suffix).strip()
    if not any(turn.text for turn in before if turn.role != "system"):
        raise Unusable("no question")
    if not answer:
        raise Unusable("no answer")
    task = str(row.get(source.group, "")) if source.group else ""
    nonempty = tuple(turn for turn in before if turn.text)
    return Example(source.name, nonempty, answer, task, others)


def _conversation(row: Mapping[str, object]) -> list[Turn] | None:
    """Return the turns of a row that holds messages, None if it does not."""
    if isinstance(row.get("messages"), Sequence) and not isinstance(row["messages"], str):
        return _turns(row["messages"])
    if isinstance(row.get("conversations"), Sequence):
        return _turns(row["conversations"])
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        return _turns([*prompt, *completion])
    return None


def _turns(messages: object) -> list[Turn]:
    if not isinstance(messages, Sequence) or not messages:
        raise Unusable("no messages")
    return [_turn(message) for message in messages]


def _turn(message: object) -> Turn:
    if not isinstance(message, Mapping):
        raise Unusable("a message that is no object")
    role = message.get("role", _SHAREGPT.get(str(message.get("from"))))
    if role not in ROLES:
        raise Unusable(f"a message of role {message.get('role', message.get('from'))!r}")
    return Turn(str(role), _text(message.get("content", message.get("value"))))


def _text(content: object) -> str:
    """Return a message's text; OpenAI's lists of parts are joined."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        if len(parts) < len(content) or not all(isinstance(part, str) for part in parts):
            raise Unusable("a message with parts that are no text")
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise Unusable("a message without text")
    return content.strip()


def _choice(row: Mapping[str, object]) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the turns of a question of multiple choice, and its wrong answers."""
    query, choices, gold = row.get("query"), row.get("choices"), row.get("gold")
    if not isinstance(query, str) or not isinstance(choices, list):
        raise Unusable("a question of multiple choice without `query` or a list `choices`")
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise Unusable("a question of multiple choice whose `gold` is no place in `choices`")
    texts = [str(choice).strip() for choice in choices]
    right = texts[gold]
    others = tuple(text for text in dict.fromkeys(texts) if text and text != right)
    return [Turn("user", query.strip()), Turn("assistant", right)], others


def _plain(row: Mapping[str, object], source: DataSource) -> list[Turn]:
    formats: Sequence[tuple[tuple[str, ...], str]] = _PLAIN
    if source.question:
        formats = (((source.question,), source.answer),)
    for questions, answer in formats:
        if questions[0] in row and answer in row:
            parts = [row.get(name) for name in questions]
            text_of_question = "\n".join(part.strip() for part in parts if isinstance(part, str))
            reply = row[answer]
            text_of_answer = reply.strip() if isinstance(reply, str) else ""
            return [Turn("user", text_of_question.strip()), Turn("assistant", text_of_answer)]
    if source.question:
        raise Unusable(f"no fields {source.question!r} and {source.answer!r}")
    raise Unusable(f"no known fields ({_KNOWN})")
