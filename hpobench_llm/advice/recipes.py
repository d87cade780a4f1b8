"""Settings that people use without a search: the libraries' defaults, and well-known recipes.

Each has the values of its source for all axes that a table may have; where the source states none,
the libraries' default counts.
"""

from dataclasses import dataclass, field

from hpobench_llm.advice.settings import BATCH, DROPOUT, RANK, RATE, RATIO, Settings
from hpobench_llm.practice import DEFAULTS


@dataclass(frozen=True, slots=True)
class PublishedRecipe:
    """Settings with a name and a source; `settings` are those that are not the defaults."""

    name: str
    source: str
    settings: Settings = field(default_factory=dict)

    @property
    def full(self) -> Settings:
        """The settings, with a default learning rate if they state none."""
        return {RATE: DEFAULTS[RATE], **self.settings}


RECIPES = (
    PublishedRecipe("defaults", "LoraConfig of PEFT, TrainingArguments of transformers"),
    PublishedRecipe(
        "lora-paper",
        "Hu et al. 2021 (arXiv 2106.09685), GPT-2 on E2E",
        {RATE: 2e-4, RANK: 4, RATIO: 8.0, BATCH: 8, DROPOUT: 0.1, "weight_decay": 0.01},
    ),
    PublishedRecipe(
        "alpaca-lora",
        "tloen/alpaca-lora, finetune.py",
        {RATE: 3e-4, RANK: 8, RATIO: 2.0, BATCH: 128, DROPOUT: 0.05},
    ),
    PublishedRecipe(
        "qlora",
        "Dettmers et al. 2023 (arXiv 2305.14314), Guanaco 7B",
        {
            RATE: 2e-4,
            RANK: 64,
            RATIO: 0.25,
            BATCH: 16,
            DROPOUT: 0.1,
            "warmup_fraction": 0.03,
            "clip_norm": 0.3,
            "target_modules": "all-linear",
        },
    ),
    PublishedRecipe(
        "unsloth",
        "notebooks of unslothai/unsloth",
        {
            RATE: 2e-4,
            RANK: 16,
            RATIO: 1.0,
            BATCH: 8,
            DROPOUT: 0.0,
            "weight_decay": 0.01,
            "target_modules": "all-linear",
        },
    ),
)
