"""What is imported is a benchmark like any other: replayed, compared, reported."""

import pytest

from hpobench_llm.cli import main

SPEC = """
{axis}
[hyperparameters.lr]
log = true
[hyperparameters.rank]
[metrics.loss]
name = "val_loss"
direction = "minimize"
unit = "nats"
"""


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["", '[fidelities.epoch]\nunit = "epochs"'])
def test_a_study_runs_on_an_imported_table_and_is_reported(
    bring, tmp_path, monkeypatch, axis, capsys
):
    epochs = (1, 3) if axis else (3,)
    lines = ["lr,rank,epoch,loss"] + [
        f"{lr},{rank},{epoch},{abs(lr - 0.01) + 1 / rank + 1 / epoch}"
        for lr in (0.001, 0.01, 0.1)
        for rank in (1, 2, 4)
        for epoch in epochs
    ]
    bring(SPEC.format(axis=axis), "\n".join(lines) + "\n")
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path / "out"))
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "s"\ntitle = "s"\nbenchmarks = ["mine"]\noptimizers = ["random", "nomad"]\n'
        "seeds = 2\nbudget = 6\n"
    )
    assert main(["replay", str(study), "--out", str(tmp_path / "r"), "--processes", "1"]) == 0
    assert main(["compare", str(tmp_path / "r")]) == 0
    assert "mine: val_loss, 2 seeds, 6 trials" in capsys.readouterr().out
    page = (tmp_path / "r" / "report.html").read_text()
    assert "imported by" in page
    assert main(["verify", "mine"]) == 2
    assert "was imported, so its runs cannot be trained again" in capsys.readouterr().err
