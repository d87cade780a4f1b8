"""The first settings of a portfolio as Python code for PEFT and transformers, to be pasted."""

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from hpobench_llm.advice.judged_table import JudgedTable
from hpobench_llm.advice.settings import BATCH, DROPOUT, RANK, RATE, RATIO
from hpobench_llm.console import one_line
from hpobench_llm.optimizers.model_based.boosting import Settings

if TYPE_CHECKING:
    from hpobench_llm.advice.advise import TableGroup

WIDTH = 97  # of a comment's line
GROUPS = ("attention", "mlp")  # our words for modules of a base, which PEFT does not know
# Settings that a table may have, and their names in `TrainingArguments`.
_TRAINING = {
    RATE: "learning_rate",
    BATCH: "per_device_train_batch_size",
    "weight_decay": "weight_decay",
    "clip_norm": "max_grad_norm",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "epsilon": "adam_epsilon",
}
_NO_ALPHA = (
    "    # lora_alpha: the table does not say it. It scales the learning rate: sweep that again."
)


def peft_code(group: "TableGroup") -> str:
    """Return code that states the measured settings, and nothing else."""
    pick = group.portfolio[0]
    origin = next(table for table in group.tables if table.name == pick.origin)
    settings = {**origin.fixed, **pick.settings}
    # A rate of a grid in logarithms has many digits that mean nothing.
    settings[RATE] = float(f"{settings[RATE]:.3g}")
    lines = [
        *_evidence(group, origin, settings),
        "from peft import LoraConfig",
        "from transformers import TrainingArguments",
        "",
        "lora_config = LoraConfig(",
        *(f"    {name}={value!r}," for name, value in _lora(settings).items()),
        *([] if RATIO in settings else [_NO_ALPHA]),
        '    task_type="CAUSAL_LM",',
        ")",
        "training_arguments = TrainingArguments(",
        '    output_dir="out",',
        *(f"    {name}={value!r}," for name, value in _training(settings).items()),
        ")",
    ]
    return "\n".join(lines)


def _evidence(group: "TableGroup", origin: JudgedTable, settings: Settings) -> Iterator[str]:
    near, count = len(group.portfolio[0].near), len(group.tables)
    yield f"# Near the best on {near} of {count} tables; measured on {origin.name}."
    yield from (f"# {line}" for line in wrap(one_line(origin.context), WIDTH))
    if count == 1:
        yield "# One table alone: its optimum, which says nothing about the next problem."
    unknown = [name for name in (DROPOUT, BATCH) if name not in settings]
    if unknown:
        yield f"# No axis of it, left at the libraries' defaults: {', '.join(unknown)}."
    if settings.get("target_modules") in GROUPS:
        yield f"# target_modules: name your model's {settings['target_modules']} modules."
    yield "# If a batch does not fit into memory, set gradient_accumulation_steps."


def _lora(settings: Settings) -> dict[str, object]:
    rank = int(settings[RANK])
    arguments: dict[str, object] = {"r": rank}
    if RATIO in settings:
        alpha = float(settings[RATIO]) * rank
        arguments["lora_alpha"] = int(alpha) if alpha.is_integer() else alpha
    if DROPOUT in settings:
        arguments["lora_dropout"] = float(settings[DROPOUT])
    modules = settings.get("target_modules")
    if isinstance(modules, str) and modules not in GROUPS:
        arguments["target_modules"] = modules if modules == "all-linear" else modules.split(",")
    if settings.get("scaling") == "rslora":
        arguments["use_rslora"] = True
    return arguments


def _training(settings: Settings) -> dict[str, object]:
    arguments: dict[str, object] = {
        theirs: settings[ours] for ours, theirs in _TRAINING.items() if ours in settings
    }
    if (
        "warmup_fraction" in settings
    ):  # only our own campaigns have it, and their schedule is a cosine
        arguments |= {"lr_scheduler_type": "cosine", "warmup_steps": settings["warmup_fraction"]}
    return arguments
