"""Campaigns: the grid's runs, and every mistake named with file, key and value."""

import pytest

from hpobench_llm.collect.families import read_campaign
from hpobench_llm.errors import SpecError


def test_every_configuration_and_seed_is_a_run_once(write_campaign):
    campaign = read_campaign(write_campaign())
    runs = campaign.runs()
    assert len({run.run_id for run in runs}) == len(runs) == 2 * 2 * 2
    assert {(r.config["rank"], r.config["lr"], r.seed) for r in runs} == {
        (rank, lr, seed) for rank in (2, 4) for lr in (1e-3, 1e-2) for seed in (0, 1)
    }
    assert runs == campaign.runs()


def test_defaults_are_part_of_a_configuration(write_campaign):
    campaign = read_campaign(write_campaign(("[grid]", "[defaults]\ndropout = 0.2\n[grid]")))
    hyper = campaign.hyperparameters({"rank": 4, "lr": 1e-2})
    assert (hyper.rank, hyper.lr, hyper.dropout, hyper.clip_norm) == (4, 1e-2, 0.2, 1.0)


def test_a_licence_that_nobody_stated_is_none(write_campaign):
    assert read_campaign(write_campaign()).licence == "not stated"
    stated = read_campaign(write_campaign(("seeds = [0, 1]", 'seeds = [0, 1]\nlicence = "CC0"')))
    assert stated.licence == "CC0"


def test_the_recipe_knows_what_changes_a_number(write_campaign):
    plain = read_campaign(write_campaign()).identity()
    same = [("seeds = [0, 1]", "seeds = [0, 1, 2]"), ("rank = [2, 4]", "rank = [2, 4, 8]")]
    assert read_campaign(write_campaign(*same)).identity() == plain
    for change in (("val_rows = 8", "val_rows = 9"), ("[0, 2, 4]", "[0, 3, 4]")):
        assert read_campaign(write_campaign(change)).identity() != plain


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[grid]", "[grdi]", ["`grdi`", "unknown key", "did you mean 'grid'"]),
        ("rank = [2, 4]\nlr = [1e-3, 1e-2]", "", ["`grid` is empty"]),
        ("rank = [2, 4]", "rank = []", ["`grid` is empty"]),
        ("rank = [2, 4]", "rnak = [2, 4]", ["`grid.rnak`", "did you mean 'rank'"]),
        ("rank = [2, 4]", "rank = [4, 2]", ["`rank`", "must increase", "[4, 2]"]),
        ("rank = [2, 4]", "rank = [0, 4]", ["rank", "0", "outside its range"]),
        ("rank = [2, 4]", "rank = [2.5, 4]", ["`grid.rank`", "integer", "2.5"]),
        ("rank = [2, 4]", "rank = 2", ["`grid.rank`", "array", "2"]),
        ("rank = [2, 4]", "rank = [2, inf]", ["`grid.rank`", "finite", "inf"]),
        ("[grid]", "[defaults]\nlr = inf\n[grid]", ["`defaults`", "lr = inf"]),
        ("seeds = [0, 1]", "seeds = [-1]", ["`seeds`", "[-1]"]),
        ("lr = [1e-3, 1e-2]", "lr = [-1.0, 1e-2]", ["lr", "-1.0", "outside its range"]),
        ("[grid]", "[defaults]\ndropout = 1.5\n[grid]", ["`defaults`", "dropout = 1.5"]),
        ("seeds = [0, 1]", "seeds = [0, 0]", ["`seeds` must be distinct"]),
        ("checkpoints = [0, 2, 4]", "checkpoints = [2, 4]", ["`checkpoints` must start at 0"]),
        ("checkpoints = [0, 2, 4]", "checkpoints = [0, 4, 4]", ["must increase"]),
        ("checkpoints = [0, 4]", "checkpoints = [0, 3]", ["score exact", "[3]"]),
        ('kind = "exact-match"', 'kind = "exact"', ["`score[0].kind`", "'exact-match'"]),
        ("generated_tasks = 400", "", ["`data.source[0]`", "exactly one of"]),
        ("val_rows = 8", "val_rows = 0", ["`data`", "at least 1"]),
        ("max_tokens = 48", 'max_tokens = "48"', ["`data.max_tokens`", "an integer", "'48'"]),
        ('name = "mini"', "", ["`name`", "required"]),
    ],
)
def test_a_mistake_is_named(write_campaign, old, new, words):
    path = write_campaign((old, new))
    with pytest.raises(SpecError) as caught:
        read_campaign(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_repeats_add_seeds_to_a_part_of_the_grid(write_campaign):
    path = write_campaign(
        ("seeds = [0, 1]", "seeds = [0]"),
        (
            "[[score]]",
            "[[repeat]]\nseeds = [0, 1]\nfirst = 2\n\n"
            "[[repeat]]\nseeds = [5]\nconfigs = [{rank = 4, lr = 0.01}]\n\n[[score]]",
        ),
    )
    campaign = read_campaign(path)
    runs = campaign.runs()
    assert len(runs) == len({run.run_id for run in runs}) == 4 + 2 + 1
    assert [run.seed for run in runs] == [0, 0, 0, 0, 1, 1, 5]
    assert [run.config for run in runs[4:6]] == [run.config for run in runs[:2]]
    assert runs[6].config == {"rank": 4, "lr": 1e-2}


def test_names_are_an_axis_too(write_campaign):
    path = write_campaign(
        ("rank = [2, 4]", 'rank = [2]\ntarget_modules = ["q_proj,v_proj", "all-linear"]')
    )
    campaign = read_campaign(path)
    assert campaign.space.names == ("rank", "target_modules", "lr")
    chosen = {campaign.hyperparameters(r.config).target_modules for r in campaign.runs()}
    assert chosen == {"q_proj,v_proj", "all-linear"}


def test_a_list_of_modules_and_its_text_are_one_recipe(write_campaign):
    """Also with spaces: a name that is never found must not be one that is trained without."""
    campaigns = []
    for text in ('"q_proj, v_proj"', '["q_proj", "v_proj"]', '"q_proj,v_proj"'):
        change = ("rank = [2, 4]", f"rank = [2]\ntarget_modules = [{text}]")
        default = ("[grid]", f"[defaults]\ntarget_modules = {text}\n\n[grid]")
        campaigns.append((read_campaign(write_campaign(change)), write_campaign(default)))
    assert len({tuple(run.run_id for run in grid.runs()) for grid, _ in campaigns}) == 1
    defaults = [read_campaign(file) for _, file in campaigns]
    assert {campaign.defaults.target_modules for campaign in defaults} == {"q_proj,v_proj"}
    assert len({str(campaign.identity()) for campaign in defaults}) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lr = [1e-3, 1e-2]", "lr = [1e-3]\nbatch_rows = [8, 12]"), "batch_rows = 12"),
        (("checkpoints = [0, 2, 4]", "checkpoints = [0, 3, 4]\nstep_rows = 4"), "batch_rows = 8"),
        (("rank = [2, 4]", 'rank = [2]\nscaling = ["lora", "rs"]'), "neither lora nor rslora"),
        (("rank = [2, 4]", 'rank = ["two"]'), "a number is expected, got 'two'"),
        (("rank = [2, 4]", "rank = [2]\nscaling = [1]"), "a name is expected, got 1"),
        (
            ("rank = [2, 4]", "rank = [2]\ntarget_modules = [2]"),
            "a list of names is expected, got 2",
        ),
        (("rank = [2, 4]", 'rank = [2]\ntarget_modules = ["q,q"]'), "names a module twice"),
        (("rank = [2, 4]", "rank = [2]\ntarget_modules = [[]]"), "names no module"),
        (("val_rows = 8", "val_rows = 8\nval_subsets = [4, 8]"), "stay below val_rows"),
        (("val_rows = 8", "val_rows = 8\nleaked_rows = 65"), "between 0 and train_rows"),
        (("[[score]]", "[[repeat]]\nseeds = [1]\n[[score]]"), "`first`"),
        (
            ("[[score]]", "[[repeat]]\nseeds = [1]\nconfigs = [{rank = 3, lr = 0.01}]\n[[score]]"),
            "3 is not on its axis",
        ),
        (('kind = "exact-match"', 'kind = "exact-match"\ntask = "mmlu"'), "lm-eval alone"),
    ],
)
def test_a_rule_of_the_grid_is_named(write_campaign, change, words):
    with pytest.raises(SpecError) as caught:
        read_campaign(write_campaign(change))
    assert words in str(caught.value)
