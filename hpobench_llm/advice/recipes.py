"""Settings that are used where nobody searched: the libraries' defaults, and well-known recipes.

Each is what its source states for all that a table may have as an axis; what it does not state is
the libraries' default.
"""

from dataclasses import dataclass, field

from hpobench_llm.advice.settings import BATCH, DROPOUT, RANK, RATE, RATIO, Settings
from hpobench_llm.practice import DEFAULTS


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings with a name and where they are stated; `settings` beside the defaults."""

    name: str
    source: str
    settings: Settings = field(default_factory=dict)

    @property
    def full(self) -> Settings:
        """The settings with the defaults for what they do not state."""
        return {RATE: DEFAULTS[RATE], **self.settings}


RECIPES = (
    Recipe("defaults", "LoraConfig of PEFT, TrainingArguments of transformers"),
    Recipe(
        "lora-paper",
        "Hu et al. 2021 (arXiv 2106.09685), GPT-2 on E2E",
        {RATE: 2e-4, RANK: 4, RATIO: 8.0, BATCH: 8, DROPOUT: 0.1, "weight_decay": 0.01},
    ),
    Recipe(
        "alpaca-lora",
        "tloen/alpaca-lora, finetune.py",
        {RATE: 3e-4, RANK: 8, RATIO: 2.0, BATCH: 128, DROPOUT: 0.05},
    ),
    Recipe(
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
    Recipe(
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
