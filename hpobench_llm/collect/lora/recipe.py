"""What a campaign trains on and is scored by: base model, instruction data, benchmark scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hpobench_llm.collect.campaign.identity import PROSE
from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.lora.shape import Shape

OF_TEST_ROWS = ("exact-match", "answer-choice")  # scores of the campaign's own test rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The frozen model: one of a local folder, a hub id and a file of a package.

    Args:
        path: a folder with safetensors, relative to the file.
        hub: the id of a model on a hub; it needs `revision`.
        revision: the hub's commit, so that the table can be repeated.
        package: a distribution of Python's index that carries the weights. It is not run, only
            its `file` read where it is installed.
        file: the GGUF file inside the package, whose weights are taken out of their quantisation.
        sha256: the sum of that file.
        precision: that of the weights in memory; the adapters are always float32.
        shape: the model's sizes, for estimates where the model itself is not at hand.
    """

    path: str = ""
    hub: str = ""
    revision: str = ""
    package: str = ""
    file: str = ""
    sha256: str = ""
    precision: Literal["float32", "bfloat16"] = "float32"
    shape: Shape | None = None

    def __post_init__(self) -> None:
        if sum(map(bool, (self.path, self.hub, self.package))) != 1:
            raise ValueError("give one of `path` (a local folder), `hub` (a hub id) and `package`")
        if bool(self.package) != bool(self.file) or bool(self.package) != bool(self.sha256):
            raise ValueError("`package` needs `file` and `sha256`, and they need it")
        if self.hub and not self.revision:
            raise ValueError("a hub id needs `revision`, or the table could not be repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Instruction data: exactly one of a file, a hub dataset and generated tasks.

    Args:
        name: the source's name, distinct.
        path: a JSON or JSONL file (.gz too), relative to the file; `$NAME` is expanded.
        sha256: the sum of that file, which is then checked.
        hub: the id of a hub dataset; it needs `revision`.
        revision: the hub's commit, so that the table can be repeated.
        split: which part of the hub dataset.
        generated_tasks: how many tasks the project makes, with exact answers.
        rows: how many rows are taken at most, in an order set by their hash; 0: all.
        strip_suffix: removed from the end of every answer, such as an end marker in the text.
        where: keeps the rows whose fields have one of the values, `{task = ["a", "b_*"]}`, in
            which `*` stands for anything.
        group: the field that tells the tasks of a source apart, for scores that compare answers
            of one task.
        question: the field of the question in a format of one's own; with `answer`.
        answer: the field of the answer in a format of one's own; with `question`.
        note: what a reader of the table must know of the rows.
    """

    name: str
    path: str = ""
    sha256: str = ""
    hub: str = ""
    revision: str = ""
    split: str = "train"
    generated_tasks: int = 0
    rows: int = 0
    strip_suffix: str = ""
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    group: str = ""
    question: str = ""
    answer: str = ""
    note: str = field(default="", metadata=PROSE)

    def __post_init__(self) -> None:
        if bool(self.question) != bool(self.answer):
            raise ValueError("`question` and `answer` name fields together")
        if min(self.rows, self.generated_tasks) < 0:
            raise ValueError("rows and generated_tasks must not be negative")
        if sum(map(bool, (self.path, self.hub, self.generated_tasks))) != 1:
            raise ValueError("give exactly one of `path`, `hub` and `generated_tasks`")
        if self.hub and not self.revision:
            raise ValueError("a hub dataset needs `revision`, or the table could not be repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is learned, and how the rows are split.

    Args:
        source: where the rows come from, at least one.
        max_tokens: a longer row is left out and counted; at least 2.
        val_rows: how many validation rows, at least 1.
        test_rows: how many test rows, at least 1.
        train_rows: how many training rows; 0: all that are left.
        val_fraction: the share of questions whose hash makes them validation rows, above 0.
        test_fraction: that of test rows, above 0; both together stay below 1.
        template: the prompt, in which `{instruction}` stands once for the question.
        group_words: above 0, rows whose questions share a rare run of so many words count as
            renderings of one source row and go into one split. See `grouping`.
        val_subsets: sizes of smaller validation sets, increasing, each the beginning of the next;
            the loss on each becomes a column.
        leaked_rows: how many training rows serve as validation rows that have leaked: the loss on
            them shows what leakage does.
        interim_rows: how many of the validation and of the test rows, the first ones, the losses
            before the last checkpoint are measured on; 0: all.
        chat_template: the prompt is made by the tokenizer's own template instead.
        special_tokens: special tokens in `template` are meant; else they are text.
        group_answers: the answers are compared too; it needs `group_words`.
    """

    source: tuple[DataSource, ...]
    max_tokens: int
    val_rows: int
    test_rows: int
    train_rows: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    template: str = "{instruction}\n"
    group_words: int = 0
    val_subsets: tuple[int, ...] = ()
    leaked_rows: int = 0
    interim_rows: int = 0
    chat_template: bool = False
    special_tokens: bool = False
    group_answers: bool = False

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("`source` is empty")
        if len({source.name for source in self.source}) < len(self.source):
            raise ValueError("two sources have one name")
        for name, least in (("val_rows", 1), ("test_rows", 1), ("train_rows", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if list(self.val_subsets) != sorted({*self.val_subsets}) or not all(
            0 < rows < self.val_rows for rows in self.val_subsets
        ):
            raise ValueError(
                f"val_subsets must increase and stay below val_rows: {list(self.val_subsets)}"
            )
        if self.leaked_rows < 0 or (self.train_rows and self.leaked_rows > self.train_rows):
            raise ValueError(f"leaked_rows must be between 0 and train_rows: {self.leaked_rows}")
        if not 0 <= self.interim_rows < self.val_rows:
            raise ValueError(
                f"interim_rows must be at least 0 and below val_rows: {self.interim_rows}"
            )
        if self.max_tokens < 2 or self.group_words < 0:
            raise ValueError("max_tokens must be at least 2 and group_words at least 0")
        if not (self.val_fraction > 0 and self.test_fraction > 0):
            raise ValueError("val_fraction and test_fraction must be above 0")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must stay below 1")
        if self.template.count("{instruction}") != 1:
            raise ValueError("`template` must hold {instruction} once")
        if self.group_answers and not self.group_words:
            raise ValueError("`group_answers` needs `group_words` above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A benchmark score, measured at some of the checkpoints.

    Args:
        name: the score's name; its column is `score_<name>`.
        kind: `exact-match`: the share of test rows whose greedy answer is right to the token.
            `answer-choice`: the share of test rows whose answer is likelier than (up to three)
            others of its task. `minimal-pairs`: of a JSONL file of `good` and `bad` sentences the
            share of pairs in which the good one is likelier. `multiple-choice`: a JSONL file of
            `query`, `choices`, `gold`. `lm-eval`: a task of EleutherAI's harness. All but the
            first have a margin where answers are compared by likelihood.
        checkpoints: when it is measured, some of the campaign's.
        path: the file, or the file or folder of the task's data; needed by all kinds but those of
            test rows.
        sha256: the sum of that file, which is then checked.
        items: how many items at most, spread evenly over the file; 0: all.
        task: of `lm-eval` alone: one that is shipped, by name, or the path of a task file.
        fewshot: how many solved examples stand before each item; of `lm-eval` alone.
    """

    name: str
    kind: Literal["exact-match", "answer-choice", "minimal-pairs", "multiple-choice", "lm-eval"]
    checkpoints: tuple[int, ...]
    path: str = ""
    sha256: str = ""
    items: int = 0
    task: str = ""
    fewshot: int = 0

    def __post_init__(self) -> None:
        if min(self.items, self.fewshot) < 0:
            raise ValueError("items and fewshot must not be negative")
        if (self.kind in OF_TEST_ROWS) == bool(self.path):
            raise ValueError(
                f"`path` is needed for all kinds but {' and '.join(OF_TEST_ROWS)}, "
                f"got {self.path!r}"
            )
        if (self.kind == "lm-eval") != bool(self.task):
            raise ValueError(f"`task` is needed for lm-eval alone, got {self.task!r}")


class Recipe(Protocol):
    """What a campaign of any family says of its base, rows and scores; the rest is its own."""

    @property
    def base(self) -> Base:
        """The model to start from."""

    @property
    def data(self) -> Data:
        """What is learned, and how the rows are split."""

    @property
    def score(self) -> tuple[Score, ...]:
        """What is scored beside the losses."""

    @property
    def mixture(self) -> Mapping[str, tuple[float, ...]]:
        """The shares of sources that are axes; of most campaigns none."""

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps at which a run is measured, at the last one in full."""

    @property
    def per_example_runs(self) -> int:
        """How many runs, the first ones, keep the values of single items."""

    def runs(self) -> list[Run]:
        """Return all runs."""
