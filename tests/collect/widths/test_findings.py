"""What the card of a table of widths says, on rows whose answers are known."""

import itertools

import pandas as pd
import pytest

from hpobench_llm.collect.training.corpus import Corpus
from hpobench_llm.collect.widths.findings import coordinate_figure, findings
from hpobench_llm.collect.widths.spec import Text, WidthsCampaign
from hpobench_llm.tables.figures import check_figures

RATES = (0.01, 0.02, 0.04)


def campaign(**grid):
    return WidthsCampaign(
        name="known",
        version="0.1",
        description="Rows by formula.",
        seeds=(0,),
        corpus=(Corpus(generated_sentences=9),),
        text=Text(train_rows=4),
        checkpoints=(0, 10, 20),
        warm_from=(16, 32),
        grid={"width": (32, 64), "shrink": (0.0, 1.0), **grid},
    )


def row(width, name, lr, shrink, step):
    """Standard: sizes double with the width and the best rate halves; warm starts are 10 ahead."""
    grows = width / 32 if name == "sp" else 1.0
    best = 0.02 / grows
    ahead = 10 if shrink else 0
    return {
        "width": width,
        "parametrisation": name,
        "lr": lr,
        "init_std": 0.02,
        "shrink": shrink,
        "seed": 0,
        "step": step,
        "status": "diverged" if lr == 0.04 and name == "sp" and width == 64 else "ok",
        "val_loss": 5 - 0.1 * (step + ahead) + abs(lr - best),
        "tokens_seen": 64 * step,
        "attention_size": grows,
        "mlp_size": grows,
        "residual_size": 2 * grows,
        "logit_size": 3 * grows,
    }


def test_the_card_says_what_the_rows_hold():
    axes = ((32, 64), ("sp", "mup"), RATES, (0.0, 1.0), (0, 10, 20))
    frame = pd.DataFrame([row(*cell) for cell in itertools.product(*axes)])
    lines = findings(campaign(parametrisation=("sp", "mup"), lr=RATES), frame)
    text = "\n".join(lines)
    assert "geometric mean of 2 settings that end ok at all widths: attention 1.00, 2.00" in text
    assert "coordinate check, mup" in text
    assert "logit 1.00, 1.00" in text
    assert "best learning rate, sp, cold: 0.02, 0.01 at widths 32, 64, 1 grid steps" in text
    assert "best learning rate, mup, cold: 0.02, 0.02 at widths 32, 64, 0 grid steps" in text
    assert "tokens saved, mup, warm with shrink 1.0: 6 of 6 settings reach" in text
    assert "tokens saved, sp, warm with shrink 1.0: 5 of 5 settings reach" in text
    assert text.count("half of them with 50%") == 2
    (figure,) = coordinate_figure(campaign(parametrisation=("sp", "mup"), lr=RATES), frame)
    assert list(figure["panels"]) == ["attention", "mlp", "residual", "logit"]
    assert figure["panels"]["logit"]["sp"] == [[32.0, 1.0], [64.0, pytest.approx(2.0)]]
    assert figure["panels"]["logit"]["mup"] == [[32.0, 1.0], [64.0, pytest.approx(1.0)]]
    check_figures([figure])
    part = findings(campaign(parametrisation=("sp", "mup"), lr=RATES), frame[frame["lr"] > 0.01])
    assert part
    assert not any(line.startswith("best learning rate") for line in part)


def test_a_grid_of_few_axes_and_runs_that_all_fail_have_cards_too():
    frame = pd.DataFrame([row(width, "mup", 0.01, 0.0, s) for width in (32, 64) for s in (0, 20)])
    (line,) = findings(campaign(), frame)
    assert line.startswith("coordinate check, mup")
    failed = frame.assign(status="diverged")
    assert findings(campaign(lr=RATES), failed) == []
    assert coordinate_figure(campaign(lr=RATES), failed) == []
