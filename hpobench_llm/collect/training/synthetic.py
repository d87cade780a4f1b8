"""Generated English for the demo and the tests: plain facts, and instructions about them.

Nothing here is real language. Seven families of small tasks have exact answers, so a benchmark
score exists that is right or wrong. `sentences` states the facts as prose (a base is pretrained on
it); `instructions` asks for them (a base is fine-tuned on it). Tables made of it say so.
"""

from collections.abc import Callable
from typing import TypedDict

import numpy as np
from numpy.random import Generator

ANIMALS = [
    "cat",
    "dog",
    "horse",
    "cow",
    "sheep",
    "goat",
    "fox",
    "wolf",
    "bear",
    "mouse",
    "duck",
    "hen",
    "owl",
    "frog",
    "snake",
    "fish",
]
TOOLS = [
    "hammer",
    "saw",
    "axe",
    "drill",
    "spade",
    "rake",
    "knife",
    "needle",
    "broom",
    "wrench",
    "file",
    "chisel",
]
FRUITS = ["apple", "pear", "plum", "peach", "cherry", "grape", "lemon", "melon", "fig", "orange"]
OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "old": "young",
    "fast": "slow",
    "high": "low",
    "wet": "dry",
    "light": "dark",
    "hard": "soft",
    "rich": "poor",
    "early": "late",
    "full": "empty",
    "loud": "quiet",
    "thick": "thin",
    "near": "far",
    "open": "shut",
    "sweet": "sour",
}
KINDS = {
    **dict.fromkeys(ANIMALS, "animal"),
    **dict.fromkeys(TOOLS, "tool"),
    **dict.fromkeys(FRUITS, "fruit"),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOUNS = ANIMALS + TOOLS + FRUITS


class GeneratedTask(TypedDict):
    """One generated task; `fact` is prose, the rest is Alpaca's form of a question."""

    family: str
    fact: str
    instruction: str
    input: str
    output: str


def _task(family: str, fact: str, instruction: str, argument: str, output: str) -> GeneratedTask:
    return GeneratedTask(
        family=family, fact=fact, instruction=instruction, input=argument, output=output
    )


def _addition(rng: Generator) -> GeneratedTask:
    a, b = (int(n) for n in rng.integers(0, 30, size=2))
    return _task(
        "addition", f"{a} plus {b} is {a + b}.", "Add the numbers.", f"{a} {b}", str(a + b)
    )


def _larger(rng: Generator) -> GeneratedTask:
    a, b = (int(n) for n in rng.choice(100, size=2, replace=False))
    fact = f"{max(a, b)} is larger than {min(a, b)}."
    return _task("larger", fact, "Name the larger number.", f"{a} {b}", str(max(a, b)))


def _next_letter(rng: Generator) -> GeneratedTask:
    length = int(rng.integers(1, 5))
    start = int(rng.integers(0, len(LETTERS) - length))
    shown, answer = " ".join(LETTERS[start : start + length]), LETTERS[start + length]
    return _task("next letter", f"{shown} {answer}", "Continue the letters.", shown, answer)


def _opposite(rng: Generator) -> GeneratedTask:
    pair = list(OPPOSITES.items())[int(rng.integers(len(OPPOSITES)))]
    word, other = pair if rng.integers(2) else pair[::-1]
    noun = str(rng.choice(NOUNS))
    fact = f"The {noun} is not {word}, it is {other}."
    return _task("opposite", fact, "Give the opposite.", f"a {word} {noun}", other)


def _kind(rng: Generator) -> GeneratedTask:
    noun = str(rng.choice(NOUNS))
    owner = str(rng.choice(sorted(OPPOSITES)))
    fact = f"A {owner} {noun} is a kind of {KINDS[noun]}."
    return _task(
        "kind", fact, "Is it an animal, a tool or a fruit?", f"a {owner} {noun}", KINDS[noun]
    )


def _last_word(rng: Generator) -> GeneratedTask:
    words = [str(w) for w in rng.choice(NOUNS, size=int(rng.integers(2, 5)), replace=False)]
    shown = " ".join(words)
    return _task(
        "last word", f"{shown}, and last {words[-1]}.", "Repeat the last word.", shown, words[-1]
    )


def _odd_one_out(rng: Generator) -> GeneratedTask:
    kinds = [ANIMALS, TOOLS, FRUITS]
    same, other = rng.choice(3, size=2, replace=False)
    words = [str(w) for w in rng.choice(kinds[same], size=2, replace=False)]
    odd = str(rng.choice(kinds[other]))
    words.insert(int(rng.integers(3)), odd)
    shown = " ".join(words)
    return _task(
        "odd one out", f"Of {shown} the odd one is {odd}.", "Find the odd one.", shown, odd
    )


FAMILIES: tuple[Callable[[Generator], GeneratedTask], ...] = (
    _addition,
    _larger,
    _next_letter,
    _opposite,
    _kind,
    _last_word,
    _odd_one_out,
)


def sentences(count: int, *, seed: int) -> list[str]:
    """Return `count` lines of about ten facts each, drawn with `seed`."""
    # The second number keeps these draws apart from those of `instructions`.
    rng = np.random.default_rng([seed, 1])
    return [
        " ".join(FAMILIES[rng.integers(len(FAMILIES))](rng)["fact"] for _ in range(10))
        for _ in range(count)
    ]


def instructions(count: int, *, seed: int) -> list[GeneratedTask]:
    """Return `count` tasks without a repeated question, the families in turn, drawn with `seed`.

    A family that has no new question left is passed over.
    """
    rng = np.random.default_rng([seed, 2])
    tasks: list[GeneratedTask] = []
    asked: set[tuple[str, str]] = set()
    while len(tasks) < count:
        before = len(tasks)
        for family in FAMILIES:
            # A family whose questions are nearly used up rarely draws a new one.
            for _ in range(50):
                task = family(rng)
                question = (task["instruction"], task["input"])
                if question not in asked:
                    asked.add(question)
                    tasks.append(task)
                    break
        if len(tasks) == before:  # no family has a new question left
            break
    return tasks[:count]
