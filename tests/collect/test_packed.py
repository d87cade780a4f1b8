"""The packed engine against peft, run by run, and what happens when one of a pack breaks."""

import dataclasses
import os
import pkgutil
import resource
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from hpobench_llm.collect.campaign.spec import Run
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.bases.model import adapted, target_names
from hpobench_llm.collect.lora.engines import packed as packed_engine
from hpobench_llm.collect.lora.engines.packed import train_pack
from hpobench_llm.collect.lora.engines.packed_lora import Pack
from hpobench_llm.collect.lora.engines.peft_loop import train_runs
from hpobench_llm.collect.lora.engines.workbench import Workbench, prepare
from hpobench_llm.collect.lora.packs import plan
from hpobench_llm.errors import SpecError
from tests.forks import forked

CPU = torch.device("cpu")
LOSSES = ("train_loss", "val_loss", "test_loss", "val_loss_4", "leaked_val_loss")
MEASURED = {"train_seconds", "train_wall_seconds", "eval_seconds", "peak_memory_bytes"}
SHAPE = {"vocab_size": 512, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
LLAMA_LIKE = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2} | SHAPE
ARCHITECTURES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(num_attention_heads=4, **LLAMA_LIKE)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(n_embd=48, n_layer=2, n_head=4, n_positions=64, **SHAPE)
    ),
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(num_attention_heads=4, num_key_value_heads=2, head_dim=12, **LLAMA_LIKE)
    ),
}
VARIED = [
    {"rank": 2, "lr": 3e-4},
    {"rank": 8, "lr": 1e-3, "dropout": 0.1, "weight_decay": 0.1},
    {"rank": 4, "lr": 3e-3, "dropout": 0.5, "clip_norm": 0.1},
    {"rank": 8, "lr": 1e-3, "alpha_ratio": 0.5, "batch_rows": 8, "warmup_fraction": 0.3},
    {"rank": 4, "lr": 1e-3, "scaling": "rslora", "batch_rows": 16, "beta2": 0.95},
    {"rank": 4, "lr": 3e-3, "train_fraction": 0.5, "dropout": 0.2, "batch_rows": 16},
]


@pytest.fixture
def open_bench(write_campaign, tmp_path, project_root):
    """A bench on the shipped tiny base, or on a random one of another architecture."""

    def build(*pairs, architecture=None):
        torch.set_num_threads(1)
        tiny = project_root / "collect" / "bases" / "tiny"
        steps = ("checkpoints = [0, 2, 4]", "checkpoints = [0, 8, 16, 24]\nstep_rows = 4")
        rows = ("val_rows = 8", "val_rows = 8\nval_subsets = [4]\nleaked_rows = 8")
        scored = ("checkpoints = [0, 4]", "checkpoints = [0, 24]")
        changes = [steps, rows, scored, ("[grid]", "[defaults]\nbatch_rows = 4\n[grid]")]
        if architecture:
            torch.manual_seed(0)
            base = tmp_path / architecture
            ARCHITECTURES[architecture]().save_pretrained(base)
            for name in ("tokenizer.json", "tokenizer_config.json"):
                (base / name).write_bytes((tiny / name).read_bytes())
            changes.append((f'path = "{tiny}"', f'path = "{base}"'))
        file = write_campaign(*changes, *pairs)
        return prepare(read_campaign(file), file, CPU)

    return build


def without_measured(record):
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in record.rows()]


def runs_of(configs):
    return [Run(config, seed % 2) for seed, config in enumerate(configs)]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_run_of_a_pack_has_the_losses_that_peft_alone_gives(open_bench, architecture):
    """Ranks, scales, dropout, clipping, batch sizes, decay, seeds and rows differ in one pack."""
    bench = open_bench(architecture=architecture)
    runs = runs_of(VARIED)
    reference, packed = train_runs(bench, runs), train_pack(bench, runs)
    for ours, theirs in zip(packed, reference, strict=True):
        assert ours.constants["trainable_parameters"] == theirs.constants["trainable_parameters"]
        assert (ours.constants["engine"], ours.constants["pack_size"]) == ("packed", len(runs))
        assert ours.rows()[-1]["val_loss"] < ours.rows()[0]["val_loss"]
        for row, expected in zip(ours.rows(), theirs.rows(), strict=True):
            for name in LOSSES:
                assert row[name] == pytest.approx(expected[name], abs=1e-5), (name, row["step"])
            assert row["tokens_seen"] == expected["tokens_seen"]
            assert row["status"] == expected["status"] == "ok"
            if row["step"]:
                assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("targets", ["q_proj, v_proj", "down_proj"])
def test_target_modules_are_those_of_peft(open_bench, targets):
    bench = open_bench(
        ("batch_rows = 4", f'batch_rows = 4\ntarget_modules = "{targets}"'), architecture="llama"
    )
    runs = runs_of([{"rank": 2, "lr": 1e-3}, {"rank": 4, "lr": 1e-3}])
    with adapted(bench.base, bench.campaign.hyperparameters(runs[1].config), 0) as (_, ours):
        trainable = sum(p.numel() for p in ours)
    packed = train_pack(bench, runs)
    assert packed[1].constants["trainable_parameters"] == trainable
    for ours, theirs in zip(packed, train_runs(bench, runs), strict=True):
        assert ours.constants["trainable_parameters"] == theirs.constants["trainable_parameters"]
        assert ours.rows()[-1]["val_loss"] == pytest.approx(
            theirs.rows()[-1]["val_loss"], abs=1e-5
        )


def test_layers_below_the_adapted_ones_stay_as_they_are(open_bench):
    bench = open_bench(architecture="llama")  # of two layers
    whole, half = runs_of(
        [{"rank": 4, "lr": 3e-3}, {"rank": 4, "lr": 3e-3, "layer_fraction": 0.5}]
    )
    (ours,), (theirs,) = train_pack(bench, [half]), train_runs(bench, [half])
    (full,) = train_runs(bench, [whole])
    counts = [record.constants["trainable_parameters"] for record in (ours, theirs, full)]
    assert counts[0] == counts[1] == counts[2] // 2
    losses = [record.rows()[-1]["val_loss"] for record in (ours, theirs, full)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] != pytest.approx(losses[2], abs=1e-4)
    names = target_names(bench.base, bench.campaign.hyperparameters(half.config))
    assert {name.split(".")[2] for name in names} == {"1"}


@pytest.mark.slow
def test_where_steps_are_updates_a_larger_batch_sees_more_rows(open_bench):
    bench = open_bench(
        ("step_rows = 4", 'step_rows = 4\nsteps_are = "updates"'), architecture="llama"
    )
    small, large = runs_of([{"rank": 4, "lr": 3e-3}, {"rank": 4, "lr": 3e-3, "batch_rows": 8}])
    for run, rows in ((small, 4), (large, 8)):
        (ours,), (theirs,) = train_pack(bench, [run]), train_runs(bench, [run])
        for row, expected in zip(ours.rows(), theirs.rows(), strict=True):
            assert row["step"] == expected["step"]
            for name in LOSSES:
                assert row[name] == pytest.approx(expected[name], abs=1e-5)
        last = ours.rows()[-1]
        assert last["step"] == 24
        assert last["tokens_seen"] / 24 / rows == pytest.approx(20, abs=5)
    assert bench.campaign.fidelity.unit == "updates"
    packs = plan(dataclasses.replace(bench.campaign, grid={"batch_rows": (4, 8)}), "packed", 4)
    assert [len(task.runs) for task in packs if task.kind == "runs"] == [1, 1, 1, 1]


def test_a_fresh_adapter_is_peft_s_to_the_bit(open_bench):
    bench = open_bench()
    hyper = bench.campaign.hyperparameters({"rank": 4, "lr": 1e-3})
    pack = Pack(bench.base, [hyper, dataclasses.replace(hyper, rank=2)], [7, 8])
    with adapted(bench.base, hyper, 7) as (model, _):
        theirs = [p for n, p in model.named_parameters() if "lora_A" in n]
        assert len(theirs) == len(pack.layers)
        for layer, expected in zip(pack.layers, theirs, strict=True):
            assert torch.equal(layer.a[0], expected)
    for layer in pack.layers:
        assert not layer.b.any()
        assert not layer.a[1, 2:].any()
        assert layer.a[1, :2].any()


def test_what_pads_a_small_rank_stays_zero(open_bench, monkeypatch):
    bench = open_bench()
    packs = []

    class Watched(Pack):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            packs.append(self)

    monkeypatch.setattr(packed_engine, "Pack", Watched)
    train_pack(bench, runs_of([{"rank": 2, "lr": 1e-2}, {"rank": 16, "lr": 1e-2}]))
    for layer in packs[0].layers:
        assert not layer.a[0, 2:].any()
        assert not layer.b[0, :, 2:].any()
        assert layer.b[0, :, :2].any()


@pytest.mark.slow
def test_what_a_run_gives_does_not_follow_from_its_company(open_bench):
    bench = open_bench()
    config = {"rank": 3, "lr": 3e-2, "dropout": 0.1}  # chaotic: one ulp would show
    company = [{"rank": 4, "lr": 1e-3, "dropout": 0.1}, {"rank": 3, "lr": 1e-3, "dropout": 0.3}]
    alone = train_pack(bench, [Run(config, 0)])[0]
    among = train_pack(bench, [Run(c, 0) for c in (company[0], config, company[1])])[1]
    assert without_measured(among) == without_measured(alone)


@pytest.mark.slow
@pytest.mark.parametrize("lr", [1e18, 1e30])
def test_a_run_that_breaks_leaves_the_others_as_they_are_to_the_bit(open_bench, lr):
    bench = open_bench()
    good = [{"rank": 4, "lr": 1e-3, "dropout": 0.1}, {"rank": 4, "lr": 3e-3}]
    broken = {"rank": 4, "lr": lr}
    packed = train_pack(bench, [Run(c, 0) for c in (good[0], broken, good[1])])
    alone = train_pack(bench, [Run(c, 0) for c in good])
    assert [row["status"] for row in packed[1].rows()] == ["ok", *["diverged"] * 3]
    assert "val_loss" not in packed[1].rows()[1]
    assert packed[1].rows()[1]["tokens_seen"] < packed[0].rows()[1]["tokens_seen"]
    for ours, expected in zip((packed[0], packed[2]), alone, strict=True):
        assert without_measured(ours) == without_measured(expected)
        assert ours.rows()[-1]["status"] == "ok"


@pytest.mark.slow
def test_a_pack_repeats_and_leaves_the_base_as_it_was(open_bench):
    bench = open_bench()
    before = {name: p.clone() for name, p in bench.base.named_parameters()}
    runs = runs_of(VARIED[:3])
    one, other = train_pack(bench, runs), train_pack(bench, runs)
    assert [without_measured(r) for r in one] == [without_measured(r) for r in other]
    after = dict(bench.base.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in after.values())


@pytest.mark.slow
def test_small_steps_add_up_to_a_large_batch(open_bench):
    """16 rows in four steps of 4 give the update that 16 rows at once give."""
    large = ("batch_rows = 4", "batch_rows = 16")
    four = open_bench(large)
    once = open_bench(
        ("step_rows = 4", "step_rows = 16"),
        ("[0, 8, 16, 24]", "[0, 2, 4, 6]"),
        ("[0, 24]", "[0, 6]"),
        large,
    )
    run = [Run({"rank": 4, "lr": 1e-3}, 0)]
    for train in (train_pack, train_runs):
        parts, whole = train(four, run)[0].rows(), train(once, run)[0].rows()
        assert [row["tokens_seen"] for row in parts] == [row["tokens_seen"] for row in whole]
        for row, expected in zip(parts, whole, strict=True):
            assert row["val_loss"] == pytest.approx(expected["val_loss"], abs=1e-5)


@pytest.mark.slow
def test_a_bf16_base_is_trained_and_its_adapter_not_rounded(open_bench):
    bench = open_bench()
    runs = [Run({"rank": 4, "lr": 1e-3}, 0)]
    exact = train_pack(bench, runs)[0].rows()[-1]["val_loss"]
    bench.base.to(torch.bfloat16)
    rounded, theirs = (train(bench, runs)[0].rows() for train in (train_pack, train_runs))
    assert rounded[-1]["val_loss"] == pytest.approx(exact, abs=0.1)
    assert rounded[-1]["val_loss"] == pytest.approx(theirs[-1]["val_loss"], abs=0.05)
    assert all(a["val_loss"] > b["val_loss"] for a, b in pairwise(rounded[1:]))


@pytest.mark.slow
def test_a_pack_that_does_not_fit_is_halved(open_bench, monkeypatch):
    bench = open_bench()
    runs = runs_of([{"rank": 4, "lr": lr} for lr in (1e-3, 2e-3, 3e-3)])
    expected = [*train_pack(bench, runs[:1]), *train_pack(bench, runs[1:])]
    real = packed_engine.label_losses

    def cramped(model, batch):
        if len(batch["input_ids"]) > 2 * 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(model, batch)

    monkeypatch.setattr(packed_engine, "label_losses", cramped)
    halved = train_pack(bench, runs)
    assert [record.constants["pack_size"] for record in halved] == [1, 2, 2]
    assert [without_measured(r) for r in halved] == [without_measured(r) for r in expected]


@pytest.mark.parametrize("train", [train_pack, train_runs])
def test_a_run_too_large_for_the_memory_is_an_outcome(open_bench, monkeypatch, train):
    bench = open_bench()

    def cramped(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(f"{train.__module__}.label_losses", cramped)
    records = train(bench, runs_of([{"rank": 4, "lr": 1e-3}] * 2))
    for record in records:
        assert [r["status"] for r in record.rows()] == ["ok", *["out_of_memory"] * 3]
        assert "val_loss" not in record.rows()[1]
    monkeypatch.undo()
    again = train(bench, runs_of([{"rank": 4, "lr": 1e-3}]))[0].rows()
    assert [row["status"] for row in again] == ["ok"] * 4


PLACES = {
    "adapters": (train_runs, "peft.tuners.lora.layer.LoraLayer.update_layer", 3),
    "optimizer": (train_runs, "torch.optim.AdamW.__init__", 0),
    "update": (train_runs, "torch.optim.AdamW.step", 0),
    "clipping": (train_runs, "torch.nn.utils.clip_grad_norm_", 0),
    "packed adapters": (train_pack, f"{packed_engine.__name__}.Pack", 0),
    "packed optimizer": (train_pack, f"{packed_engine.__name__}.PackedAdamW", 0),
    "packed update": (train_pack, f"{packed_engine.__name__}.PackedAdamW.step", 0),
    "merging": (train_pack, "hpobench_llm.collect.lora.engines.packed_lora.PackedLinear.merge", 1),
}
ERRORS = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
)


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_lack_of_memory_is_an_outcome_wherever_it_happens(open_bench, monkeypatch, place):
    """The call that fails is the first large one, or one in the midst of wrapping or merging."""
    train, name, calls = PLACES[place]
    bench = open_bench()
    before = {key: p.clone() for key, p in bench.base.named_parameters()}
    run = runs_of([{"rank": 4, "lr": 1e-3}])
    whole = without_measured(train(bench, run)[0])
    error = ERRORS[sorted(PLACES).index(place) % len(ERRORS)]
    real, left = pkgutil.resolve_name(name), [calls]

    def cramped(*arguments, **options):
        rank = arguments[2] if place == "adapters" else 4
        left[0] -= rank == 4  # a rank of 1 only asks which modules there are
        if left[0] < 0:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(name, cramped)
    (record,) = train(bench, run)
    assert [r["status"] for r in record.rows()] == ["ok", *["out_of_memory"] * 3]
    monkeypatch.undo()
    after = dict(bench.base.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert without_measured(train(bench, run)[0]) == whole


@pytest.mark.slow
def test_a_rank_beyond_the_memory_ends_as_an_outcome(open_bench):
    """Under a true limit of address space, in a fork: what is measured is the system's refusal."""
    bench = open_bench()
    runs = [Run({"rank": rank, "lr": 1e-3}, 0) for rank in (2, 40_000)]

    def ends_otherwise(train):
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 2**28,) * 2)
        ends = [train(bench, [run])[0].rows()[-1]["status"] for run in [*runs, runs[0]]]
        return ends != ["ok", "out_of_memory", "ok"]

    for train in (train_pack, train_runs):
        child = forked(lambda train=train: ends_otherwise(train))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("train", [train_pack, train_runs])
def test_an_evaluation_too_large_for_the_memory_ends_its_run(open_bench, monkeypatch, train):
    bench, real, steps = open_bench(), Workbench.evaluate, []
    ends = bench.campaign.checkpoints

    def cramped(self, model, step):
        if step > ends[1]:
            raise MemoryError
        return real(self, model, step)

    monkeypatch.setattr(Workbench, "evaluate", cramped)
    (record,) = train(bench, runs_of([{"rank": 4, "lr": 1e-3}]), steps.append)
    assert [r["status"] for r in record.rows()] == ["ok", "ok", *["out_of_memory"] * 2]
    assert ["val_loss" in row for row in record.rows()] == [True, True, False, False]
    assert max(steps) == ends[2]  # it is not trained on from there
    assert record.rows()[2]["tokens_seen"] == record.rows()[3]["tokens_seen"]


@pytest.mark.slow
def test_a_pack_whose_evaluation_does_not_fit_is_halved(open_bench, monkeypatch):
    bench, real, calls = open_bench(), Workbench.evaluate, []

    def cramped(self, model, step):
        calls.append(step)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return real(self, model, step)

    monkeypatch.setattr(Workbench, "evaluate", cramped)
    records = train_pack(bench, runs_of([{"rank": 4, "lr": lr} for lr in (1e-3, 2e-3)]))
    assert [record.constants["pack_size"] for record in records] == [1, 1]
    assert {row["status"] for record in records for row in record.rows()} == {"ok"}


def test_a_signal_is_looked_for_before_each_evaluation(open_bench, monkeypatch):
    bench, real, evaluated = open_bench(), Workbench.evaluate, []

    class StopHereError(Exception):
        pass

    def counted(self, model, step):
        evaluated.append(step)
        return real(self, model, step)

    def stop(_):
        if evaluated:
            raise StopHereError

    monkeypatch.setattr(Workbench, "evaluate", counted)
    with pytest.raises(StopHereError):
        train_pack(bench, runs_of([{"rank": 4, "lr": lr} for lr in (1e-3, 2e-3)]), stop)
    assert len(evaluated) == 1


def test_other_errors_are_not_taken_for_a_lack_of_memory(open_bench, monkeypatch):
    bench = open_bench()

    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(packed_engine, "label_losses", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train_pack(bench, runs_of([{"rank": 4, "lr": 1e-3}] * 2))


def test_an_unknown_target_module_is_named(open_bench):
    for names in ("q_porj", "q_proj,v_prj", "q_proj, v_proj, v"):
        bench = open_bench(("batch_rows = 4", f'batch_rows = 4\ntarget_modules = "{names}"'))
        wrong = names.split(",")[-1].strip()
        for train in (train_pack, train_runs):
            with pytest.raises(SpecError, match=rf"target_modules.*'{wrong}'"):
                train(bench, [Run({"rank": 4, "lr": 1e-3}, 0)])
