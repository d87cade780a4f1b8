"""Read the file of an lm-eval task: ours, shipped with the package, or one of the user's."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.lora.recipe import Recipe
from hpobench_llm.collect.lora.scores.code_execution import pass_at_1
from hpobench_llm.collect.lora.scores.task_data import READERS
from hpobench_llm.collect.trust import NONE, Trust
from hpobench_llm.errors import MissingDependencyError, SpecError, nearest
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path

FOLDER = Path(__file__).parent / "tasks"
# What decides a prompt or a score. lm-eval has more keys; one of those would be ignored here
# (the data come from the campaign's `path`, the number of shots from its `fewshot`): an error.
KEYS = (
    "task",
    "output_type",
    "description",
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "target_delimiter",
    "fewshot_delimiter",
    "generation_kwargs",
    "filter_list",
    "metric_list",
    "process_results",
    "unsafe_code",
    "metadata",
)
# Functions of ours that any task file may name; the last one runs what the model wrote.
OWN_FUNCTIONS = (
    "hpobench_llm.collect.lora.scores.task_metrics.exact_answer",
    "hpobench_llm.collect.lora.scores.task_metrics.spans_f1",
    "hpobench_llm.collect.lora.scores.code_execution.pass_at_1",
)
OUTPUTS = ("multiple_choice", "loglikelihood", "generate_until")


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task: its keys as lm-eval takes them, our version of it, and how its data are read.

    `metric` is the name of the per-item value that is the score: the first of `metric_list`.
    """

    path: Path
    name: str
    version: int
    reader: str
    metric: str
    config: Mapping[str, object]

    @property
    def output(self) -> str:
        """What lm-eval asks of the model: `multiple_choice`, `loglikelihood`, `generate_until`."""
        return str(self.config["output_type"])

    @property
    def runs_generated_code(self) -> bool:
        """Whether scoring runs programs that the model wrote."""
        return bool(self.config.get("unsafe_code")) or pass_at_1 in self.config.values()

    @property
    def room(self) -> int:
        """The longest answer that is generated, in tokens."""
        return int(cast("Mapping[str, int]", self.config["generation_kwargs"])["max_gen_toks"])

    @property
    def judge(self) -> Callable[..., Any] | None:
        """The task's own function that judges an answer, if it has one."""
        return cast("Callable[..., Any] | None", self.config.get("process_results"))

    def source(self) -> dict[str, Json]:
        """Return what a record says of the task: never a text of it."""
        digest = sha256_of_file(self.path)
        return {"task": self.name, "task_version": self.version, "task_sha256": digest}


def shipped_tasks() -> list[str]:
    """Return the names of the tasks that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_task_file(task: str, *, file: str | Path, key: str, trust: Trust = NONE) -> TaskFile:
    """Return a shipped task by name, or the task in the YAML file `task`.

    `file` and `key` are the place in the spec that names it. With `trust.task_code` a file of the
    user's may name Python functions, which are imported here; without, those of this package.

    Raises:
        SpecError: no such task, or a task file that breaks a rule or is not trusted.
        MissingDependencyError: PyYAML is not installed.
    """
    if not task.endswith((".yaml", ".yml")):
        if task not in shipped_tasks():
            problem = f"unknown task {task!r}{nearest(task, shipped_tasks())}"
            raise SpecError(file, key, f"{problem} (or the path of a .yaml file)")
        return _checked(FOLDER / f"{task}.yaml", trusted=True)
    return _checked(resolve_path(task, file=file, key=key), trusted=trust.task_code)


def _checked(path: Path, *, trusted: bool) -> TaskFile:
    config = _load(path, trusted=trusted)
    for name in config:
        if name not in KEYS:
            raise SpecError(path, str(name), f"has no effect here{nearest(name, KEYS)}")
    for name in ("task", "output_type", "doc_to_text", "doc_to_target", "metadata"):
        if name not in config:
            raise SpecError(path, name, "this key is required")
    if config["output_type"] not in OUTPUTS:
        suggestion = nearest(config["output_type"], OUTPUTS)
        raise SpecError(
            path, "output_type", f"unknown value {config['output_type']!r}{suggestion}"
        )
    if (config["output_type"] == "multiple_choice") != ("doc_to_choice" in config):
        raise SpecError(path, "doc_to_choice", "is needed for multiple_choice, and there alone")
    metadata = config["metadata"] if isinstance(config["metadata"], dict) else {}
    version, reader = metadata.get("version"), metadata.get("data", "json")
    if type(version) is not int:
        raise SpecError(path, "metadata.version", f"an integer is expected, got {version!r}")
    if reader not in READERS:
        problem = f"unknown value {reader!r}{nearest(reader, READERS)}"
        raise SpecError(path, "metadata.data", problem)
    if config["output_type"] == "generate_until":
        _check_generation(path, config.get("generation_kwargs"))
    return TaskFile(path, str(config["task"]), version, reader, _metric(path, config), config)


def _check_generation(path: Path, options: object) -> None:
    if not isinstance(options, dict) or not options.get("until"):
        raise SpecError(path, "generation_kwargs.until", "say where an answer ends")
    limit = options.get("max_gen_toks")
    if type(limit) is not int or limit < 1:
        problem = f"an integer above 0 is expected, got {limit!r}"
        raise SpecError(path, "generation_kwargs.max_gen_toks", problem)
    if options.get("do_sample") or options.get("temperature"):
        problem = "sampled answers cannot be repeated: leave do_sample and temperature out"
        raise SpecError(path, "generation_kwargs", problem)


def _metric(path: Path, config: Mapping[str, object]) -> str:
    metrics = config.get("metric_list")
    if not isinstance(metrics, list) or not metrics or "metric" not in metrics[0]:
        raise SpecError(path, "metric_list", "the score's metric is needed, as its first entry")
    return str(metrics[0]["metric"])


def _load(path: Path, *, trusted: bool) -> Mapping[str, object]:
    try:
        import yaml
    except ImportError:
        raise MissingDependencyError("PyYAML", "lm-eval", f"the task file {path.name}") from None

    # A class of its own for each file: a constructor is registered with the class.
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """YAML, and lm-eval's tag for a Python function."""

    def function(loader: Loader, node: Any) -> Callable[..., Any]:
        return _function(str(loader.construct_scalar(node)), path, trusted=trusted)

    Loader.add_constructor("!function", function)
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SpecError(path, "", f"not valid YAML: {reason}") from None
    if not isinstance(config, dict):
        raise SpecError(path, "", "a mapping is expected")
    return config


def _function(text: str, path: Path, *, trusted: bool) -> Callable[..., Any]:
    """Return `module.name`: of a Python file beside the task file, as in lm-eval, or installed."""
    module_name, _, name = text.rpartition(".")
    if not trusted and text not in OWN_FUNCTIONS:
        problem = f"{text!r} is Python code that the task file names; --run-task-code allows it"
        raise SpecError(path, "!function", problem)
    own_file = path.parent / f"{module_name}.py"
    try:
        if trusted and own_file.is_file():
            spec = importlib.util.spec_from_file_location(module_name, own_file)
            if spec is None or spec.loader is None:
                raise ImportError(f"{own_file} is no module")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
        function: Callable[..., Any] = getattr(module, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(path, "!function", f"{text!r}: {error}") from None
    return function


def check_scores(campaign: Recipe, file: Path, trust: Trust) -> None:
    """Check what can be checked of a campaign's scores before anything is loaded.

    Raises:
        SpecError: no such lm-eval task, or one that runs code which is not allowed.
    """
    for number, score in enumerate(campaign.score):
        if score.kind == "lm-eval":
            key = f"score[{number}].task"
            task = read_task_file(score.task, file=file, key=key, trust=trust)
            if task.runs_generated_code and not trust.generated_code:
                problem = f"{task.name} runs programs that the model writes"
                raise SpecError(file, key, f"{problem}; --run-generated-code allows it")
