"""BoLT's emulators: read from safetensors alone, answered as torch answers, refused when odd."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from hpobench_llm.benchmarks.catalogue import load  # noqa: E402
from hpobench_llm.benchmarks.emulator import EmulatorBenchmark  # noqa: E402
from hpobench_llm.cli import main  # noqa: E402
from hpobench_llm.errors import ConfigurationError, DataError, IntegrityError  # noqa: E402
from hpobench_llm.replaying.replay import replay  # noqa: E402
from hpobench_llm.surrogates.emulators.bolt import import_bolt  # noqa: E402
from hpobench_llm.surrogates.emulators.tensors import read_tensors  # noqa: E402

HIDDEN = 16


def network(inputs, outputs, seed):
    torch.manual_seed(seed)
    layers, width = [], inputs
    for _ in range(2):
        layers += [torch.nn.Linear(width, HIDDEN), torch.nn.LayerNorm(HIDDEN), torch.nn.ReLU()]
        width = HIDDEN
    module = torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN, outputs))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def publish(folder, module, inputs, outputs, mean=0.3, deviation=0.05):
    folder.mkdir(parents=True)
    state = {f"mlp.{name}": value for name, value in module.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    config = {"input_dim": inputs, "hidden_dim": HIDDEN, "output_dim": outputs}
    (folder / "config.json").write_text(json.dumps(config))
    rows = "".join(f"{n},{mean},{deviation}\n" for n in range(outputs))
    (folder / "model_standardize.csv").write_text(",y_mean,y_std\n" + rows)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Write all of BoLT's folders in their shape, with weights drawn here."""
    given = tmp_path_factory.mktemp("bolt")
    modules = {
        "hpo_qwen8b_emulator": network(11, 1, 0),
        "hpo_qwen4b_emulator": network(11, 1, 1),
        "dm_qwen4b_emulator": network(6, 3, 2),
    }
    for name, module in modules.items():
        publish(given / name, module, *((6, 3) if name.startswith("dm") else (11, 1)))
    noise = given / "dm_qwen4b_noise_emulator"
    noise.mkdir()
    torch.manual_seed(3)
    kernel = {"X_fit": torch.rand(20, 6), "dual_coef": torch.rand(20, 1) * 0.01}
    save_file(kernel, noise / "noise_model.safetensors")
    (noise / "config.json").write_text(json.dumps({"gamma": 0.5}))
    return given, modules, kernel


@pytest.fixture(scope="module")
def shelf(published, tmp_path_factory):
    out = tmp_path_factory.mktemp("shelf")
    import_bolt(published[0], out)
    return out


def asked(module, rows):
    """Return what torch answers, in the units of the score."""
    with torch.no_grad():
        return module(torch.tensor(rows, dtype=torch.float32)).numpy() * 0.05 + 0.3


CONFIG = {
    "lr_normalised": 0.25,
    "batch_size": 8,
    "rank": 32,
    "lora_alpha": 4,
    "dropout_normalised": 0.5,
    "layers": 30,
    "target_modules": "choice-2",
}
ROW = [0.25, 0.5, 1.0, 0.0, 0.5, 1.0, 0, 0, 1, 0]


def test_all_problems_are_imported(shelf):
    assert sorted(path.name for path in shelf.iterdir()) == [
        "bolt-hpo",
        "bolt-hpo-model",
        "bolt-hpo-tokens",
        "bolt-mixture",
    ]
    bench = load(shelf / "bolt-hpo", kind="surrogate")
    assert isinstance(bench, EmulatorBenchmark)
    assert bench.identity()["sha256"] == bench.sha256
    kept = json.loads((shelf / "bolt-mixture" / "emulator.json").read_text())["origin"]["sha256"]
    assert "dm_qwen4b_noise_emulator/noise_model.safetensors" in kept


def test_a_configuration_is_answered_as_torch_answers_its_features(published, shelf):
    _, modules, _ = published
    bench = load(shelf / "bolt-hpo", kind="surrogate")
    answer = bench.query(CONFIG)
    expected = asked(modules["hpo_qwen8b_emulator"], [[*ROW, 1.0]])
    assert answer.metrics["score_math500"] == pytest.approx(expected[0, 0], abs=1e-5)
    rng = np.random.default_rng(0)
    configs = [bench.space.sample(rng) for _ in range(20)]
    many = bench.query_many(configs, seed=3)
    single = [bench.query(config, seed=3).metrics["score_math500"] for config in configs]
    assert many["score_math500"].tolist() == single
    noise = many["score_math500"] - bench.query_many(configs)["score_math500"]
    assert 0.01 < noise.std() < 0.06
    assert bench.noise("score_math500").total == pytest.approx(0.029)


def test_tokens_give_the_best_of_the_curve_so_far(published, shelf):
    _, modules, _ = published
    bench = load(shelf / "bolt-hpo-tokens", kind="surrogate")
    places = [*np.arange(0.056, 1.0, 0.056), 1.0]
    curve = asked(modules["hpo_qwen8b_emulator"], [[*ROW, place] for place in places])[:, 0]
    full = bench.query(CONFIG)
    assert full.metrics["score_math500"] == pytest.approx(curve.max(), abs=1e-5)
    assert full.tokens == 9_100_000
    third = bench.query(CONFIG, fidelity=round(1e5 + 3 * 0.056 * 9e6))
    assert third.metrics["score_math500"] == pytest.approx(curve[:3].max(), abs=1e-5)
    curve = [
        bench.query(CONFIG, fidelity=v).metrics["score_math500"]
        for v in bench.fidelities[0].values[1:]
    ]
    assert curve == sorted(curve)
    with pytest.raises(ConfigurationError, match="fidelity `tokens`: 10 is not among"):
        bench.query(CONFIG, fidelity=10)


def test_a_model_s_size_is_a_fidelity(published, shelf):
    _, modules, _ = published
    bench = load(shelf / "bolt-hpo-model", kind="surrogate")
    for size, name in ((4, "hpo_qwen4b_emulator"), (8, "hpo_qwen8b_emulator")):
        expected = asked(modules[name], [[*ROW, 1.0]])[0, 0]
        answer = bench.query(CONFIG, fidelity={"model": size}).metrics["score_math500"]
        assert answer == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ConfigurationError, match="fidelity `model`: 6 is not among"):
        bench.query(CONFIG, fidelity={"model": 6})


def test_a_mixture_has_three_scores_their_mean_and_its_own_noise(published, shelf):
    _, modules, kernel = published
    bench = load(shelf / "bolt-mixture", kind="surrogate")
    shares = [0.2, 0.3, 0.5, 0.0, 0.25, 0.75]
    config = dict(zip(bench.space.names, shares, strict=True))
    scores = asked(modules["dm_qwen4b_emulator"], [shares])[0]
    answer = list(bench.query(config).metrics.values())
    assert answer == pytest.approx([scores.mean(), *scores], abs=1e-5)
    distances = (torch.tensor([shares]) - kernel["X_fit"]).abs().sum(1)
    own = float(torch.exp(-0.5 * distances) @ kernel["dual_coef"][:, 0])
    (deviations,) = bench.emulator.deviations([config])
    mean = np.sqrt(0.0131**2 + own**2 + 0.0101**2) / 3
    assert deviations == pytest.approx([mean, 0.0131, own, 0.0101], abs=1e-6)
    drawn = np.array([list(bench.query(config, seed=s).metrics.values()) for s in range(300)])
    assert drawn[:, 0] == pytest.approx(drawn[:, 1:].mean(axis=1))
    assert drawn.std(axis=0) == pytest.approx(deviations, rel=0.15)


@pytest.mark.parametrize("name", ["bolt-hpo-tokens", "bolt-mixture"])
def test_it_is_replayed_beside_others(shelf, name):
    bench = load(shelf / name, kind="surrogate")
    frame = replay(bench, "random", budget=5, seed=0).to_frame()
    assert len(frame) == 5
    assert frame["status"].eq("ok").all()


def test_the_command_writes_what_load_finds_by_name(published, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(tmp_path))
    assert main(["import", "bolt", "--from", str(published[0])]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert load("bolt-hpo", kind="surrogate").name == "bolt-hpo"
    assert main(["import", "bolt", "--from", str(published[0])]) == 2
    assert "bolt-hpo: is there already" in capsys.readouterr().err
    assert main(["import", "bolt"]) == 2
    assert "takes --from FOLDER" in capsys.readouterr().err


def spoiled(tmp_path, name, change):
    folder = tmp_path / name
    inputs, outputs = (6, 3) if name.startswith("dm") else (11, 1)
    publish(folder, network(inputs, outputs, 0), inputs, outputs)
    change(folder)
    with pytest.raises((DataError, IntegrityError)) as caught:
        import_bolt(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def only_pickled(folder):
    torch.save({}, folder / "model.pth")
    (folder / "model.safetensors").unlink()


def rewritten(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def header(entry, body=b""):
    text = json.dumps({"x": entry}).encode()
    return len(text).to_bytes(8, "little") + text + body


FAULTS = {
    "pickled": (only_pickled, "model.pth: pickled weights run code when they are opened"),
    "gone": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: no such file"),
    "cut": (rewritten("model.safetensors", b"\x10"), "not a file of safetensors: a header of"),
    "long header": (rewritten("model.safetensors", b"\xff" * 40), "a header of"),
    "not JSON": (rewritten("config.json", b"{"), "config.json: not readable as JSON"),
    "other width": (
        rewritten("config.json", b'{"input_dim": 7}'),
        "`input_dim`: .* has 11, got 7",
    ),
    "other tensors": (
        lambda f: save_file({"w": torch.zeros(2)}, f / "model.safetensors"),
        "no perceptron of linear, LayerNorm and ReLU",
    ),
    "outside": (
        rewritten(
            "model.safetensors", header({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})
        ),
        "`x` of shape \\[2\\] is not 8 bytes long",
    ),
    "type": (
        rewritten(
            "model.safetensors", header({"dtype": "I64", "shape": [0], "data_offsets": [0, 0]})
        ),
        "`x` is of type 'I64'",
    ),
    "statistics": (rewritten("model_standardize.csv", b"a,b\n1,2\n"), "`y_mean` and `y_std`"),
    "deviation": (rewritten("model_standardize.csv", b"y_mean,y_std\n1,0\n"), "above 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(tmp_path, fault):
    import re

    change, words = FAULTS[fault]
    message = spoiled(tmp_path / "given", "hpo_qwen8b_emulator", change)
    assert re.search(words, message), message


def test_a_folder_without_emulators_is_named(tmp_path):
    with pytest.raises(DataError, match="none of BoLT's folders is here: dm_qwen4b_emulator"):
        import_bolt(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        import_bolt(tmp_path / "none", tmp_path / "out")


def test_tensors_of_every_readable_type_are_read(tmp_path):
    for kind in (torch.float16, torch.float32, torch.float64):
        save_file({"x": torch.arange(6, dtype=kind).reshape(2, 3)}, tmp_path / "x.safetensors")
        read = read_tensors(tmp_path / "x.safetensors")["x"]
        assert read.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_changed_emulator_is_refused(published, tmp_path):
    folder = import_bolt(published[0], tmp_path)[0]
    weights = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(weights[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"weights\.npz: sha256 is"):
        load(folder, kind="surrogate")
    (folder / "weights.npz").write_bytes(weights)
    raw = json.loads((folder / "emulator.json").read_text())
    (folder / "emulator.json").write_text(json.dumps(raw | {"problem": "bolt-mixture"}))
    with pytest.raises(IntegrityError, match="its sum differs"):
        load(folder, kind="surrogate")
