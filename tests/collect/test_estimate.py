"""Estimates: parameter counts are exact, the rest is arithmetic that can be done by hand."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from peft import LoraConfig, get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from hpobench_llm.collect.assumptions import Assumptions
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.costs.estimate import describe, estimate, score_tokens
from hpobench_llm.collect.lora.costs.formulas import (
    forward_flops,
    memory_bytes,
    training_flops,
)
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.collect.lora.shape import Shape, shape_of_config, shape_of_folder
from hpobench_llm.errors import SpecError

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing")  # peft reads it

LLAMA_2_7B = Shape(
    hidden_size=4096, intermediate_size=11008, layers=32, heads=32, vocabulary=32000
)
COMMON = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def model(name):
    if name == "gpt2":
        config = GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_positions=32)
        return GPT2LMHeadModel(config)
    if name == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**COMMON, head_dim=6, tie_word_embeddings=True))
    return LlamaForCausalLM(LlamaConfig(**COMMON, tie_word_embeddings=False))


def shape_of(built):
    return shape_of_config(json.loads(built.config.to_json_string(use_diff=False)))


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_parameters_follow_from_the_shape(family):
    built = model(family)
    shape = shape_of(built)
    assert shape.family == family
    assert shape.total_parameters() == built.num_parameters()


@pytest.mark.parametrize("name", ["tiny", "nano", "nano-gpt2"])
def test_parameters_of_the_shipped_bases(project_root, name):
    folder = project_root / "collect" / "bases" / name
    true = json.loads((folder / "base.json").read_text())["parameters"]
    counted = shape_of_folder(folder)
    assert counted.parameters == true
    computed = shape_of_config(json.loads((folder / "config.json").read_text()))
    assert computed.total_parameters() == true


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("llama", "all-linear"),
        ("llama", "q_proj,v_proj"),
        ("llama", "self_attn.k_proj,down_proj"),
        ("llama", "layers.1.mlp.up_proj"),
        ("llama", "o_proj,lm_head"),
        ("gpt2", "all-linear"),
        ("gpt2", "c_attn"),
        ("gpt2", "c_proj"),  # two modules of a layer have this name
        ("gpt2", "mlp.c_proj,c_fc"),
        ("qwen3", "all-linear"),
        ("qwen3", "q_proj,o_proj"),
    ],
)
def test_adapters_have_as_many_parameters_as_those_of_peft(family, targets):
    built = model(family)
    names = targets if targets == "all-linear" else targets.split(",")
    config = LoraConfig(
        r=3, target_modules=names, task_type="CAUSAL_LM", fan_in_fan_out=family == "gpt2"
    )
    trainable, _ = get_peft_model(built, config).get_nb_trainable_parameters()
    adapted = Hyperparameters(rank=3, target_modules=targets)
    assert shape_of(built).adapter_parameters(adapted) == trainable > 0


def test_costs_of_a_shape_that_can_be_counted_by_hand():
    shape = Shape(hidden_size=4, intermediate_size=8, layers=2, heads=2, vocabulary=10)
    assert shape.layer()["self_attn.q_proj"] == (4, 4)
    matrix = 2 * (4 * 16 + 3 * 32) + 40
    assert shape.matrix_parameters() == matrix == 360
    assert shape.total_parameters() == matrix + 40 + 2 * 8 + 4
    queries = Hyperparameters(rank=2, target_modules="q_proj")
    assert shape.adapter_parameters(queries) == 2 * 2 * (4 + 4)
    half = replace(queries, layer_fraction=0.5)
    assert shape.adapter_parameters(half) == 2 * (4 + 4)
    assert training_flops(shape, 32, 100, 1) == 100 * (2 * 360 + 2 * (360 - 160) + 6 * 32)
    assert training_flops(shape, 32, 100) == 100 * (4 * 360 + 6 * 32)
    assert forward_flops(shape, 32, 100) == 100 * 2 * (360 + 32)
    activations = 34 * 1.3 * 4  # bytes a layer and token in 16 bits
    step = 8192 * (2 * activations + 120)
    plain = memory_bytes(shape, 32, 8192, precision="bfloat16")
    assert plain == pytest.approx(2 * 420 + 16 * 32 + step)
    packed = memory_bytes(shape, 32, 8192, precision="bfloat16", pack_size=3)
    assert packed == pytest.approx(2 * 420 + 3 * (16 * 32 + step))
    evaluation = memory_bytes(shape, 32, 1, precision="float32")
    assert evaluation == pytest.approx(4 * 420 + 16 * 32 + 4096 * (80 + 160))


def test_seconds_are_launches_where_these_take_longer():
    gpu = Assumptions(device="cuda", tflops=100, utilisation=0.5, launch_seconds=1e-3)
    assert gpu.seconds(50e12, 10, "bfloat16") == pytest.approx(1.0)
    assert gpu.seconds(50e12, 2000, "bfloat16") == pytest.approx(2.0)
    cpu = Assumptions(tflops=0.1, utilisation=0.5, launch_seconds=1e-3)
    assert cpu.seconds(0.05e12, 2000, "float32") == pytest.approx(3.0)
    for bad in ({"utilisation": 1.5}, {"row_fill": 0.0}, {"devices": 0}, {"tflops": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Assumptions(**bad)


def test_the_founding_paper_is_met():
    """Its log: LLaMA-2-7B, 3 epochs in 4,331 s on 4 A100 with three evaluations of 187.4 s."""
    assert LLAMA_2_7B.total_parameters() == 6_738_415_616
    adapter = LLAMA_2_7B.adapter_parameters(
        Hyperparameters(rank=64, target_modules="q_proj,v_proj")
    )
    assert adapter == 64 * 32 * 2 * (4096 + 4096)
    row = 240.0  # tokens, assumed: about 140, padded in batches of four rows
    trained = training_flops(LLAMA_2_7B, adapter, 3 * 54_000 * row)
    evaluated = forward_flops(LLAMA_2_7B, adapter, 13_000 * row)
    # Whatever a row's tokens: the speed of its evaluation tells the time of its training.
    by_evaluation = 187.4 * (trained / evaluated + 3)
    assert 1 / 1.5 < by_evaluation / 4331 < 1.5
    # With the utilisation that is assumed for a GPU.
    paper = Assumptions(device="cuda", devices=4, tflops=312)
    seconds = paper.seconds(trained + 3 * evaluated, 0, "bfloat16")
    assert 1 / 1.5 < seconds / 4331 < 1.5
    assert trained / (4331 - 3 * 187.4) / (4 * 312e12) == pytest.approx(0.22, abs=0.01)
    assert evaluated / 187.4 / (4 * 312e12) == pytest.approx(0.18, abs=0.01)


@pytest.mark.parametrize("name", ["llama2-7b", "lora-mini", "lora-nano", "lora-nano-gpt2"])
def test_the_shipped_campaigns_are_described_without_their_data(project_root, name, monkeypatch):
    monkeypatch.delenv("HPOBENCH_LLM_SOURCES", raising=False)
    path = project_root / "collect" / f"{name}.toml"
    campaign = read_campaign(path)
    lines = describe(campaign, path, assumptions=Assumptions(device="cuda"))
    assert [line.split()[0] for line in lines] == [
        *("base", "adapters", "a", "compute", "memory", "time", "assumed")
    ]
    found = estimate(campaign, path)
    assert found.runs == len(campaign.runs())
    assert found.cheapest.adapter_parameters < found.dearest.adapter_parameters
    assert found.cheapest.memory_bytes < found.dearest.memory_bytes


def test_the_grid_of_the_founding_paper(project_root):
    path = project_root / "collect" / "llama2-7b.toml"
    campaign = read_campaign(path)
    found = estimate(campaign, path, assumptions=Assumptions(device="cuda"))
    assert found.shape.total_parameters() == LLAMA_2_7B.total_parameters()
    assert campaign.base.precision == "bfloat16"
    assert found.dearest.adapter_parameters == 512 * 32 * 2 * 8192
    assert found.dearest.memory_bytes < 80e9
    updates = campaign.checkpoints[-1] * campaign.step_rows / campaign.defaults.batch_rows
    assert updates * 128 == 2 * campaign.data.train_rows
    read, generated = score_tokens(campaign, 100.0)
    assert read == 14_042 * 700 + 6_511 * 900 + 9_536 * 1_000 + 164 * 180
    assert generated == 6_511 * 32 + 9_536 * 16 + 164 * 256


def test_runs_that_are_timed_alone_cost_too(write_campaign):
    def tokens(solo, pack):
        path = write_campaign(('version = "0.0.1"', f'version = "0.0.1"\nsolo_runs = {solo}'))
        return estimate(read_campaign(path), path, pack_size=pack).tokens

    # Four configurations of two classes of cost, two seeds: 8 runs, and 2 or 4 that are alone.
    assert tokens(0, 2) == tokens(2, 1)  # in packs of one each is alone
    assert tokens(1, 2) == pytest.approx(tokens(0, 2) * 10 / 8)
    assert tokens(2, 2) == pytest.approx(tokens(0, 2) * 12 / 8)


def test_a_base_of_the_hub_needs_its_shape(write_campaign, project_root):
    tiny = str(project_root / "collect" / "bases" / "tiny")
    hub = 'hub = "some/model"\nrevision = "1"'
    path = write_campaign((f'path = "{tiny}"', hub))
    assert describe(read_campaign(path), path) == [
        f"cost       unknown: the shape of some/model is not; state it in [base.shape] of {path}"
    ]
    shape = "hidden_size = 4\nintermediate_size = 8\nlayers = 2\nheads = 2\nvocabulary = 10"
    path = write_campaign((f'path = "{tiny}"', f"{hub}\n[base.shape]\n{shape}"))
    stated = read_campaign(path)
    assert estimate(stated, path).shape.total_parameters() == 420
    path = write_campaign((f'path = "{tiny}"', hub))
    assert stated.identity() == read_campaign(path).identity()  # the ledger stays the same


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("hiden_size = 4", r"`base.shape.hiden_size`: unknown key.*'hidden_size'"),
        ("hidden_size = 4", r"`base.shape.intermediate_size`: this key is required"),
        (
            "hidden_size = 0\nintermediate_size = 1\nlayers = 1\nheads = 1\nvocabulary = 1",
            "`base.shape`: hidden_size must be at least 1",
        ),
        (
            "hidden_size = 5\nintermediate_size = 1\nlayers = 1\nheads = 2\nvocabulary = 1",
            "hidden_size 5 is no multiple of heads 2",
        ),
    ],
)
def test_a_bad_shape_is_named(write_campaign, project_root, shape, words):
    tiny = f'path = "{project_root / "collect" / "bases" / "tiny"}"'
    path = write_campaign((tiny, f'hub = "m"\nrevision = "1"\n[base.shape]\n{shape}'))
    with pytest.raises(SpecError, match=words):
        read_campaign(path)


def test_what_cannot_be_estimated_is_named(write_campaign, project_root, tmp_path):
    path = write_campaign(("[grid]", '[defaults]\ntarget_modules = "c_attn"\n\n[grid]'))
    with pytest.raises(SpecError, match="'c_attn' names no module of the base"):
        estimate(read_campaign(path), path)
    tiny = f'path = "{project_root / "collect" / "bases" / "tiny"}"'
    path = write_campaign((tiny, f'path = "{tmp_path}"'))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(SpecError, match=r"`base.path`.*config.json"):
        describe(read_campaign(path), path)
    (tmp_path / "config.json").write_text('{"hidden_size": 4}')
    with pytest.raises(SpecError, match="no safetensors header"):
        describe(read_campaign(path), path)
    (tmp_path / "model.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    with pytest.raises(SpecError, match="`intermediate_size`: a positive integer is expected"):
        describe(read_campaign(path), path)


@pytest.mark.slow
def test_nothing_heavy_is_imported():
    program = (
        "import hpobench_llm.collect.lora.costs.estimate, sys; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
