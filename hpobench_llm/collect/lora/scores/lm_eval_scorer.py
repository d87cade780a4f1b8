"""Scores by EleutherAI's lm-eval on the model in memory: local task files, no network, no cache.

Questions are put together when the scorer is built (`task_questions`); what lm-eval gets at every
measurement is a task whose prompts are finished texts. This is the one module that imports
lm-eval, and only when a campaign has such a score.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from hpobench_llm.collect.lora.recipe import Score
from hpobench_llm.collect.lora.scores.code_execution import check_runner, isolation
from hpobench_llm.collect.lora.scores.losses import EVALUATION_TOKENS
from hpobench_llm.collect.lora.scores.offline import alone
from hpobench_llm.collect.lora.scores.samples import mean_and_stderr
from hpobench_llm.collect.lora.scores.task_data import Row, checked_data_sum, read_groups
from hpobench_llm.collect.lora.scores.task_files import TaskFile, read_task_file
from hpobench_llm.collect.lora.scores.task_questions import Asker, Question, chance_level, encoded
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import MissingDependencyError
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path

GENERATION_TOKENS = 4 * EVALUATION_TOKENS  # a batch of prompts: no logits but the last are kept
MOST_AT_ONCE = 64  # texts in one forward pass


@dataclass(frozen=True, slots=True)
class LmEvalScorer:
    """One task of lm-eval with its finished questions.

    `tokenizer` is a copy, since lm-eval changes settings of the one that it gets.
    """

    spec: Score
    file: TaskFile
    task: Any
    tokenizer: PreTrainedTokenizerBase
    context_tokens: int
    batch_rows: int
    items: int
    chance: float
    source: dict[str, Json]
    without_isolation: bool = False

    def columns(self) -> list[str]:
        """The names of the table's columns that `measure` fills."""
        name = f"score_{self.spec.name}"
        if self.file.output == "generate_until":
            return [name, f"{name}_stderr"]
        return [name, f"{name}_stderr", f"{name}_margin", f"{name}_margin_stderr"]

    @property
    def items_column(self) -> str:
        """The column whose single items are kept."""
        return self.columns()[-2]

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The questions' numbers, in the order in which they are asked."""
        return tuple(map(str, range(self.items)))

    def measure(self, model: torch.nn.Module, pad: int) -> tuple[dict[str, float], torch.Tensor]:
        """Return score, margin and their standard errors, and the items' margins. See `Scorer`.

        The score is the mean of the task's metric. The margin is the log-likelihood of the right
        choice minus that of the best wrong one; where there is one text alone, its log-likelihood.
        lm-eval pads by itself: `pad` is not used.
        """
        samples = self._samples(model)
        values = np.array([float(sample[self.file.metric]) for sample in samples])
        series: list[NDArray[np.float64]] = [values]
        if self.file.output != "generate_until":
            margins = np.array([_margin(sample) for sample in samples])
            # An argmax over NaN names the first choice: a broken model could look perfect.
            series = [np.where(np.isfinite(margins), values, 0.0), margins]
        numbers = [number for sample in series for number in mean_and_stderr(sample)]
        return dict(zip(self.columns(), numbers, strict=True)), torch.from_numpy(series[-1])

    def _samples(self, model: torch.nn.Module) -> list[Row]:
        from lm_eval.evaluator import evaluate

        # lm-eval puts the model into evaluation and leaves it there.
        modes = [(module, module.training) for module in model.modules()]
        try:
            with alone("lm_eval"), isolation(needed=not self.without_isolation):
                results = evaluate(
                    lm=_in_memory_model()(
                        pretrained=model,
                        backend="causal",
                        tokenizer=self.tokenizer,
                        max_length=self.context_tokens,
                        batch_size=self.batch_rows,
                        softmax_dtype="float32",  # margins are differences of large numbers
                    ),
                    task_dict={self.spec.name: self.task},
                    bootstrap_iters=0,  # the standard errors are our own
                    # `check_scores` has asked whether the caller allows it.
                    confirm_run_unsafe_code=self.file.runs_generated_code,
                )
        finally:
            for module, mode in modes:
                module.training = mode
        samples: list[Row] = results["samples"][self.spec.name]
        # A task with several filters gives each question once a filter: the first one counts.
        return [sample for sample in samples if sample["filter"] == samples[0]["filter"]]


def _margin(sample: Row) -> float:
    likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
    if not all(map(math.isfinite, likelihoods)):
        return math.nan
    if len(likelihoods) == 1:
        return likelihoods[0]
    right = likelihoods.pop(sample["target"])
    return right - max(likelihoods)


def build_lm_eval_scorer(
    score: Score,
    key: str,
    file: Path,
    tokenizer: PreTrainedTokenizerBase,
    context_tokens: int,
    trust: Trust = NONE,
) -> LmEvalScorer:
    """Return the scorer of a score of kind `lm-eval`; `key` is its place in the campaign.

    It runs generated code where its task does: whether the caller allows that is asked before,
    by `task_files.check_scores`.

    Raises:
        SpecError: no such task or file, or a task file that breaks a rule.
        DataError: the data are not what their sum says, or an item cannot be asked.
        MissingDependencyError: lm-eval is not installed.
    """
    task_file = read_task_file(score.task, file=file, key=f"{key}.task", trust=trust)
    version = _installed_version(score)
    if task_file.runs_generated_code:
        check_runner(without_isolation=trust.without_isolation)
    path = resolve_path(score.path, file=file, key=f"{key}.path")
    digest = checked_data_sum(task_file.reader, path, score.sha256, file)
    tokenizer_copy = copy.deepcopy(tokenizer)
    if tokenizer_copy.pad_token_id is None:
        tokenizer_copy.pad_token = tokenizer_copy.eos_token
    with alone("lm_eval"):
        asker = Asker(
            task_file,
            path,
            tokenizer_copy,
            context_tokens,
            lambda *rows: _template(task_file, *rows),
        )
        groups = read_groups(task_file.reader, path)
        questions, unused = asker.questions(groups, score.fewshot, score.items)
        task = _finished_task(task_file, questions)
    chance, meaning = chance_level(questions)
    tokens = GENERATION_TOKENS if task_file.output == "generate_until" else EVALUATION_TOKENS
    rows = tokens // max(question.tokens for question in questions)
    source = {
        "file": path.name,
        "sha256": digest,
        "lm_eval": version,
        **task_file.source(),
        "fewshot": score.fewshot,
        "with_fewer_shots": sum(question.shots < score.fewshot for question in questions),
        "unused": unused,
        "chance_is": meaning,
    }
    return LmEvalScorer(
        spec=score,
        file=task_file,
        task=task,
        tokenizer=tokenizer_copy,
        context_tokens=context_tokens,
        batch_rows=min(max(rows, 1), MOST_AT_ONCE),
        items=len(questions),
        chance=chance,
        source=source,
        without_isolation=trust.without_isolation,
    )


def _installed_version(score: Score) -> str:
    try:
        import lm_eval.evaluator
        import lm_eval.models.huggingface  # noqa: F401
    except ImportError as error:
        missing = (error.name or "lm_eval").partition(".")[0]
        raise MissingDependencyError(missing, "lm-eval", f"the score {score.name!r}") from None
    _shut_templates_in()
    return metadata.version("lm_eval")


def _shut_templates_in() -> None:
    """Let the templates of task files reach texts alone; lm-eval's own may call any Python."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment
    from lm_eval import utils

    if not isinstance(utils.env, SandboxedEnvironment):
        shut_in = ImmutableSandboxedEnvironment(
            loader=utils.env.loader,
            undefined=utils.env.undefined,
            keep_trailing_newline=utils.env.keep_trailing_newline,
        )
        shut_in.filters.update(utils.env.filters)
        utils.env = shut_in


def _template(file: TaskFile, shots: Sequence[Row], rows: Sequence[Row]) -> Any:
    """Return lm-eval's task of a task file, for putting questions together.

    The first row is enough: lm-eval tries the templates on it, and takes any row afterwards.
    """
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    splits = {"test": Dataset.from_list(list(rows[:1]))}
    config = {**file.config, "test_split": "test"}
    if shots:
        splits["shots"] = Dataset.from_list(list(shots))
        config |= {"fewshot_split": "shots", "fewshot_config": {"sampler": "first_n"}}
    return ConfigurableTask(config=config | {"custom_dataset": lambda **_: splits})


def _finished_task(file: TaskFile, questions: Sequence[Question]) -> Any:
    """Return lm-eval's task of finished questions: nothing is left of its templates."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    columns = [
        {"prompt": q.prompt, "choices": list(q.choices), "target": q.target, "place": number}
        for number, q in enumerate(questions)
    ]
    splits = {"test": Dataset.from_list(columns)}
    left_out = ("description", "doc_to_text", "doc_to_choice", "doc_to_target")
    config = {key: value for key, value in file.config.items() if key not in left_out} | {
        "custom_dataset": lambda **_: splits,
        "test_split": "test",
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "num_fewshot": 0,
    }
    if file.output == "multiple_choice":
        config["doc_to_choice"] = "choices"
    judge = file.judge
    if judge is not None:
        config["process_results"] = lambda q, answers: judge(questions[q["place"]].row, answers)
    return ConfigurableTask(config=config)


@cache
def _in_memory_model() -> type[Any]:
    """Return lm-eval's class for Hugging Face models, with our way of making tokens."""
    from lm_eval.models.huggingface import HFLM

    class InMemoryModel(HFLM):  # type: ignore[misc]
        """The begin token comes first whatever the tokenizer's own habit, as in training."""

        def tok_encode(
            self, string: str, add_special_tokens: bool | None = None, **_: Any
        ) -> list[int]:
            ids = encoded(self.tokenizer, string)
            return ids[1:] if add_special_tokens is False else ids

        def tok_batch_encode(
            self, strings: Sequence[str], **_: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            rows = [encoded(self.tokenizer, string) for string in strings]
            longest = max(map(len, rows))
            ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id)
            mask = torch.zeros((len(rows), longest), dtype=torch.long)
            for number, row in enumerate(rows):
                ids[number, longest - len(row) :] = torch.tensor(row)
                mask[number, longest - len(row) :] = 1
            return ids, mask

        def _model_call(self, inps: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            with torch.no_grad():  # a cache of keys and values would be memory for nothing
                logits: torch.Tensor = self.model(input_ids=inps, use_cache=False).logits
            return logits

    return InMemoryModel
