"""Twelve optimizers are told apart by any eyes, on white and on dark."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from hpobench_llm.report.looks import PALETTE, dash_of, looks, numbers
from hpobench_llm.report.web.theme import themed, variables

LEAST = 11.0  # CIEDE2000; 2.3 is just noticed
PAGES = {"light": "#ffffff", "dark": "#16191d"}

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
EYES = {
    "usual": np.eye(3),
    "protanope": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranope": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
Colour = NDArray[np.float64]


def linear(colour: str) -> Colour:
    raw = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(raw <= 0.04045, raw / 12.92, ((raw + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    ratio = XYZ @ rgb / XYZ.sum(axis=1)
    edge = 6 / 29
    f = np.where(ratio > edge**3, np.cbrt(ratio), ratio / (3 * edge**2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one: Colour, other: Colour) -> float:
    """CIEDE2000, after Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grey = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = np.hypot(grey * a1, b1), np.hypot(grey * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, grey * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = h1 + turn / 2 if c1 * c2 else h1 + h2
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    waves = ((0.17, 1, -30), (-0.24, 2, 0), (-0.32, 3, 6), (0.2, 4, -63))
    t = 1 - sum(w * np.cos(np.radians(n * hue + at)) for w, n, at in waves)
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    around = 30 * np.exp(-((((hue % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(np.radians(2 * around))
    squares = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2
    return float(np.sqrt(squares + rotation * dc / sc * dh / sh))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_its_authors(one, other, expected):
    assert difference(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


def test_what_was_drawn_before_failed():
    """Two colours that reports once had, told apart by a protanope by 2.3 only."""
    one, other = (lab(EYES["protanope"] @ linear(c)) for c in ("#d55e00", "#a87400"))
    assert difference(one, other) < 3


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("mode", PAGES)
def test_any_two_of_twelve_colours_differ(eyes, mode):
    colours = [pair[[*PAGES].index(mode)] for pair in PALETTE]
    seen = {c: lab(np.clip(EYES[eyes] @ linear(c), 0, 1)) for c in colours}
    assert len(seen) == 12
    worst = min(combinations(colours, 2), key=lambda p: difference(seen[p[0]], seen[p[1]]))
    assert difference(seen[worst[0]], seen[worst[1]]) >= LEAST, worst


@pytest.mark.parametrize("mode", PAGES)
def test_lines_stand_out_from_their_page(mode):
    page = XYZ[1] @ linear(PAGES[mode])
    for pair in PALETTE:
        line = XYZ[1] @ linear(pair[[*PAGES].index(mode)])
        assert (max(line, page) + 0.05) / (min(line, page) + 0.05) >= 3


def test_optimizers_keep_their_look():
    assert looks(["random", "nomad"])["nomad"] == looks(["nomad", "other"])["nomad"]
    many = looks([f"optimizer-{i}" for i in range(40)])
    assert len(set(many.values())) == 40
    assert sorted(numbers([f"optimizer-{i}" for i in range(12)]).values()) == [*range(12)]
    assert {dash_of(n) for n in range(4)} == {*range(4)}


def test_a_drawing_takes_the_colours_of_its_page():
    assert themed('style="stroke: #d55e00; fill: #1f2328"') == (
        'style="stroke: var(--o1); fill: var(--ink)"'
    )
    assert themed('href="#d55e00"') == 'href="#d55e00"'
    assert themed("fill: #440154") == "fill: #440154"
    assert themed('<path d="M 1.23456 -0.999999" transform="scale(0.015625)"/>') == (
        '<path d="M 1.23 -0.99" transform="scale(0.015625)"/>'
    )
    light, dark = variables().split("@media")
    assert "--o1: #d55e00" in light
    assert "--o1: #ff8f4d" in dark
