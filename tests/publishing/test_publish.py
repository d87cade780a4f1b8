"""What is published: whole or not at all, with sums, cards and licences; and it loads again."""

import dataclasses
import json
import re
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

import hpobench_llm
from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.cli import main
from hpobench_llm.console import one_line
from hpobench_llm.errors import DataError, HpobenchError, IntegrityError, UnknownNameError
from hpobench_llm.hub import Repository, repository_of
from hpobench_llm.locate import shipped
from hpobench_llm.publishing import pages
from hpobench_llm.publishing.cards import site_card
from hpobench_llm.tables.table import Table
from tests.publishing.hub_server import running

NASTY = "</script><script>alert(1)</script> [x](javascript:alert(1)) **b** | c"


FIGURE = {
    "name": "sizes",
    "caption": NASTY,
    "x": "width",
    "y": "size",
    "panels": {"<script>": {"a & b": [[1, 2], [2, 3]]}},
}


@pytest.fixture
def two(tmp_path, rows, seal_rows):
    """Two tables; the second says nasty things and states another licence."""
    folders = [seal_rows(tmp_path / "tables" / name, rows, name=name) for name in ("one", "two")]
    table = Table.load(folders[1])
    changed = dataclasses.replace(
        table.metadata,
        description=NASTY,
        licence="Apache-2.0",
        provenance=table.metadata.provenance | {"figures": [FIGURE]},
    )
    Table.write(folders[1], changed, table.frame)
    return folders


@pytest.fixture
def site(tmp_path, two):
    hpobench_llm.publish(tmp_path / "site", tables=two)
    return tmp_path / "site"


class Reader(HTMLParser):
    """Counts tags, and keeps links and scripts."""

    def __init__(self):
        super().__init__()
        self.links, self.scripts, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.links += [named[key] for key in ("href", "src") if key in named]
        self.scripts += [named.get("type")] if tag == "script" else []
        if tag not in ("meta", "link", "br", "hr", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read_page(path):
    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == []
    return reader


def test_every_page_is_sound_and_every_link_leads_somewhere(site):
    found = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    assert found == [
        "index.html",
        "leaderboard.html",
        "tables/one/index.html",
        "tables/two/index.html",
    ]
    for name in found:
        page = read_page(site / name)
        assert set(page.scripts) <= {"application/ld+json"}
        for link in page.links:
            assert (site / name).parent.joinpath(link).is_file(), (name, link)
    assert "sizes.svg" in read_page(site / "tables/two/index.html").links
    described = re.search(r"<script[^>]*>(.*?)</script>", (site / found[3]).read_text())[1]
    assert json.loads(described)["description"] == NASTY


def test_sums_and_licences_are_those_of_the_files(site):
    manifest = json.loads((site / "published.json").read_text())
    files = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    assert files == {*manifest["sha256"], "published.json"}
    for name, digest in manifest["sha256"].items():
        assert sha256_of_file(site / name) == digest
    for name, words in (("one", "Attribution 4.0 International"), ("two", "Apache License")):
        folder = site / "tables" / name
        assert words in (folder / "LICENSE").read_text()
        check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
        assert subprocess.run(check, cwd=folder, check=False).returncode == 0


def test_the_cards_of_a_hub_have_front_matter(site):
    yaml = pytest.importorskip("yaml")
    heads = {}
    for name in ("README.md", "tables/two/README.md"):
        _, head, body = (site / name).read_text().split("---\n", 2)
        heads[name] = yaml.safe_load(head)
        assert "<script" not in body
    assert heads["tables/two/README.md"]["license"] == "apache-2.0"
    assert heads["README.md"]["license"] == "other"
    configs = {one["config_name"]: one["data_files"] for one in heads["README.md"]["configs"]}
    assert configs == {name: f"tables/{name}/table.parquet" for name in ("one", "two")}
    assert all((site / file).is_file() for file in configs.values())


@pytest.fixture(scope="module")
def shipped_table():
    return Table.load(shipped("tables/lora-nano"))


@given(title=text(max_size=20))
@settings(max_examples=60)
def test_no_title_breaks_the_front_matter(shipped_table, title):
    yaml = pytest.importorskip("yaml")
    _, head, _ = site_card(title, [shipped_table], [], None).split("---\n", 2)
    assert yaml.safe_load(head)["pretty_name"] == one_line(title)


def test_what_was_published_loads_from_its_folder(site, two, monkeypatch):
    before = hpobench_llm.load(two[0])
    assert hpobench_llm.load(site / "tables" / "one").sha256 == before.sha256
    monkeypatch.setenv("HPOBENCH_LLM_DATA", str(site))
    assert hpobench_llm.load("two").optimum("val_loss") == before.optimum("val_loss")


def test_a_failure_leaves_what_was_there(site, two, monkeypatch):
    before = {p: p.read_bytes() for p in site.rglob("*") if p.is_file()}

    def fail(*_):
        raise OSError(28, "No space left on device", "leaderboard.html")

    monkeypatch.setattr(pages, "leaderboard_page", fail)
    assert main(["publish", str(site), "--table", str(two[0])]) == 2
    assert {p: p.read_bytes() for p in site.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in site.parent.iterdir()) == ["site", "tables"]
    monkeypatch.undo()
    assert main(["publish", str(site), "--table", str(two[0])]) == 0
    assert not (site / "tables" / "two").exists()


def test_what_cannot_be_published_is_named(tmp_path, two, capsys, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("")
    table = Table.load(two[1])
    unstated = dataclasses.replace(table.metadata, licence="not stated")
    Table.write(two[1], unstated, table.frame)
    one, other = map(str, two)
    for arguments, words in (
        ([tmp_path / "mine", "--table", one], "exists and is no earlier publication"),
        ([tmp_path / "file" / "site", "--table", one], "file: File exists"),
        ([tmp_path / "s", "--table", other], "its licence is 'not stated'"),
        ([tmp_path / "s", "--table", one, "--table", one], "two tables are called 'one'"),
        ([tmp_path / "s", "--table", "lara"], "unknown table 'lara'"),
        ([tmp_path / "s", "--table", one, "--study", tmp_path], "study.json: no such file"),
        ([tmp_path / "s", "--table", one, "--to", "hf://org"], "hf://org/name[@revision]"),
        ([tmp_path / "s", "--table", one, "--to", "s3://a/b"], "hf://org/name is expected"),
        ([tmp_path / "s", "--table", one, "--to", "hf://a/b/c"], "hf://org/name is expected"),
    ):
        assert main(["publish", *map(str, arguments)]) == 2
        last = capsys.readouterr().err.strip().splitlines()
        assert len(last) == 1
        assert words in last[0]
    assert not (tmp_path / "s").exists()
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    monkeypatch.setattr("hpobench_llm.publishing.site.list_artefacts", lambda _: {"two": two[1]})
    with pytest.raises(HpobenchError, match="no table that states a licence"):
        hpobench_llm.publish(tmp_path / "s")


def test_places_on_a_hub():
    assert repository_of("lora-nano") is None
    assert repository_of("hf://org/name") == Repository("org/name")
    assert repository_of("hf://org/na.me@v1/t-1") == Repository("org/na.me", "v1", "t-1")
    assert str(Repository("org/name", "main", "t")) == "hf://org/name@main/t"
    for wrong in ("hf://", "hf://org", "hf://org/../x", "hf://org/name/t/u", "hf://a b/c"):
        with pytest.raises(DataError, match="is expected"):
            repository_of(wrong)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with running() as (hub, address):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield hub


def test_there_and_back_through_a_hub(hub, tmp_path, two, capsys):
    out = str(tmp_path / "site")
    arguments = [word for folder in two for word in ("--table", str(folder))]
    assert main(["publish", out, *arguments, "--to", "hf://org/all"]) == 0
    assert "datasets/org/all/commit/" in capsys.readouterr().out
    (_, files) = hub.commits["org/all"]
    local = {p.relative_to(out).as_posix(): p for p in tmp_path.joinpath(out).rglob("*")}
    assert files == {name: path.read_bytes() for name, path in local.items() if path.is_file()}
    assert 'load("hf://org/all/one")' in files["README.md"].decode()
    assert hpobench_llm.load("hf://org/all/one").sha256 == hpobench_llm.load(two[0]).sha256
    with pytest.raises(UnknownNameError, match="known: one, two"):
        hpobench_llm.load("hf://org/all")
    with pytest.raises(DataError, match="hf://org/none: cannot be fetched"):
        hpobench_llm.load("hf://org/none")
    assert main(["publish", out, "--table", str(two[0]), "--to", "hf://org/all"]) == 0
    assert not [name for name in hub.files("org/all") if name.startswith("tables/two/")]
    assert hpobench_llm.load("hf://org/all").name == "one"


def test_what_a_hub_has_damaged_is_refused(hub, tmp_path, two):
    hpobench_llm.publish(tmp_path / "site", tables=two[:1], to="hf://org/one")
    files = hub.files("org/one")
    files["tables/one/table.parquet"] = files["tables/one/table.parquet"][:-9] + b"123456789"
    with pytest.raises(IntegrityError, match=r"table\.parquet: sha256 is"):
        hpobench_llm.load("hf://org/one")


@pytest.mark.parametrize("fault", ["refuse", "hang up"])
def test_a_hub_that_fails_has_nothing_half_published(hub, tmp_path, two, capsys, fault):
    hub.refuse_with, hub.hang_up = 403 * (fault == "refuse"), fault == "hang up"
    arguments = ["publish", str(tmp_path / "site"), "--table", str(two[0]), "--to", "hf://org/x"]
    assert main(arguments) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "error:" in one]
    assert "hf://org/x: not published: " in line
    assert ("the hub answers 403" in line) == (fault == "refuse")
    assert hub.commits["org/x"] == [{}]
    assert hpobench_llm.load(tmp_path / "site" / "tables" / "one").name == "one"
    hub.refuse_with, hub.hang_up = 0, False
    assert main(arguments) == 0
    assert "tables/one/table.json" in hub.files("org/x")


@pytest.mark.slow
def test_a_study_has_a_page_and_stands_on_the_leaderboard(tmp_path, two, capsys):
    study = tmp_path / "s.toml"
    study.write_text(
        f'name = "s"\ntitle = "A & <B>"\nbenchmarks = ["{two[0]}"]\n'
        'optimizers = ["random", "lr-sweep"]\nseeds = 2\nbudget = 5\n'
    )
    out = tmp_path / "study"
    assert main(["replay", str(study), "--out", str(out), "--processes", "1"]) == 0
    arguments = [str(tmp_path / "site"), "--table", str(two[0]), "--study", str(out)]
    assert main(["publish", *arguments]) == 2
    assert f"run hpobench-llm compare {out} first" in capsys.readouterr().err
    assert main(["compare", str(out)]) == 0
    assert main(["publish", *arguments]) == 0
    for name in ("studies/s/index.html", "leaderboard.html"):
        page = read_page(tmp_path / "site" / name)
        text = (tmp_path / "site" / name).read_text()
        assert text.count('<th scope="row">lr-sweep</th>') == 1
        assert all((tmp_path / "site" / name).parent.joinpath(k).is_file() for k in page.links)
    capsys.readouterr()
    assert main(["publish", arguments[0], "--table", str(two[1]), *arguments[3:]]) == 0
    assert "s holds values of one, published without their tables" in capsys.readouterr().err
    compared = json.loads((out / "comparison.json").read_text())
    broken = compared | {"benchmarks": [{}]}
    (out / "comparison.json").write_text(json.dumps(broken))
    assert main(["publish", *arguments]) == 2
    assert "comparison.json: cannot be published" in capsys.readouterr().err
