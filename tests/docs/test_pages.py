"""Every page keeps its word: its commands end well, its programs run and print what they say."""

import shutil

import pytest

from hpobench_llm.locate import shipped
from tests.docs.pages import PAGES, follow, runs

TO_RUN = [page for page in PAGES if runs(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", TO_RUN)
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch):
    for library in ("torch", "lightgbm"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    shutil.copytree(shipped("collect/bases/tiny"), tmp_path / "tiny")  # own-campaign has it beside
    follow(page)


def test_most_pages_have_something_to_run():
    assert len(TO_RUN) > 12
    assert {"first", "stages/collect", "stages/replay", "stages/import"} <= {*TO_RUN}
