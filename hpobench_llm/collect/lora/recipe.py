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
    """The frozen model: a local folder, a hub id with its revision, or a file of a package.

    A `package` of Python's index is not run, only its `file` read where it is installed: GGUF
    weights, which are taken out of their quantisation.
    `precision` is that of its weights in memory; the adapters are always float32. `shape` is for
    estimates alone, where the model itself is not at hand.
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
class Source:
    """Instruction data: a JSON or JSONL file (.gz too), a hub dataset, or generated tasks.

    At most `rows` rows are taken, in an order set by their hash; 0 takes all. `where` keeps the
    rows whose fields have one of the values, `{task = ["a", "b_*"]}`, in which `*` stands for
    anything. `group` names the field that tells the tasks of a source apart, for scores that
    compare answers of one task. `question` and `answer` name the fields of a format of one's own.
    `strip_suffix` is taken off the end of every answer: an end marker in the text is no part of
    the answer. `note` says what a reader of the table must know of the rows.
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

    With `chat_template` the prompt is made by the tokenizer's own template, else by `template`,
    whose special tokens are text unless `special_tokens` says that they are meant.
    With `group_words` above 0, rows whose questions share a run of so many words that few other
    rows have are renderings of one source row and go into one split (see `grouping`); with
    `group_answers` the answers are compared too.
    `val_subsets` are sizes of smaller validation sets, each the beginning of the next larger one;
    the loss on each becomes a column. `leaked_rows` training rows serve as validation rows that
    have leaked into training: the loss on them shows what leakage does. At checkpoints before the
    last, losses are those of the first `interim_rows` validation and test rows (0: of all).
    """

    source: tuple[Source, ...]
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
        if not (self.val_fraction > 0 < self.test_fraction):
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

    `exact-match`: share of test rows whose greedy answer is right to the token. `answer-choice`:
    share of test rows whose answer is likelier than (up to three) others of its task.
    `minimal-pairs`:
    a JSONL file of `good` and `bad` sentences; share of pairs in which the good one is likelier.
    `multiple-choice`: a JSONL file of `query`, `choices`, `gold`. The last two have a margin too.
    `lm-eval`: a task of EleutherAI's lm-eval, one of those shipped with the package (`task`, by
    name) or the path of a task file; its data are read from the file or folder `path`.
    At most `items` items are used (0: all), spread evenly over the file.
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
        """The steps at which is measured, the last one in full."""

    @property
    def per_example_runs(self) -> int:
        """How many of the first runs keep the values of single items."""

    def runs(self) -> list[Run]:
        """Return all runs."""
