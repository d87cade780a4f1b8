"""Every family keeps the one contract, and the networks are as good joined as alone."""

import numpy as np
import pytest

from hpobench_llm.errors import IntegrityError
from hpobench_llm.surrogates.models import FAMILIES
from hpobench_llm.surrogates.models.network import joined

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
