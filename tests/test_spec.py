"""Specs: every key known, every value of its type, every message with file and key."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from hpobench_llm.errors import SpecError
from hpobench_llm.spec import read_spec, resolve_path


@dataclass(frozen=True)
class Inner:
    name: str
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be positive, got {self.size}")


@dataclass(frozen=True)
class Outer:
    title: str
    rate: float
    values: tuple[int | float, ...] = ()
    inner: Inner = Inner("x")
    many: tuple[Inner, ...] = ()
    grid: dict[str, tuple[int | float, ...]] = field(default_factory=dict)
    mode: Literal["fast", "slow"] = "fast"


def write(tmp_path, text):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    return path


def test_a_whole_spec_is_read(tmp_path):
    text = """
    title = "t"
    rate = 1
    values = [1, 2.5]
    mode = "slow"
    grid = { lr = [0.1, 1] }
    [inner]
    name = "a"
    [[many]]
    name = "b"
    size = 3
    """
    spec = read_spec(write(tmp_path, text), Outer)
    assert spec == Outer(
        "t", 1.0, (1, 2.5), Inner("a"), (Inner("b", 3),), {"lr": (0.1, 1)}, "slow"
    )
    assert isinstance(spec.rate, float)
    assert [type(value) for value in spec.values] == [int, float]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title = "t"\nrtae = 1', ["`rtae`", "unknown key", "did you mean 'rate'"]),
        ('title = "t"', ["`rate`", "required"]),
        ("title = 3\nrate = 1", ["`title`", "a string", "3"]),
        ('title = "t"\nrate = "x"', ["`rate`", "a number", "'x'"]),
        ('title = "t"\nrate = true', ["`rate`", "True"]),
        ('title = "t"\nrate = 1\nvalues = 3', ["`values`", "array", "3"]),
        ('title = "t"\nrate = 1\nvalues = [1, "a"]', ["`values[1]`", "'a'"]),
        ('title = "t"\nrate = 1\n[inner]\nname = "a"\nsize = 0', ["`inner`", "positive", "0"]),
        ('title = "t"\nrate = 1\n[[many]]\nsize = 1', ["`many[0].name`", "required"]),
        ('title = "t"\nrate = 1\nmode = "fats"', ["`mode`", "'fats'", "did you mean 'fast'"]),
        ('title = "t"\nrate = 1\ninner = 4', ["`inner`", "table", "4"]),
        ("title = ", ["not valid TOML"]),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        read_spec(path, Outer)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        read_spec(tmp_path / "none.toml", Outer)
    with pytest.raises(SpecError, match="is a folder"):
        read_spec(tmp_path, Outer)


def test_paths_start_at_the_spec_and_expand_variables(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.json").write_text("[]")
    file = tmp_path / "spec.toml"
    assert resolve_path("data/a.json", file=file, key="k") == tmp_path / "data" / "a.json"
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path / "data"))
    assert resolve_path("$SOME_FOLDER/a.json", file=file, key="k").name == "a.json"
    monkeypatch.delenv("SOME_FOLDER")
    with pytest.raises(SpecError, match=r"`k`.*SOME_FOLDER is not set"):
        resolve_path("$SOME_FOLDER/a.json", file=file, key="k")
    with pytest.raises(SpecError, match=r"`k`: no such file or folder"):
        resolve_path("data/b.json", file=file, key="k")


def test_a_spec_that_extends_another_says_what_differs(tmp_path):
    (tmp_path / "deep").mkdir()
    write(
        tmp_path / "deep", 'title = "t"\nrate = 1\n[inner]\nname = "n"\nsize = 2\n[grid]\na = [1]'
    )
    middle = 'extends = "deep/spec.toml"\nvalues = [1, 2]\n[grid]\nb = [2]'
    (tmp_path / "middle.toml").write_text(middle)
    path = write(
        tmp_path, 'extends = "middle.toml"\nvalues = [3]\n[inner]\nsize = 5\n[grid]\na = [9]'
    )
    spec = read_spec(path, Outer)
    assert spec == Outer("t", 1.0, (3,), Inner("n", 5), grid={"a": (9,), "b": (2,)})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("3", "`extends`: expected a string, got 3"),
        ('"none.toml"', "`extends`: no such file"),
        ('"spec.toml"', "`extends`: 'spec.toml' extends this file in turn"),
        ('"bad.toml"', r"bad.toml: not valid TOML"),
    ],
)
def test_what_cannot_be_extended_is_named(tmp_path, value, words):
    (tmp_path / "bad.toml").write_text("=")
    with pytest.raises(SpecError, match=words):
        read_spec(write(tmp_path, f"extends = {value}"), Outer)
