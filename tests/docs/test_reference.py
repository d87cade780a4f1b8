"""The site holds together: every key is explained, links and paths lead somewhere, it builds."""

import dataclasses
import importlib
import importlib.util
import os
import posixpath
import re
import subprocess
import sys
import tomllib

import pytest

from hpobench_llm.benchmarks.suite import Suite
from hpobench_llm.cli import parser
from hpobench_llm.collect.campaign.spec import Campaign
from hpobench_llm.collect.families import FAMILIES
from hpobench_llm.collect.lora.bases.spec import BaseSpec
from hpobench_llm.optimizers.catalogue import ENTRIES, WRAPPERS
from hpobench_llm.optimizers.registry import check_name
from hpobench_llm.spec import read_toml
from hpobench_llm.studies.study import StudySpec
from hpobench_llm.tables.importers.generic.spec import ImportSpec
from tests.docs.pages import DOCS, PAGES, ROOT, filled, making

keys = making().keys
SPECS = {
    **{kind: importlib.import_module(module).FAMILY.spec for kind, module in FAMILIES.items()},
    **{"study": StudySpec, "import": ImportSpec, "suite": Suite, "base": BaseSpec},
}
TABLES = {table for spec in SPECS.values() for _, table in keys.tables(spec)}


@pytest.mark.parametrize("cls", sorted(TABLES, key=str), ids=lambda cls: cls.__qualname__)
def test_a_docstring_says_what_each_key_means_and_names_no_other(cls):
    said = keys.descriptions(cls)
    names = {field.name for field in keys.keys_of(cls)}
    assert {name for name in names if not said.get(name, "").strip()} == set()
    assert set(said) - names == set()


def test_a_key_without_a_description_is_noticed():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Spec(Campaign):
        """A campaign.

        Args:
            said: what it is,
                on two lines.
        """

        said: int = 1
        unsaid: int = 2

    said = keys.descriptions(Spec)
    assert said["said"] == "what it is, on two lines."
    assert said["seeds"].startswith("distinct whole numbers")  # of the class above
    assert "unsaid" not in said
    with pytest.raises(KeyError, match="unsaid"):
        keys._lists(Spec)


@pytest.mark.parametrize(
    ("page", "specs"),
    [
        ("study", ["study"]),
        ("campaign", [*FAMILIES]),
        ("import", ["import"]),
        ("suite", ["suite"]),
        ("base", ["base"]),
    ],
)
def test_the_reference_names_every_key_and_its_default(page, specs):
    text = filled(f"reference/{page}")
    for spec in specs:
        for heading, table in keys.tables(SPECS[spec]):
            assert not heading or f"# `{heading}`\n" in text
            for field in keys.keys_of(table):
                assert re.search(rf"^`{field.name}` \(.+; .+\)\n: \S", text, re.MULTILINE)
    if page == "campaign":
        assert "`lr` (number; `0.001` if left out)\n: The peak learning rate of AdamW" in text
        assert '`steps_are` (`"passes"` or `"updates"`; `"passes"` if left out)' in text


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("collect/**/*.toml")), ids=lambda path: path.stem
)
def test_what_a_shipped_file_says_is_in_the_reference(path):
    text = filled("reference/base" if "architecture" in read_toml(path) else "reference/campaign")
    missing = [key for key in read_toml(path) if f"`{key}`" not in text]
    assert missing == []


def test_every_optimizer_has_a_place_and_a_word_on_how_it_works():
    text = filled("reference/optimizers")
    parts = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(ENTRIES)
    assert {name for name, part in parts.items() if len(part.strip().split("\n\n")) < 2} == set()
    for name, wrapper in WRAPPERS.items():
        assert f"`NAME+{name}:NUMBER`" in text
        check_name(f"random+{name}:{wrapper.default or 1}")


def test_every_command_and_option_is_there():
    text = filled("reference/commands")
    (commands,) = (action for action in parser()._actions if action.choices)
    for name, command in commands.choices.items():
        assert f"### hpobench-llm {name}\n" in text
        options = [option for action in command._actions for option in action.option_strings]
        missing = [each for each in options if f"`{each}" not in text]
        assert [each for each in missing if each not in ("-h", "--help")] == []
    assert "`--gpus-per-worker SHARE`" in text


def test_every_extra_is_listed_and_no_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| (`.*?) \|", filled("install"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert listed == set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_that_are_there(page):
    text = re.sub(r"^```.*?^```$", "", filled(page), flags=re.MULTILINE | re.DOTALL)
    headings = {title.strip("`") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not re.match(r"[a-z]+:", target):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            assert (DOCS / path).is_file(), target


def test_every_page_is_in_the_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}.*?```", index, re.DOTALL)
    listed = {line for tree in trees for line in tree.splitlines()}
    assert {page for page in PAGES if page not in listed} == {"index"}


READMES = sorted(
    [*ROOT.glob("*/README.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"], key=str
)


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_readme_lead_to_files_that_are_there(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", t)]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_walkthroughs_name_files_that_exist():
    files = [ROOT / "CONTRIBUTING.md", *DOCS.glob("extend/*.md")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    paths = re.findall(r"`((?:hpobench_llm|tests|benchmarks|collect|docs)/[\w./-]*)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "furo", "myst_parser")),
    reason="the group `docs` (sphinx, furo, myst-parser) is not installed",
)
def test_it_builds_without_a_warning_and_fetches_nothing(tmp_path):
    out = tmp_path / "site"
    options = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {str(path.relative_to(out).with_suffix("")) for path in out.rglob("*.html")} >= {*PAGES}
    fetched = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//"""
        r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//|url\(["']?(?:https?:)?//|@import"""
    )
    for path in out.rglob("*"):
        if path.suffix in (".html", ".css"):
            assert not fetched.search(path.read_text(encoding="utf-8")), path.name
