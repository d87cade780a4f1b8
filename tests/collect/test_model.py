"""Loading a base: only safetensors, never code that lies beside them, in the precision asked."""

import json
import shutil
import warnings

import pytest
import torch

from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.architecture import untrained
from hpobench_llm.collect.lora.bases.model import adapted, load_base
from hpobench_llm.collect.lora.bases.spec import Architecture
from hpobench_llm.collect.lora.hyperparameters import Hyperparameters
from hpobench_llm.errors import SpecError

CPU = torch.device("cpu")


@pytest.fixture
def base(project_root, tmp_path):
    return shutil.copytree(project_root / "collect" / "bases" / "tiny", tmp_path / "base")


def load(write_campaign, project_root, base, extra=""):
    shipped = project_root / "collect" / "bases" / "tiny"
    path = write_campaign((f'path = "{shipped}"', f'path = "{base}"{extra}'))
    return load_base(read_campaign(path), path, CPU)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused(write_campaign, project_root, base, name):
    (base / "model.safetensors").rename(base / name)
    with pytest.raises(SpecError, match=rf"`base.path`: .*{name} is pickled; only \*.safetens"):
        load(write_campaign, project_root, base)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_a_base_is_never_run(write_campaign, project_root, base, name):
    config = json.loads((base / name).read_text())
    auto = {"AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    (base / name).write_text(json.dumps(config | {"auto_map": auto}))
    (base / "own.py").write_text("raise SystemExit('the code of a base was run')")
    with pytest.raises(SpecError, match=rf"{name} names code of its own.* is never run") as caught:
        load(write_campaign, project_root, base)
    assert "\n" not in str(caught.value)


def test_a_damaged_base_is_named(write_campaign, project_root, base):
    (base / "config.json").write_text("{")
    with pytest.raises(SpecError, match=r"config.json: no JSON"):
        load(write_campaign, project_root, base)
    (base / "config.json").unlink()
    with pytest.raises(SpecError, match=r"no config.json and \*.safetensors"):
        load(write_campaign, project_root, base)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_have_the_precision_that_is_asked_for(write_campaign, project_root, precision):
    shipped = project_root / "collect" / "bases" / "tiny"
    extra = f'\nprecision = "{precision}"'
    model, _, _ = load(write_campaign, project_root, shipped, extra)
    assert {p.dtype for p in model.parameters()} == {getattr(torch, precision)}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_adapters_are_float32_on_every_family(family, precision):
    shape = Architecture(
        vocabulary=300,
        hidden_size=16,
        layers=2,
        heads=2,
        intermediate_size=32,
        context_tokens=32,
        family=family,
    )
    base = untrained(shape, 0).to(precision).requires_grad_(False)
    ids = torch.arange(20)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with adapted(base, Hyperparameters(rank=2), 0) as (model, parameters):
            model(input_ids=ids).logits.float().logsumexp(-1).sum().backward()
    assert {p.dtype for p in parameters} == {torch.float32}
    assert all(p.grad is not None for p in parameters)
    assert sum(float(p.grad.abs().sum()) for p in parameters) > 0
