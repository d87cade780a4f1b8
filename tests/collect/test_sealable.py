"""What can never be sealed is refused before the first step; what is not refused can be sealed."""

import dataclasses
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hpobench_llm.cli.collect import main
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.ledger.ledger import Ledger
from hpobench_llm.collect.ledger.storage import open_storage
from hpobench_llm.collect.lora.engines.record import Recorder
from hpobench_llm.collect.lora.engines.workbench import prepare
from hpobench_llm.collect.lora.packs import plan
from hpobench_llm.collect.seal import seal
from hpobench_llm.collect.sealable import check_sealable
from hpobench_llm.errors import SpecError
from hpobench_llm.tables.table import Table

SCORE = '[[score]]\nname = "{}"\nkind = "exact-match"\ncheckpoints = [0, 4]\n'
TWO = '[[score]]\nname = "exact"'
NEVER = {
    "space": (('name = "mini"', 'name = "my campaign"'), "`name`: 'my campaign' cannot name"),
    "umlaut": (('name = "mini"', 'name = "gr\u00f6\u00dfe"'), "`name`: 'gr\u00f6\u00dfe' cannot"),
    "slash": (('name = "mini"', 'name = "a/b"'), "`name`: 'a/b' cannot name"),
    "underscore": (('name = "mini"', 'name = "_mini"'), "`name`: '_mini' cannot name"),
    "factor": (
        ('version = "0.0.1"', 'version = "0.0.1"\ndiverged_factor = 1e308'),
        "`diverged_factor`: 1e+308 times the loss",
    ),
    "seed": (
        ("seeds = [0, 1]", f"seeds = [0, {2**63}]"),
        "`seeds[1]`: an integer of at most 64 bits",
    ),
    "repeat": (
        ("[grid]", f"[[repeat]]\nseeds = [{2**64}]\nfirst = 1\n\n[grid]"),
        "`repeat[0].seeds[0]`: an integer of at most 64 bits",
    ),
    "rank": (("rank = [2, 4]", f"rank = [2, {2**63}]"), "`grid.rank"),
    "stderr": (
        (TWO, SCORE.format("exact_stderr") + TWO),
        "`score[1].name`: 'exact': its column score_exact_stderr",
    ),
}


@pytest.fixture
def collect(tmp_path, capsys):
    def run(file, *options):
        status = main([str(file), "--out", str(tmp_path / "out"), *options])
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--seal-now",)], ids=str)
@pytest.mark.parametrize("case", sorted(NEVER))
def test_what_can_never_be_sealed_is_refused(write_campaign, collect, tmp_path, case, options):
    change, words = NEVER[case]
    status, said = collect(write_campaign(change), *options)
    assert status == 2
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--dry-run", "--shard=0/1"])
def test_a_base_whose_loss_is_not_finite_is_refused(
    write_campaign, project_root, collect, tmp_path, option
):
    shipped = project_root / "collect" / "bases" / "tiny"
    base = shutil.copytree(shipped, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    file = write_campaign((str(shipped), str(base)))
    status, said = collect(file, option)
    assert status == 2
    assert "base.json says" in said
    (base / "base.json").unlink()
    status, said = collect(file, option)
    assert status == 2
    assert "`base`: val_loss, test_loss, train_loss of the untrained base is no finite" in said
    assert not (tmp_path / "out" / "ledger").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("val_rows = 8", "val_rows = 500"), "`data.val_rows` wants 500 rows"),
        (("max_tokens = 48", "max_tokens = 4096"), "more than the 128 tokens"),
        (
            ("rank = [2, 4]", 'rank = [2]\ntarget_modules = ["q_proj", "q_proj, v_prj"]'),
            "'v_prj' names no module",
        ),
        (("generated_tasks = 400", 'path = "missing.jsonl"'), "no such file"),
    ],
)
def test_a_dry_run_refuses_what_a_start_refuses(write_campaign, collect, tmp_path, change, words):
    """The start before its first step, also where it is the last of the runs that is wrong."""
    file = write_campaign(change)
    for options in (("--dry-run",), ()):
        status, said = collect(file, *options)
        assert status == 2
        assert words in said.splitlines()[-1]
        assert "Traceback" not in said
    assert not (tmp_path / "out" / "ledger").exists()


def test_a_place_that_cannot_be_written_is_refused(write_campaign, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/below"):
        assert main([str(write_campaign()), "--out", str(tmp_path / out), "--dry-run"]) == 2
        assert "is a file; a folder is expected" in capsys.readouterr().err


def test_what_is_not_refused_can_be_sealed(write_campaign, tmp_path):
    """Names, seeds, factors and scores drawn at random; every run a failure, as the worst case."""
    torch.set_num_threads(1)
    file = write_campaign(("rank = [2, 4]", "rank = [2]"), ("lr = [1e-3, 1e-2]", "lr = [1e-3]"))
    known = read_campaign(file)
    bench = prepare(known, file, torch.device("cpu"))
    outcomes = set()

    @settings(max_examples=60, database=None)
    @given(
        name=st.text("ab0_.+-/ \u00e9\n", min_size=1, max_size=3),
        seeds=st.sets(st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**63]), min_size=1),
        factor=st.sampled_from([1e-300, 1.0, 1e300, 1e307]),
        scores=st.lists(st.sampled_from(["x", "x_stderr", "x_margin", "y|"]), unique=True),
    )
    def check(name, seeds, factor, scores):
        campaign = dataclasses.replace(
            known,
            name=name,
            seeds=tuple(seeds),
            diverged_factor=factor,
            score=tuple(dataclasses.replace(known.score[0], name=score) for score in scores),
        )
        untrained = {k: v for k, v in bench.untrained.items() if "score" not in k}
        untrained |= {f"score_{score}{end}": 0.5 for score in scores for end in ("", "_stderr")}
        try:
            check_sealable(campaign, file, untrained)
        except SpecError:
            outcomes.add("refused")
            return
        own = dataclasses.replace(bench, campaign=campaign, untrained=untrained)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        ledger = Ledger(open_storage(tmp_path / "out"), campaign.identity())
        sources = own.sources | {"scores": {key: {"chance": 0.0, "items": 8} for key in scores}}
        ledger.open(dataclasses.replace(own.header(), sources=sources))
        for task in plan(campaign, "peft", 1):
            recorder = Recorder(own, task.runs[0], engine="peft", pack_size=1, trainable=1)
            for step in campaign.checkpoints[1:]:
                recorder.checkpoint(step, bench.base, {}, failure="failed")
            ledger.append(task, [recorder.record()])
        table = seal(campaign, ledger, tmp_path / "out")
        assert Table.load(tmp_path / "out").metadata.name == name
        assert len(table.frame) == len(seeds) * len(campaign.checkpoints)
        outcomes.add("sealed")

    check()
    assert outcomes == {"refused", "sealed"}
