"""Every family keeps the one contract, and the networks are as good joined as alone."""

import sys

import numpy as np
import pytest

from hpobench_llm.errors import IntegrityError
from hpobench_llm.surrogates.models import FAMILIES, ridge, trees
from hpobench_llm.surrogates.models.base import pack
from hpobench_llm.surrogates.models.network import joined
from hpobench_llm.surrogates.models.ridge import MOST_MONOMIALS, fit_polynomial

RNG = np.random.default_rng(0)
X = RNG.random((200, 3))
# zero mean and unit variance, as the contract says
Y = np.column_stack([X[:, 0] + 0.5 * X[:, 1], np.sin(3 * X[:, 2])])
Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request, quick):
    family = FAMILIES[request.param]
    return family, family.fit(X, Y, 0)


def test_it_learns_a_smooth_function(fitted):
    _, model = fitted
    new = RNG.random((100, 3))
    truth = np.column_stack([new[:, 0] + 0.5 * new[:, 1], np.sin(3 * new[:, 2])])
    for column in range(2):
        found = np.corrcoef(truth[:, column], model.predict(new)[:, column])[0, 1]
        assert found > 0.95


def test_a_row_alone_and_among_others_agree_to_the_bit(fitted):
    _, model = fitted
    new = RNG.random((333, 3))
    many = model.predict(new)
    assert many.shape == (333, 2)
    for row in (0, 1, 7, 332):
        assert np.array_equal(model.predict(new[row : row + 1]), many[row : row + 1])
    assert np.array_equal(model.predict(new[5:9]), many[5:9])


def test_what_is_read_back_predicts_to_the_bit(fitted):
    family, model = fitted
    again = family.read(model.files())
    new = RNG.random((50, 3))
    assert np.array_equal(again.predict(new), model.predict(new))
    assert model.files() == family.fit(X, Y, 0).files()  # the same fit, the same bytes


def test_foreign_files_are_refused(fitted):
    family, model = fitted
    with pytest.raises(IntegrityError):
        family.read({name: b"hello" for name in model.files()})
    with pytest.raises(IntegrityError):
        family.read({"other": b""})


def test_no_archive_can_hide_code(quick):
    import io

    sink = io.BytesIO()
    np.savez(sink, weights=np.array([print], dtype=object), degree=np.array([1.0]))
    with pytest.raises(IntegrityError, match="weights"):
        FAMILIES["ridge"].read({"npz": sink.getvalue()})


def test_joined_networks_answer_what_each_does_alone(quick):
    one, other = (FAMILIES["network"].fit(X, Y, seed) for seed in (0, 1))
    both = joined(
        [
            (one, np.array([1]), np.array([3.0]), np.array([2.0])),
            (other, np.array([0, 1]), np.array([0.0, -1.0]), np.array([1.0, 0.5])),
        ]
    )
    alone = np.column_stack(
        [one.predict(X)[:, 1] * 2.0 + 3.0, other.predict(X) * [1.0, 0.5] + [0.0, -1.0]]
    )
    assert both.predict(X) == pytest.approx(alone, abs=2e-5)  # in single precision


@pytest.mark.parametrize(("rows", "features", "levels"), [(300, 4, 0), (25, 2, 0), (800, 12, 5)])
def test_trees_answer_what_lightgbm_does(rows, features, levels):
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(rows)
    x = rng.random((rows, features))
    x = np.round(x * levels) / levels if levels else x  # rows on both sides of no threshold
    y = np.column_stack([np.sin(5 * x[:, 0]), x[:, 1] * x[:, 0], np.zeros(rows)])
    settings = trees.SETTINGS | {"seed": 3}
    boosters = [
        lightgbm.train(settings, lightgbm.Dataset(x, column), num_boost_round=trees.ROUNDS)
        for column in y.T
    ]
    new = np.vstack([x, rng.random((200, features)), np.full((1, features), 7.0)])
    theirs = np.column_stack([booster.predict(new) for booster in boosters])
    assert trees.fit_trees(x, y, 3).predict(new) == pytest.approx(theirs, abs=1e-12)


def test_trees_are_read_without_their_library(quick, monkeypatch):
    files = FAMILIES["trees"].fit(X, Y, 0).files()
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert FAMILIES["trees"].read(files).targets(3) == 2


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("feature", 1, 3.0, "`feature`: whole numbers from 0 to 2"),
        ("feature", 1, -1.0, "`feature`"),
        ("feature", 1, 0.5, "`feature`"),
        ("left", 1, 1e9, "`left`"),
        ("right", 1, 0.0, "do not stand behind"),
        ("left", 1, 1.0, "do not stand behind"),
        ("roots", 0, -1.0, "`roots`"),
        ("value", 5, np.nan, "finite"),
        ("threshold", 1, np.inf, "finite"),
    ],
)
def test_forged_trees_are_refused(name, place, value, words):
    """Whatever would send a row in circles or out of the arrays ended the interpreter once."""
    model = FAMILIES["trees"].fit(X, Y, 0)
    arrays = {n: getattr(model, n).copy() for n in trees._ARRAYS}
    arrays[name].flat[place] = value
    with pytest.raises(IntegrityError, match=words):
        FAMILIES["trees"].read(pack(**arrays)).targets(3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left_child=", "left_child=99 "),
        ("split_feature=", "split_feature=x "),
        ("leaf_value=", "leaf_value=1e999 1 "),
        ("decision_type=2", "decision_type=1"),
        ("\nTree=0", "\nTree0"),
        ("threshold=", "threshold=nan "),
        ("tree\n", "wood\n"),
        ("left_child=", "left_child=1e400 "),
    ],
)
def test_forged_texts_of_trees_are_refused(old, new):
    lightgbm = pytest.importorskip("lightgbm")
    settings = trees.SETTINGS | {"num_leaves": 4}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, Y[:, 0]), num_boost_round=1)
    text = booster.model_to_string()
    read = FAMILIES["trees"].read
    assert read({"0.txt": text.encode()}).predict(X)[:, 0] == pytest.approx(booster.predict(X))
    with pytest.raises(IntegrityError):
        read({"0.txt": text.replace(old, new, 1).encode()}).targets(3)


def test_a_model_of_another_width_is_refused(fitted):
    _, model = fitted
    assert model.targets(3) == 2
    with pytest.raises(IntegrityError):
        model.targets(2)


@pytest.mark.parametrize("features", [3, 16, 40, 300])
def test_monomials_are_bounded(features):
    rng = np.random.default_rng(0)
    x = rng.random((200, features))
    model = FAMILIES["ridge"].fit(x, x[:, :1], 0)
    assert len(model.weights) <= max(MOST_MONOMIALS, 1 + features)
    assert bool(FAMILIES["ridge"].simplified(features)) == (features > 12)
    assert np.corrcoef(model.predict(x)[:, 0], x[:, 0])[0, 1] > 0.9


def test_many_rows_are_fitted_in_parts(monkeypatch):
    whole = fit_polynomial(X, Y, 2)
    monkeypatch.setattr(ridge, "_ROWS_AT_ONCE", 17)
    parts = fit_polynomial(X, Y, 2)
    assert parts.weights == pytest.approx(whole.weights, rel=1e-9)
    in_parts = parts.predict(X)
    monkeypatch.undo()
    assert np.array_equal(in_parts, parts.predict(X))
