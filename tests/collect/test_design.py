"""The order of a grid and its packs: every run once, every beginning balanced."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench_llm.collect.campaign.design import spread
from hpobench_llm.collect.families import read_campaign
from hpobench_llm.collect.lora.packs import plan, rank_class
from hpobench_llm.space import Categorical, Ordinal, Space

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def grid(sizes):
    return Space(
        tuple(
            Categorical(f"x{i}", tuple("abcdef"[:size]))
            if i % 2
            else Ordinal(f"x{i}", tuple(range(size)))
            for i, size in enumerate(sizes)
        )
    )


@given(SIZES)
def test_every_configuration_comes_once(sizes):
    space = grid(sizes)
    order = spread(space)
    assert len(order) == len({space.config_id(c) for c in order})
    assert {space.config_id(c) for c in order} == {
        space.config_id(c) for c in space.configurations()
    }
    assert order == spread(space)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.5])
def test_every_beginning_is_balanced_on_every_axis(share):
    """Against a random order, in which the rarest level has far less than its share."""
    space = grid([4, 4, 3, 5, 4])
    order = spread(space)[: int(share * 960)]
    for dimension in space:
        counts = Counter(config[dimension.name] for config in order)
        expected = len(order) / len(dimension.values)
        assert len(counts) == len(dimension.values)
        assert min(counts.values()) >= 0.8 * expected
        assert max(counts.values()) <= 1.25 * expected


@pytest.mark.parametrize("pack_size", [1, 3, 16])
def test_every_run_is_in_one_pack_of_its_kind(write_campaign, pack_size):
    file = write_campaign(
        ("rank = [2, 4]", "rank = [1, 2, 4, 16]\ndropout = [0.0, 0.1]"),
    )
    campaign = read_campaign(file)
    tasks = plan(campaign, "packed", pack_size)
    packed = [run for task in tasks if task.kind == "runs" for run in task.runs]
    assert sorted(r.run_id for r in packed) == sorted(r.run_id for r in campaign.runs())
    for task in tasks:
        hypers = [campaign.hyperparameters(run.config) for run in task.runs]
        assert len(task.runs) <= pack_size
        assert len({rank_class(h.rank) for h in hypers}) == 1
        assert len({h.dropout > 0 for h in hypers}) == 1
        assert len({run.seed for run in task.runs}) == 1
    solo = [task for task in tasks if task.kind == "solo"]
    assert len(solo) == (4 * 2 * campaign.solo_runs if pack_size > 1 else 0)
    assert len({task.task_id for task in tasks}) == len(tasks)
    assert [t.engine for t in plan(campaign, "peft", 1)] == ["peft"] * len(packed)


@pytest.mark.parametrize(("rank", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (33, 64)])
def test_ranks_of_one_class_are_within_a_factor_of_two(rank, expected):
    assert rank_class(rank) == expected
