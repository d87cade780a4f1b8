"""Scores by lm-eval against our own scorers, greedy decoding and closed forms; and alone."""

import gzip
import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.model import adapted
from hpobench_llm.collect.lora.data.rows import Split
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.scores import lm_eval_scorer as lm_eval_scores
from hpobench_llm.collect.lora.scores.scorer import build_scorers
from hpobench_llm.collect.lora.scores.task_files import check_scores, shipped_tasks
from hpobench_llm.collect.lora.scores.task_metrics import spans_f1
from hpobench_llm.collect.trust import Trust
from hpobench_llm.errors import DataError, MissingDependencyError, SpecError

pytest.importorskip("lm_eval")

EXACT = 'name = "exact"\nkind = "exact-match"\ncheckpoints = [0, 4]\n'
WORDS = (
    "the",
    "cat",
    "dog",
    "sees",
    "red",
    "house",
    "of",
    "a",
    "man",
    "runs",
    "old",
    "tree",
    "by",
)
PAD = 2


@pytest.fixture(scope="module")
def base():
    folder = Path(__file__).parents[2] / "collect" / "bases" / "tiny"
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model.requires_grad_(False), AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def build(write_campaign, base):
    """Return a function that builds the scorers of `[[score]]` entries given as text."""

    def scorers(*entries, **options):
        text = "\n[[score]]\n".join(f"checkpoints = [0]\n{entry}\n" for entry in entries)
        file = write_campaign((EXACT, text))
        campaign = read_campaign(file)
        config = json.loads((Path(campaign.base.path) / "config.json").read_text())
        limit = config.get("max_position_embeddings") or config["n_positions"]
        return build_scorers(campaign, file, Split([], [], []), base[1], limit, **options)

    return scorers


def entry(task, path, **more):
    lines = [f'name = "{Path(task).stem}"', 'kind = "lm-eval"', f'task = "{task}"']
    lines += [f'path = "{path}"', *(f"{key} = {json.dumps(value)}" for key, value in more.items())]
    return "\n".join(lines)


def sentence(rng, words=6):
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def write_rows(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def pairs(tmp_path):
    rng = random.Random(0)
    rows = [{"good": sentence(rng), "bad": sentence(rng, 7)} for _ in range(50)]
    return write_rows(tmp_path / "pairs.jsonl.gz", rows)


@pytest.fixture
def choices(tmp_path):
    rng = random.Random(1)
    rows = [
        {
            "query": sentence(rng, 8),
            "choices": [sentence(rng, rng.randint(2, 5)) for _ in range(2 + index % 3)],
            "gold": index % 2,
        }
        for index in range(40)
    ]
    return write_rows(tmp_path / "choices.jsonl", rows)


def same(ours, theirs):
    """Compare two scorers' values, which are named after each."""
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("items", [0, 33])
def test_blimp_is_our_minimal_pairs(build, base, pairs, items):
    ours, theirs = build(
        f'name = "own"\nkind = "minimal-pairs"\npath = "{pairs}"\nitems = {items}',
        entry("blimp", pairs, items=items),
    )
    same(ours.measure(base[0], PAD)[0], theirs.measure(base[0], PAD)[0])
    assert theirs.items == ours.items == (items or 50)
    assert theirs.chance == ours.chance == 0.5
    assert theirs.columns() == list(theirs.measure(base[0], PAD)[0])


@pytest.fixture
def same_prompt(tmp_path):
    """A task file of a user's own, with the prompt of `multiple-choice`."""
    path = tmp_path / "own_task.yaml"
    path.write_text(
        'task: own\noutput_type: multiple_choice\ndoc_to_text: "{{query}}\\n"\n'
        'doc_to_choice: choices\ndoc_to_target: gold\ntarget_delimiter: ""\n'
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
        "metadata: {version: 3}\n"
    )
    return path


def test_the_same_prompt_is_our_multiple_choice(build, base, choices, same_prompt):
    ours, theirs = build(
        f'name = "own"\nkind = "multiple-choice"\npath = "{choices}"',
        entry(str(same_prompt), choices),
    )
    same(ours.measure(base[0], PAD)[0], theirs.measure(base[0], PAD)[0])
    assert theirs.chance == pytest.approx(ours.chance)
    assert theirs.source["task_version"] == 3


def test_an_adapter_counts_its_dropout_does_not(build, base, pairs):
    ours, theirs = build(
        f'name = "own"\nkind = "minimal-pairs"\npath = "{pairs}"', entry("blimp", pairs)
    )
    plain = theirs.measure(base[0], PAD)[0]
    hyper = Hyperparameters(rank=4, dropout=0.5)
    with adapted(base[0], hyper, 0) as (model, parameters):
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.eval()
        expected = ours.measure(model, PAD)[0]
        model.train()
        next(model.modules()).training = False  # mixed on purpose
        before = [module.training for module in model.modules()]
        measured = theirs.measure(model, PAD)[0]
        assert [module.training for module in model.modules()] == before
    same(expected, measured)
    assert measured != plain
    assert theirs.measure(base[0], PAD)[0] == plain


def test_lambada_is_the_likelihood_of_the_last_word(build, base, tmp_path):
    model, tokenizer = base
    rng = random.Random(2)
    contexts = [sentence(rng)[:-1] for _ in range(12)]
    rows = []
    for number, context in enumerate(contexts):
        likeliest = greedy(model, tokenizer, context, 1)
        right = number % 3 == 0 and likeliest.startswith(" ") and likeliest.strip()
        rows.append({"context": context, "continuation": right or "zzz"})
    (scorer,) = build(entry("lambada", write_rows(tmp_path / "last.jsonl", rows)))
    logs, hits = [], []
    for row in rows:
        head = [0, *ids(tokenizer, row["context"])]
        whole = torch.tensor([[0, *ids(tokenizer, f"{row['context']} {row['continuation']}")]])
        with torch.no_grad():
            log = model(whole).logits[0].log_softmax(-1)
        places = range(len(head), whole.shape[1])
        logs.append(sum(float(log[place - 1, whole[0, place]]) for place in places))
        hits.append(all(log[place - 1].argmax() == whole[0, place] for place in places))
    measured = scorer.measure(model, PAD)[0]
    assert measured["score_lambada"] == pytest.approx(np.mean(hits))
    assert measured["score_lambada_margin"] == pytest.approx(np.mean(logs), rel=1e-4)
    spread = np.std(logs, ddof=1) / np.sqrt(len(logs))
    assert measured["score_lambada_margin_stderr"] == pytest.approx(spread, rel=1e-4)
    assert scorer.chance == 0.0


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def greedy(model, tokenizer, prompt, tokens):
    """Decode one unpadded prompt, up to the end token."""
    start = torch.tensor([[0, *ids(tokenizer, prompt)]])
    made = model.generate(
        input_ids=start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=PAD,
    )
    return tokenizer.decode(made[0, start.shape[1] :], skip_special_tokens=True)


@pytest.mark.slow
def test_bbh_is_greedy_decoding_after_the_first_items(build, base, tmp_path):
    folder = tmp_path / "bbh"
    folder.mkdir()
    rng = random.Random(3)
    right = 0
    for task in ("one", "two"):
        examples = [{"input": sentence(rng, 3), "target": "yes"} for _ in range(8)]
        shot = f"Q: {examples[0]['input']}\nA: yes\n\n"
        for number, example in enumerate(examples[1:]):
            if number % 2 == 0:
                made = greedy(*base, f"{shot}Q: {example['input']}\nA:", 64)
                example["target"] = made.split("\n")[0].strip() or "nothing"
                right += example["target"] != "nothing"
        (folder / f"{task}.json").write_text(json.dumps({"canary": "x", "examples": examples}))
    (scorer,) = build(entry("bbh", folder, fewshot=1))
    assert scorer.items == 14
    assert scorer.columns() == ["score_bbh", "score_bbh_stderr"]
    assert 0 < right < 14
    assert scorer.measure(base[0], PAD)[0]["score_bbh"] == pytest.approx(right / 14)


def write_mmlu(folder, question, tests=6, header=True):
    for part, count in (("dev", 3), ("test", tests)):
        (folder / part).mkdir(parents=True)
        for subject in ("red_birds", "old_trees"):
            lines = ["question,choice0,choice1,choice2,choice3,answer"] if header else []
            answers = "0123" if header else "ABCD"
            lines += [
                f'"{part} {question(n)}",1,2,3,4,{answers[n % 4 if n else 1]}'
                for n in range(count)
            ]
            (folder / part / f"{subject}_{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


def prompts(scorer):
    return [row["prompt"] for row in scorer.task.test_docs()]


@pytest.mark.parametrize("header", [True, False])
def test_mmlu_shows_the_examples_of_the_subject(build, base, tmp_path, header):
    folder = write_mmlu(tmp_path / "mmlu", lambda number: f"q{number}", header=header)
    (scorer,) = build(entry("mmlu", folder, fewshot=1))
    first, *_, last = prompts(scorer)
    assert "old trees" in first
    assert "red birds" in last
    assert first.count("Answer:") == 2
    assert "dev q0\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\ntest q0" in first
    assert first.endswith("D. 4\nAnswer:")
    # Answers of a subject's six test items: 1, 1, 2, 3, 0, 1.
    assert scorer.chance == pytest.approx(3 / 6)
    assert scorer.source["chance_is"] == "share of the commonest answer"
    measured = scorer.measure(base[0], PAD)[0]
    assert 0.0 <= measured["score_mmlu"] <= 1.0
    assert scorer.items == 12


def test_long_items_lose_examples_and_too_long_ones_are_counted(build, tmp_path):
    folder = write_mmlu(tmp_path / "mmlu", lambda number: "word " * 12 * number)
    (scorer,) = build(entry("mmlu", folder, fewshot=3))
    # The tiny base takes 128 tokens: no prompt has room for all three examples.
    assert scorer.items + scorer.source["unused"] == 12
    assert scorer.source["unused"] > 0
    assert scorer.source["with_fewer_shots"] == scorer.items
    shots = [prompt.count("Answer:") - 1 for prompt in prompts(scorer)]
    assert len({*shots}) > 1
    with pytest.raises(DataError, match=r"old_trees: 4 examples wanted, 3 there"):
        build(entry("mmlu", folder, fewshot=4))


def test_items_that_never_fit_are_an_error(build, tmp_path):
    path = write_rows(tmp_path / "long.jsonl", [{"good": "a " * 300, "bad": "b"}] * 2)
    with pytest.raises(DataError, match="no item of blimp fits into 128 tokens"):
        build(entry("blimp", path))


def test_a_folder_is_known_by_its_sum(build, tmp_path):
    folder = write_mmlu(tmp_path / "mmlu", lambda number: f"q{number}")
    (scorer,) = build(entry("mmlu", folder))
    digest = scorer.source["sha256"]
    (again,) = build(entry("mmlu", folder, sha256=digest))
    assert again.source == scorer.source
    (folder / "notes.txt").write_text("not read, so not in the sum")
    build(entry("mmlu", folder, sha256=digest))
    with (folder / "test" / "red_birds_test.csv").open("a") as stream:
        stream.write("one more,1,2,3,4,0\n")
    with pytest.raises(DataError, match="the sha256 of its list of sums is"):
        build(entry("mmlu", folder, sha256=digest))


def test_drop_gives_the_f1_of_words(build, base, tmp_path):
    rows = [
        {"passage": sentence(random.Random(n), 2), "question": "Who?", "answers": [["a man"]]}
        for n in range(5)
    ]
    (scorer,) = build(entry("drop", write_rows(tmp_path / "drop.jsonl", rows), fewshot=1))
    assert scorer.items == 4
    assert "Answer: a man\n\nPassage:" in prompts(scorer)[0]
    assert scorer.columns() == ["score_drop", "score_drop_stderr"]
    assert 0.0 <= scorer.measure(base[0], PAD)[0]["score_drop"] <= 1.0


@pytest.mark.parametrize(
    ("answer", "accepted", "f1", "exact"),
    [
        (" The Cat.", [["cat"]], 1.0, 1.0),
        ("the old cat", [["cat"]], 2 / 3, 0.0),
        ("dog", [["cat"], ["dog"]], 1.0, 1.0),
        ("1,000.0", [["1000"]], 1.0, 1.0),
        ("3 cats", [["4 cats"]], 0.0, 0.0),
        ("Denver, Dallas", [["Dallas", "Denver"]], 1.0, 1.0),
        ("Denver", [["Dallas", "Denver"]], 0.5, 0.0),
        ("", [["cat"]], 0.0, 0.0),
    ],
)
def test_f1_of_spans(answer, accepted, f1, exact):
    found = spans_f1({"answers": accepted}, [answer])
    assert found == {"f1": pytest.approx(f1), "exact": exact}


@pytest.fixture
def problems(tmp_path):
    """Two problems, and HumanEval's task with answers short enough for the tiny base."""
    rows = [
        {
            "task_id": f"t/{number}",
            "prompt": f"def add{number}(x):\n",
            "entry_point": f"add{number}",
            "canonical_solution": f"    return x + {number}\n",
            "test": f"def check(f):\n    assert f(1) == {1 + number}\n",
        }
        for number in range(2)
    ]
    task = tmp_path / "short_humaneval.yaml"
    shipped = Path(lm_eval_scores.__file__).parent / "tasks" / "humaneval.yaml"
    task.write_text(shipped.read_text().replace("max_gen_toks: 384", "max_gen_toks: 24"))
    return entry(str(task), write_rows(tmp_path / "problems.jsonl", rows))


def test_generated_code_runs_only_where_it_is_allowed(build, problems, write_campaign):
    with pytest.raises(SpecError, match=r"score\[0\]\.task.*--run-generated-code"):
        build(problems)
    file = write_campaign((EXACT, f"checkpoints = [0]\n{problems}\n"))
    campaign = read_campaign(file)
    with pytest.raises(SpecError, match="--run-generated-code"):
        check_scores(campaign, file, Trust())
    check_scores(campaign, file, Trust(generated_code=True))


def test_humaneval_is_the_share_of_programs_that_pass(build, base, problems, monkeypatch):
    (scorer,) = build(problems, trust=Trust(generated_code=True))
    assert scorer.measure(base[0], PAD)[0]["score_short_humaneval"] == 0.0
    monkeypatch.setattr(
        lm_eval_scores._in_memory_model(),
        "generate_until",
        lambda _, requests: ["    return x + 1"] * len(requests),
    )
    measured = scorer.measure(base[0], PAD)[0]
    assert measured["score_short_humaneval"] == 0.5
    assert measured["score_short_humaneval_stderr"] == pytest.approx(0.5)


def test_a_model_that_broke_scores_nothing(build, base, pairs):
    (scorer,) = build(entry("blimp", pairs))
    with adapted(base[0], Hyperparameters(rank=2), 0) as (model, parameters):
        with torch.no_grad():
            for parameter in parameters:
                parameter.fill_(float("nan"))
        measured = scorer.measure(model, PAD)[0]
    assert measured["score_blimp"] == 0.0
    assert np.isnan(measured["score_blimp_margin"])


def test_measuring_leaves_nothing_behind(build, base, pairs, monkeypatch, capfd):
    (scorer,) = build(entry("blimp", pairs, items=8))
    pairs.unlink()  # it was read once

    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    model, tokenizer = base
    monkeypatch.setattr(tokenizer, "padding_side", "right")
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    environment = dict(os.environ)
    first = scorer.measure(model, PAD)[0]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002
    assert dict(os.environ) == environment
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert tokenizer.padding_side == "right"
    assert capfd.readouterr() == ("", "")
    assert scorer.measure(model, PAD)[0] == first


def test_the_record_holds_no_text(build, choices):
    (scorer,) = build(entry("copa", choices))
    record = json.dumps(scorer.source)
    row = json.loads(choices.read_text().splitlines()[0])
    assert row["query"] not in record
    assert row["choices"][0] not in record
    assert scorer.source["file"] == "choices.jsonl"
    assert scorer.source["task"] == "copa"
    assert scorer.source["lm_eval"]
    assert len(scorer.source["sha256"]) == len(scorer.source["task_sha256"]) == 64


ALONE = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from pathlib import Path
import torch
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.engines.workbench import prepare
file = Path(sys.argv[1])
bench = prepare(read_campaign(file), file, torch.device("cpu"))
print(bench.untrained["score_blimp"], bench.sources["scores"]["blimp"]["items"])
"""


@pytest.mark.slow
def test_a_campaign_needs_no_network_and_no_cache(write_campaign, pairs, tmp_path):
    file = write_campaign((EXACT, "checkpoints = [0]\n" + entry("blimp", pairs, items=10)))
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HF_HOME": str(home / "hf"), "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(file)],
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    score, items = done.stdout.split()
    assert 0.0 <= float(score) <= 1.0
    assert items == "10"
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("task: own", "task: own\ndataset_path: x", "`dataset_path`: has no effect here"),
        ("multiple_choice", "multiple_choices", "unknown value 'multiple_choices'; did you mean"),
        ("{version: 3}", "{version: new}", "`metadata.version`: an integer"),
        ("{version: 3}", "{version: 3, data: jsn}", "unknown value 'jsn'; did you mean 'json'"),
        ("doc_to_choice: choices\n", "", "`doc_to_choice`: is needed for multiple_choice"),
        ("gold", "!function nowhere.at_all", "'nowhere.at_all': No module named"),
        ("gold", "{", "not valid YAML"),
    ],
)
def test_a_task_file_that_breaks_a_rule_is_named(build, choices, same_prompt, old, new, message):
    same_prompt.write_text(same_prompt.read_text().replace(old, new))
    with pytest.raises(SpecError) as caught:
        build(entry(str(same_prompt), choices), trust=Trust(task_code=True))
    assert message in str(caught.value)
    assert str(same_prompt) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sampled_answers_are_refused(build, tmp_path, choices):
    task = tmp_path / "sampled.yaml"
    shipped = Path(lm_eval_scores.__file__).parent / "tasks" / "bbh.yaml"
    task.write_text(shipped.read_text().replace("do_sample: false", "do_sample: true"))
    with pytest.raises(SpecError, match="sampled answers cannot be repeated"):
        build(entry(str(task), choices))


def test_a_function_beside_the_task_file(build, base, choices, same_prompt):
    (same_prompt.parent / "judges.py").write_text("def ask(item):\n    return 'Say: '\n")
    text = same_prompt.read_text().replace('"{{query}}\\n"', "!function judges.ask")
    same_prompt.write_text(text)
    (scorer,) = build(entry(str(same_prompt), choices), trust=Trust(task_code=True))
    assert {*prompts(scorer)} == {"Say: "}


@pytest.mark.parametrize("name", ["judges.ask", "os.system", "hpobench_llm.collect.judges.ask"])
def test_code_of_a_task_file_runs_only_where_it_is_allowed(build, choices, same_prompt, name):
    """Neither what is installed nor what lies beside the file, whatever it calls itself."""
    ours = "hpobench_llm.collect.lora.scores.task_metrics"
    for module in (name.rpartition(".")[0], ours):
        beside = same_prompt.parent / f"{module}.py"
        beside.write_text("raise SystemExit('code of a task file was run')")
    text = same_prompt.read_text()
    same_prompt.write_text(text.replace('"{{query}}\\n"', f"!function {name}"))
    with pytest.raises(SpecError, match=r"`!function`.*--run-task-code allows it"):
        build(entry(str(same_prompt), choices))
    with pytest.raises(SpecError, match="--run-task-code"):
        build(entry(str(same_prompt), choices), trust=Trust(generated_code=True))
    same_prompt.write_text(f"{text}process_results: !function {ours}.exact_answer\n")
    build(entry(str(same_prompt), choices))
    judge = "hpobench_llm.collect.lora.scores.code_execution.pass_at_1"
    same_prompt.write_text(f"{text}process_results: !function {judge}\n")
    with pytest.raises(SpecError, match="--run-generated-code allows it"):
        build(entry(str(same_prompt), choices))


def test_a_template_reaches_no_python(build, choices, same_prompt):
    attack = "{{ query.__class__.__mro__[1].__subclasses__() }}"
    same_prompt.write_text(same_prompt.read_text().replace("{{query}}", attack))
    with pytest.raises(DataError, match="SecurityError"):
        build(entry(str(same_prompt), choices))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a"}, "item 1 of 2: copa cannot ask it (fields: query)"),
        ({"query": "a", "choices": ["b", "c"], "gold": 2}, "none of 2 choices"),
        ({"query": "a", "choices": ["b"], "gold": 0}, "two or more choices"),
        ({"query": "a", "choices": ["b", ""], "gold": 0}, "none empty"),
        ("text", "row 2: an object is expected"),
    ],
)
def test_an_item_that_cannot_be_asked_is_named(build, tmp_path, row, message):
    good = {"query": "a", "choices": ["b", "c"], "gold": 1}
    path = write_rows(tmp_path / "bad.jsonl", [good, row])
    with pytest.raises(DataError) as caught:
        build(entry("copa", path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_tasks_and_a_missing_library_are_named(build, pairs, monkeypatch):
    with pytest.raises(SpecError, match="unknown task 'blimpp'; did you mean 'blimp'"):
        build(entry("blimpp", pairs))
    monkeypatch.setitem(sys.modules, "lm_eval.evaluator", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '.*\[lm-eval\]'"):
        build(entry("blimp", pairs))


REAL = {
    "arc_easy": "arc_easy.jsonl",
    "bbh": "bbh",
    "blimp": "blimp.jsonl.gz",
    "copa": "copa.jsonl",
    "humaneval": "human_eval/HumanEval.jsonl.gz",
    "lambada": "lambada_openai.jsonl",
    "mmlu": "mmlu",
    "piqa": "piqa.jsonl",
    "sst2": "few_shot/sst2/stsa.binary.dev",
}


def test_all_shipped_tasks_are_known():
    assert shipped_tasks() == sorted([*REAL, "drop"])


@pytest.mark.parametrize("task", sorted(REAL))
def test_the_published_files_are_read(build, base, task):
    path = Path(os.environ.get("HPOBENCH_LLM_SOURCES", "")) / "eval" / REAL[task]
    if "HPOBENCH_LLM_SOURCES" not in os.environ or not path.exists():
        pytest.skip("HPOBENCH_LLM_SOURCES does not name a folder with the published data")
    if task in ("humaneval", "lambada"):  # the tiny base takes 128 tokens
        with pytest.raises(DataError, match=f"no item of {task} fits into 128 tokens"):
            build(entry(task, path, items=54), trust=Trust(generated_code=True))
        return
    (scorer,) = build(entry(task, path, items=54))
    measured = scorer.measure(base[0], PAD)[0]
    assert scorer.items + scorer.source["unused"] == 54
    assert 0.0 <= measured[f"score_{task}"] <= 1.0
