"""Benchmarks as blackboxes of Syne Tune, driven by its own tuner."""

import subprocess
import sys

import numpy as np
import pytest

from hpobench_llm.benchmarks.catalogue import load
from hpobench_llm.benchmarks.tabular import TabularBenchmark
from hpobench_llm.errors import ConfigurationError, NotInTableError
from hpobench_llm.sticks import StickSpace
from hpobench_llm.testing.benchmarks import shares
from tests.problems import FINITE, REAL, SHARE, STEP, points, table

pytest.importorskip("syne_tune")
from hpobench_llm.adapters.syne_tune import SyneTuneBlackbox

GRID = list(FINITE.configurations())


def made(folder, *arguments, **options):
    return TabularBenchmark(table(folder / "t", *arguments, **options))


def test_a_cell_is_the_tables(tmp_path):
    bench = made(tmp_path, FINITE, GRID)
    blackbox = SyneTuneBlackbox(bench)
    assert blackbox.objectives_names == ["val_loss", "score_toy", "cost_seconds"]
    for config in GRID:
        for seed in (None, 0, 1):
            answer = bench.query(config, fidelity={"step": 2}, seed=seed)
            found = blackbox(config, fidelity={"step": 2}, seed=seed)
            assert found == {**answer.metrics, "cost_seconds": answer.cost_seconds}
            assert blackbox(config, fidelity=2, seed=seed) == found


def test_without_a_fidelity_it_is_the_curve(tmp_path):
    early = made(tmp_path, FINITE, GRID, keep=lambda n, seed, level: n or level[0] < 4)
    blackbox = SyneTuneBlackbox(early)
    assert list(blackbox.fidelity_values) == [1, 2, 4]
    curve = blackbox(GRID[1], seed=1)
    assert curve.shape == (3, 3)
    for row, step in enumerate((1, 2, 4)):
        found = blackbox(GRID[1], fidelity={"step": step}, seed=1)
        assert list(curve[row]) == list(found.values())
    assert np.isnan(blackbox(GRID[0])).tolist() == [[False] * 3, [False] * 3, [True] * 3]


def test_no_axis_is_no_fidelity_space(tmp_path):
    blackbox = SyneTuneBlackbox(made(tmp_path, FINITE, GRID, ()))
    assert blackbox.fidelity_space is None
    assert set(blackbox(GRID[0])) == {"val_loss", "score_toy", "cost_seconds"}


def test_the_untrained_base_is_no_resource():
    assert load("lora-nano").fidelities[0].values[0] == 0
    assert min(SyneTuneBlackbox(load("lora-nano")).fidelity_values) > 0


def test_what_its_space_samples_can_be_asked_for(tmp_path):
    rng = np.random.RandomState(0)
    for bench in (load("lora-nano"), load("toy-sphere")):
        blackbox = SyneTuneBlackbox(bench)
        for _ in range(20):
            config = {
                k: d.sample(random_state=rng) for k, d in blackbox.configuration_space.items()
            }
            assert np.isfinite(blackbox(config)).all()


def test_several_axes_are_refused_and_a_stranger_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="one fidelity axis, not step, share"):
        SyneTuneBlackbox(made(tmp_path / "two", FINITE, GRID, (STEP, SHARE)))
    scattered = SyneTuneBlackbox(made(tmp_path / "s", REAL, points(REAL, 5)))
    with pytest.raises(NotInTableError, match="nearest"):
        scattered({"x": 0.0, "lr": 1e-2})


def test_its_tuner_replays_asha(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    pytest.importorskip("statsmodels", reason="Syne Tune's tuner needs it")
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.optimizer.baselines import ASHA

    bench = load("lora-nano")
    blackbox = SyneTuneBlackbox(bench)
    scheduler = ASHA(
        config_space=blackbox.configuration_space,
        metric="val_loss",
        time_attr="step",
        max_t=96,
        random_seed=0,
    )
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox, elapsed_time_attr="cost_seconds", seed=0),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=10),
        n_workers=2,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        save_tuner=False,
        print_update_interval=1000,
    )
    tuner.run()
    status = tuner.tuning_status
    assert len(status.trial_rows) >= 10
    best = tuner.best_config("val_loss")[1]
    least = status.overall_metric_statistics.min_metrics["val_loss"]
    (axis,) = bench.fidelities
    curve = [
        bench.query(best, fidelity={"step": step}, seed=0) for step in axis.values if step > 0
    ]
    assert least in [answer.metrics.get("val_loss") for answer in curve]


@pytest.mark.parametrize("library", ["syne_tune", "huggingface_hub"])
def test_what_is_missing_is_named_with_its_extra(library):
    program = (
        "import sys\n"
        "for name in [n for n in sys.modules if n.split('.')[0] == sys.argv[1]]:\n"
        "    del sys.modules[name]\n"
        "sys.modules[sys.argv[1]] = None\n"
        "from hpobench_llm.adapters import SyneTuneBlackbox"
    )
    done = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True)
    said = done.stderr.strip().splitlines()[-1]
    assert f"`SyneTuneBlackbox` needs {library}, which is not installed: pip install" in said
    assert said.endswith("[syne-tune]'")


def test_proportions_are_sticks_that_become_what_was_measured(tmp_path):
    space = shares().space
    bench = made(tmp_path, space, list(space.configurations()))
    blackbox = SyneTuneBlackbox(bench)
    sticks = StickSpace.of(space)
    assert set(blackbox.configuration_space) == set(sticks.names)
    coded = {"rank": 2, "stick_share_chat": 0.5, "stick_share_code": 0.5}
    found = blackbox(coded, fidelity={"step": 2}, seed=0)["val_loss"]
    answer = bench.query(sticks.decode(coded), fidelity={"step": 2}, seed=0)
    assert found == answer.metrics["val_loss"]
