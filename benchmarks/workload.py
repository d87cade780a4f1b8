"""What the benchmarks train: random-init bases, rows of one length, and a real workbench."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.architecture import PAD_ID, Architecture, untrained
from hpobench_llm.collect.lora.data.encoding import IGNORED, Tokens
from hpobench_llm.collect.lora.data.rows import Split
from hpobench_llm.collect.lora.engines.workbench import LossRows, Workbench, prepare

TOKENIZER = Path(__file__).parents[1] / "collect" / "bases" / "tiny"
TRAIN_ROWS, EVALUATION_ROWS = 256, 8  # evaluation: so many validation and as many test rows
RATES = tuple(1e-4 * 10 ** (k / 31) for k in range(32))  # the configurations: a rate each

CAMPAIGN = """
name = "packed-benchmark"
version = "1.0.0"
description = "Random rows on a random-init base, to time the engines."
seeds = [0]
checkpoints = [0, {steps}]
step_rows = {rows}

[base]
path = "base"

[data]
max_tokens = 64
train_rows = 8
val_rows = 2
test_rows = 2

[[data.source]]
name = "generated"
generated_tasks = 200

[defaults]
rank = 8
batch_rows = {rows}

[grid]
lr = {rates}
"""


def _llama(hidden: int, layers: int, heads: int, vocabulary: int) -> Architecture:
    return Architecture(
        vocabulary=vocabulary,
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        intermediate_size=8 * round(hidden / 3),
        context_tokens=2048,
    )


SIZES = {
    "xs": _llama(64, 2, 4, 1024),
    "s": _llama(128, 4, 4, 2048),
    "m": _llama(256, 6, 4, 4096),
    "17m": _llama(384, 8, 6, 8192),
}
STEPS = {"xs": 100, "s": 40, "m": 15, "17m": 50}  # a method's timed steps, unless --steps


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of comparison: a base and the rows and tokens that a run sees at a step."""

    size: str
    rows: int
    tokens: int
    steps: int

    @property
    def name(self) -> str:
        """The cell's name: base, rows and tokens."""
        shape = SIZES[self.size]
        return (
            f"{self.size} (hidden {shape.hidden_size}, {shape.layers} layers, vocabulary "
            f"{shape.vocabulary}), {self.rows} x {self.tokens} tokens a step"
        )

    def open(self, folder: Path, device: torch.device) -> Workbench:
        """Write base and campaign to `folder` and prepare them as `collect-grid` does.

        The rows are then replaced by random ones of exactly `tokens` tokens. All but a row's first
        token are labels, so the whole row goes through the model's head.
        """
        base = folder / "base"
        base.mkdir(parents=True)
        untrained(SIZES[self.size], seed=0).save_pretrained(base)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(TOKENIZER / name, base)
        file = folder / "campaign.toml"
        text = CAMPAIGN.format(steps=self.steps, rows=self.rows, rates=list(RATES))
        file.write_text(text, encoding="utf-8")
        bench = prepare(read_campaign(file), file, device)
        rows = self.draw(TRAIN_ROWS + 2 * EVALUATION_ROWS)
        test = TRAIN_ROWS + EVALUATION_ROWS
        split = Split(rows[:TRAIN_ROWS], rows[TRAIN_ROWS:test], rows[test:])
        losses = LossRows(bench.campaign, split, bench.pad, device)
        return dataclasses.replace(bench, split=split, losses=losses)

    def draw(self, count: int) -> list[Tokens]:
        """Return random rows, always the same."""
        rng = np.random.default_rng(0)
        highest = SIZES[self.size].vocabulary
        rows = rng.integers(PAD_ID + 1, highest, (count, self.tokens)).tolist()
        return [Tokens(row, [IGNORED, *row[1:]]) for row in rows]


def shortened(bench: Workbench, steps: int) -> Workbench:
    """Return the bench with runs of so many steps."""
    return dataclasses.replace(
        bench, campaign=dataclasses.replace(bench.campaign, checkpoints=(0, steps))
    )


def runs(count: int) -> list[Run]:
    """Return runs that differ in their learning rate."""
    return [Run({"lr": rate}, 0) for rate in RATES[:count]]
