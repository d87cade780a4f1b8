"""Instruction data: formats, masks, disjoint splits, and nothing dropped in silence."""

import dataclasses
import gzip
import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.data import files
from hpobench_llm.collect.lora.data.batches import collate
from hpobench_llm.collect.lora.data.encoding import IGNORED, Encoder, begin_token
from hpobench_llm.collect.lora.data.examples import Example, Turn, Unusable, example_of
from hpobench_llm.collect.lora.data.files import read_rows
from hpobench_llm.collect.lora.data.grouping import group_by_rare_runs
from hpobench_llm.collect.lora.data.rows import load_split
from hpobench_llm.collect.lora.recipe import Data, DataSource
from hpobench_llm.collect.lora.scores.scorer import build_scorers
from hpobench_llm.errors import DataError, SpecError


@pytest.fixture
def tokenizer(project_root):
    return AutoTokenizer.from_pretrained(project_root / "collect" / "bases" / "tiny")


def campaign_on(write_campaign, path, *pairs):
    return read_campaign(write_campaign(("generated_tasks = 400", f'path = "{path}"'), *pairs))


def encoder(tokenizer, **options):
    source = DataSource(name="s", generated_tasks=1)
    data = Data(source=(source,), max_tokens=99, val_rows=1, test_rows=1, **options)
    return Encoder(data, tokenizer, "campaign.toml")


def questions(split):
    return {
        name: {tuple(row.ids[: row.prompt_tokens]) for row in getattr(split, name)}
        for name in ("train", "val", "test")
    }


def test_the_sets_share_no_question_whatever_their_order_or_spelling(
    tmp_path, write_campaign, tokenizer
):
    rows = [{"prompt": f"What follows {n}?", "completion": str(n + 1)} for n in range(400)]
    shouted = [{"prompt": f" what  FOLLOWS {n}? ", "completion": "x"} for n in range(400)]
    path = tmp_path / "rows.jsonl"
    found = []
    for order in (rows + shouted, [*reversed(rows), *shouted]):
        path.write_text("\n".join(map(json.dumps, order)))
        split = load_split(campaign_on(write_campaign, path), tmp_path / "mini.toml", tokenizer)
        sets = questions(split)
        assert not sets["train"] & sets["val"]
        assert not sets["train"] & sets["test"]
        assert not sets["val"] & sets["test"]
        assert split.report["unused"]["generated: question asked before"] == 400
        found.append(split)
    assert found[0].val == found[1].val
    assert found[0].report["split_sha256"] == found[1].report["split_sha256"]


def test_renderings_of_one_source_row_share_a_split(tmp_path, write_campaign, tokenizer):
    """The same facts under two templates: their questions differ, their split may not."""
    words = [f"w{n}a w{n}b w{n}c" for n in range(300)]
    rows = [{"prompt": f"Say it: {w}", "completion": "x"} for w in words]
    rows += [{"prompt": f"{w}. Well?", "completion": "x"} for w in words]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))

    def shared(*pairs):
        campaign = campaign_on(
            write_campaign,
            path,
            ("train_rows = 64", "train_rows = 0"),
            ("_rows = 8", "_rows = 30"),
        )
        data = dataclasses.replace(campaign.data, **dict(pairs))
        campaign = dataclasses.replace(campaign, data=data)
        split = load_split(campaign, tmp_path / "mini.toml", tokenizer)
        found = {
            name: {
                re.search(r"w\d+a w\d+b w\d+c", tokenizer.decode(row.ids)).group()
                for row in getattr(split, name)
            }
            for name in ("train", "val", "test")
        }
        return len(found["train"] & found["val"]) + len(found["train"] & found["test"])

    assert shared() > 10
    assert shared(("group_words", 3)) == 0


def test_groups_are_closed_and_templates_do_not_join():
    template = "please answer the question"
    texts = ["a b c d", "b c d e", "c d e f", "x y z"]
    texts += [f"{template} n{i}" for i in range(20)]
    assert group_by_rare_runs(texts, 3) == [0, 0, 0, *range(3, 24)]
    assert group_by_rare_runs(texts, 4)[:3] == [0, 1, 2]


def test_an_end_marker_is_no_answer(tmp_path, write_campaign, tokenizer):
    rows = [{"prompt": f"n {n}", "completion": "yes<|end|>"} for n in range(400)]
    rows += [{"prompt": "none", "completion": " <|end|> "}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    source = f'path = "{path}"\nstrip_suffix = "<|end|>"'
    campaign = read_campaign(write_campaign(("generated_tasks = 400", source)))
    split = load_split(campaign, tmp_path / "mini.toml", tokenizer)
    assert split.report["unused"] == {"generated: no answer": 1}
    for row in split.val:
        assert tokenizer.decode(row.ids[row.prompt_tokens : -1]) == "yes"


def test_a_smaller_set_is_the_beginning_of_a_larger_one(tmp_path, write_campaign, tokenizer):
    small, large = (
        load_split(
            read_campaign(write_campaign(("val_rows = 8", f"val_rows = {n}"))),
            tmp_path / "mini.toml",
            tokenizer,
        ).val
        for n in (4, 16)
    )
    assert large[:4] == small


@pytest.mark.parametrize(
    ("row", "prompt", "answer"),
    [
        ({"prompt": "a b", "completion": "c"}, "a b", "c"),
        ({"prompt": "a b", "response": "c"}, "a b", "c"),
        ({"instruction": "a", "input": "b", "output": "c"}, "a\nb", "c"),
        ({"instruction": "a", "input": "", "output": "c"}, "a", "c"),
        ({"instruction": "a", "context": "b", "response": "c"}, "a\nb", "c"),
        ({"instruction": "a", "response": "c", "category": "open_qa"}, "a", "c"),
    ],
)
def test_formats(tmp_path, write_campaign, tokenizer, row, prompt, answer):
    filler = [{"prompt": f"n {n}", "completion": "x"} for n in range(400)]
    path = tmp_path / "rows.json.gz"
    path.write_bytes(gzip.compress(json.dumps([row, *filler]).encode()))
    campaign = campaign_on(
        write_campaign, path, ("train_rows = 64", "train_rows = 0"), ("_rows = 8", "_rows = 30")
    )
    split = load_split(campaign, tmp_path / "mini.toml", tokenizer)
    texts = {
        tokenizer.decode(r.ids[1 : r.prompt_tokens]): tokenizer.decode(r.ids[r.prompt_tokens : -1])
        for r in [*split.train, *split.val, *split.test]
    }
    assert texts.get(f"{prompt}\n") == answer or len(texts) < 401


def test_rows_that_cannot_be_used_are_counted(tmp_path, write_campaign, tokenizer):
    rows = [{"prompt": f"n {n}", "completion": "x"} for n in range(400)]
    rows += [{"prompt": "empty", "completion": "  "}, {"prompt": "null", "completion": None}]
    rows += [{"prompt": "", "completion": "x"}, {"question": "what"}, "text"]
    rows += [{"prompt": f"long {'word ' * 200} {n}", "completion": "x"} for n in range(3)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    campaign = campaign_on(
        write_campaign, path, ("train_rows = 64", "train_rows = 0"), ("_rows = 8", "_rows = 20")
    )
    unused = load_split(campaign, tmp_path / "mini.toml", tokenizer).report["unused"]
    assert unused["generated: no answer"] == 2
    assert unused["generated: no question"] == 1
    assert unused["generated: not an object"] == 1
    (unknown,) = [reason for reason in unused if "no known fields (messages," in reason]
    assert unused[unknown] == 1
    assert unused.get("generated: longer than 48 tokens", 0) <= 3


@pytest.mark.slow
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_the_loss_sees_the_answer_and_the_end_alone(prompt, answer):
    tokenizer = _tokenizer()
    row = encoder(tokenizer).encode(Example("s", (Turn("user", prompt),), answer))
    assert len(row.ids) == len(row.labels)
    seen = [label for label in row.labels if label != IGNORED]
    assert tokenizer.decode(seen[:-1]) == answer
    assert seen[-1] == tokenizer.eos_token_id
    assert row.labels[: row.prompt_tokens] == [IGNORED] * row.prompt_tokens
    assert row.ids[row.prompt_tokens :] == seen


def _tokenizer(made=[]):  # noqa: B006 - made once for all examples
    if not made:
        from pathlib import Path

        root = Path(__file__).parents[2]
        made.append(AutoTokenizer.from_pretrained(root / "collect" / "bases" / "tiny"))
    return made[0]


def test_padding_is_never_a_label(tokenizer):
    rows = [
        encoder(tokenizer).encode(Example("s", (Turn("user", "a"),), answer))
        for answer in ("x", "one two three four")
    ]
    batch = collate(rows, tokenizer.pad_token_id, torch.device("cpu"))
    for index, row in enumerate(rows):
        assert batch["labels"][index].tolist()[: len(row.ids)] == row.labels
        assert set(batch["labels"][index].tolist()[len(row.ids) :]) <= {IGNORED}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('{"prompt": "a"}\n{broken\n', "line 2: not valid JSON"),
        ("[1, 2", "not valid JSON"),
        ('{"prompt": "a"}\n{"prompt": "\\ud800"}\n', "line 2: not valid JSON: .* surrogates"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_rows(path)
    assert str(path) in str(caught.value)


def test_line_separators_inside_a_string_end_no_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a\u2028b\u0085c"}\n{"prompt": "d"}\n', encoding="utf-8")
    assert [row["prompt"] for row in read_rows(path)] == ["a\u2028b\u0085c", "d"]


def test_a_damaged_archive_is_named(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "a"}' * 100)[:-20])
    with pytest.raises(DataError, match=r"rows\.jsonl\.gz: cannot be read"):
        read_rows(path)


def test_a_wrong_sum_a_missing_file_and_too_few_rows_are_named(
    tmp_path, write_campaign, tokenizer
):
    file = tmp_path / "mini.toml"
    with pytest.raises(SpecError, match=r"`data.source\[0\].path`: no such file"):
        load_split(campaign_on(write_campaign, tmp_path / "none.json"), file, tokenizer)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"prompt": "a", "completion": "b"}]))
    with pytest.raises(DataError, match=r"`data\.\w+_rows` wants"):
        load_split(campaign_on(write_campaign, path), file, tokenizer)
    wrong = read_campaign(
        write_campaign(("generated_tasks = 400", f'path = "{path}"\nsha256 = "00"'))
    )
    with pytest.raises(DataError, match=r"its sha256 is .* but .* says 00"):
        load_split(wrong, file, tokenizer)


QUESTION, ANSWER = ("user", "What is it?"), ("assistant", "A hen.")
CHATS = {
    "openai": {"messages": [{"role": r, "content": t} for r, t in (QUESTION, ANSWER)]},
    "parts": {
        "messages": [
            {"role": r, "content": [{"type": "text", "text": t}]} for r, t in (QUESTION, ANSWER)
        ]
    },
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": QUESTION[1]},
            {"from": "gpt", "value": ANSWER[1]},
        ]
    },
    "prompt and completion": {
        "prompt": [{"role": "user", "content": QUESTION[1]}],
        "completion": [{"role": "assistant", "content": ANSWER[1]}],
    },
    "plain": {"instruction": QUESTION[1], "output": ANSWER[1]},
}


@pytest.mark.parametrize("name", CHATS)
def test_every_format_of_a_chat_is_one_example(name):
    example = example_of(CHATS[name], DataSource(name="s", path="x"))
    assert example == Example("s", (Turn(*QUESTION),), ANSWER[1])


def test_fields_can_be_named():
    row = {"question": "a", "answer": "b", "prompt": "not this", "completion": "nor this"}
    source = DataSource(name="s", path="x", question="question", answer="answer")
    assert example_of(row, source) == Example("s", (Turn("user", "a"),), "b")
    with pytest.raises(Unusable, match="no fields 'question' and 'answer'"):
        example_of({"prompt": "a", "completion": "b"}, source)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": ["text"]}, "a message that is no object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "a message of role 'tool'"),
        ({"messages": [{"role": "user", "content": None}]}, "a message without text"),
        ({"messages": [{"role": "user", "content": [{"image": 1}]}]}, "parts that are no text"),
        ({"messages": [{"role": "user", "content": "x"}]}, "does not end with the assistant"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no question"),
    ],
)
def test_a_chat_that_cannot_be_learned_says_why(row, reason):
    with pytest.raises(Unusable, match=reason):
        example_of(row, DataSource(name="s", path="x"))


TEMPLATE = (
    "{% for m in messages %}{{ '<s>' + m['role'] + '\n' + m['content'] + '</s>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


@pytest.fixture
def chatting(tokenizer):
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_a_chat_is_written_by_the_tokenizers_own_template(chatting):
    turns = (Turn("system", "Be kind."), Turn("user", "hi"), Turn("assistant", "ho"))
    row = encoder(chatting, chat_template=True).encode(
        Example("s", (*turns, Turn("user", "what")), "a hen")
    )
    text = "".join(f"<s>{turn.role}\n{turn.text}</s>\n" for turn in turns)
    prompt = chatting(f"{text}<s>user\nwhat</s>\n<s>assistant\n", add_special_tokens=False)
    assert row.ids[: row.prompt_tokens] == prompt["input_ids"]
    assert row.ids[row.prompt_tokens :] == [
        *chatting("a hen", add_special_tokens=False)["input_ids"],
        chatting.eos_token_id,
    ]


def test_what_a_row_says_is_never_a_special_token(chatting):
    example = Example("s", (Turn("user", "x</s><s>"),), "y</s>")
    begin, end = chatting.bos_token_id, chatting.eos_token_id
    row = encoder(chatting, chat_template=True).encode(example)
    assert [row.ids.count(begin), row.ids.count(end)] == [2, 2]  # the template's own alone
    assert chatting.decode(row.ids) == "<s>user\nx</s><s></s>\n<s>assistant\ny</s></s>"
    row = encoder(chatting).encode(example)
    assert [row.ids.count(begin), row.ids.count(end)] == [1, 1]


def test_special_tokens_of_a_template_are_text_unless_they_are_meant(tokenizer):
    example = Example("s", (Turn("user", "hi <s>"),), "ho")
    begin = tokenizer.bos_token_id
    as_text = encoder(tokenizer, template="<s>[{instruction}]").encode(example)
    assert as_text.ids.count(begin) == 1
    assert tokenizer.decode(as_text.ids) == "<s><s>[hi <s>]ho</s>"
    meant = encoder(tokenizer, template="<s>[{instruction}]", special_tokens=True).encode(example)
    assert meant.ids.count(begin) == 1
    assert tokenizer.decode(meant.ids) == "<s>[hi <s>]ho</s>"


def test_a_chat_without_a_template_for_it_is_said(tokenizer, write_campaign, tmp_path):
    with pytest.raises(
        SpecError, match=r"`data.chat_template`: the tokenizer of this base has no"
    ):
        encoder(tokenizer, chat_template=True)
    row = {"messages": [{"role": "system", "content": "s"}, *CHATS["openai"]["messages"]]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError, match=r"several turns, which need `chat_template = true`': 1"):
        load_split(campaign_on(write_campaign, path), tmp_path / "mini.toml", tokenizer)


def test_without_a_begin_token_a_text_starts_after_the_end_token(tokenizer):
    assert begin_token(tokenizer) == tokenizer.bos_token_id
    tokenizer.bos_token = None
    assert begin_token(tokenizer) == tokenizer.eos_token_id


def test_rows_are_chosen_by_their_fields(tmp_path, write_campaign, tokenizer):
    rows = [
        {"prompt": f"{task} {n}", "completion": "x", "task": task}
        for task in ("one", "two", "three")
        for n in range(300)
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    chosen = f'path = "{path}"\nwhere = {{ task = ["one", "thr*"] }}'
    campaign = read_campaign(write_campaign(("generated_tasks = 400", chosen)))
    split = load_split(campaign, tmp_path / "mini.toml", tokenizer)
    assert split.report["unused"] == {"generated: not chosen by `where`": 300}
    asked = {tokenizer.decode(row.ids).split()[0] for row in split.train}
    assert asked == {"<s>one", "<s>three"}


def test_rows_that_share_an_answer_share_a_split(tmp_path, write_campaign, tokenizer):
    facts = [f"w{n}a w{n}b w{n}c" for n in range(300)]
    rows = [{"prompt": f"q{n}", "completion": fact} for n, fact in enumerate(facts)]
    rows += [{"prompt": fact, "completion": f"{n}"} for n, fact in enumerate(facts)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    more = ("train_rows = 64", "train_rows = 0\ngroup_words = 3\ngroup_answers = true")
    split = load_split(campaign_on(write_campaign, path, more), tmp_path / "mini.toml", tokenizer)
    texts = {
        name: " ".join(tokenizer.decode(row.ids) for row in getattr(split, name))
        for name in ("train", "val", "test")
    }
    for fact in facts:
        assert sum(fact in text for text in texts.values()) <= 1


def test_a_byte_order_mark_is_no_part_of_the_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}', encoding="utf-8-sig")
    assert read_rows(path) == [{"a": 1}, {"a": 2}]


def test_what_a_file_takes_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_LINE_BYTES", 20)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": "' + "x" * 20 + '"}')
    with pytest.raises(DataError, match=r"line 2: 29 characters, at most 20"):
        read_rows(path)
    path.write_text("[" + "1," * 100 + "1]")
    with pytest.raises(DataError, match="a JSON array of 203 characters"):
        read_rows(path)
    monkeypatch.setattr(files, "LARGEST_BYTES", 10)
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b"1" * 2000))
    with pytest.raises(DataError, match="takes more than 10 bytes when unpacked"):
        read_rows(packed)


def test_an_answer_is_compared_with_those_of_its_task(tmp_path, write_campaign, tokenizer):
    rows = [
        {"prompt": f"{task} {n}", "completion": f"{task}{n % count}", "task": task}
        for task, count in (("a", 2), ("b", 9), ("c", 1))
        for n in range(300)
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    grouped = ("generated_tasks = 400", f'path = "{path}"\ngroup = "task"')
    scored = ('kind = "exact-match"', 'kind = "answer-choice"')
    more = ("test_rows = 8", "test_rows = 60")
    file = write_campaign(grouped, scored, more)
    campaign = read_campaign(file)
    split = load_split(campaign, file, tokenizer)
    (scorer,) = build_scorers(campaign, file, split, tokenizer, 64)
    asked = [split.test_examples[int(number)] for number in scorer.item_ids]
    assert {example.task for example in asked} == {"a", "b"}  # of c all answers are the same
    assert scorer.source["unused"] == 60 - len(asked)
    choices = {"a": 2, "b": 4}
    for item, example in enumerate(asked):
        texts = scorer.rows[scorer.starts[item] : scorer.starts[item + 1]]
        answers = [tokenizer.decode(row.ids[row.prompt_tokens : -1]) for row in texts]
        assert answers[0] == example.answer
        assert len(set(answers)) == choices[example.task]
        assert {answer[0] for answer in answers} == {example.task}
    counts = [choices[example.task] for example in asked]
    assert scorer.chance == pytest.approx(sum(1 / count for count in counts) / len(counts))


def test_a_question_of_multiple_choice_keeps_its_wrong_answers():
    row = {"query": "Which?", "choices": ["a", "b ", "c", "a"], "gold": 1}
    example = example_of(row, DataSource(name="s", path="x"))
    assert (example.answer, example.others) == ("b", ("a", "c"))
    for change in ({"gold": 4}, {"gold": "1"}, {"choices": "ab"}):
        with pytest.raises(Unusable, match="a question of multiple choice"):
            example_of(row | change, DataSource(name="s", path="x"))
