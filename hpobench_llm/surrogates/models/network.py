"""A small ensemble of multi-layer perceptrons, fitted by scikit-learn, evaluated as arrays.

One network answers all targets of a group, so ten metrics cost about what one costs. Tanh rather
than ReLU: a surrogate is there to be asked between the measured points, and should be smooth.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpobench_llm.surrogates.models.base import (
    FloatArray,
    ModelFamily,
    check_shapes,
    pack,
    row_by_row,
    size_of,
    unpack,
)

MEMBERS, WIDTH, EPOCHS, RATE, DECAY = 3, 48, 200, 3e-3, 1e-4
STEPS, LEAST_BATCH, MOST_BATCH = 8, 16, 200  # an epoch's steps, where batches of this size do


@dataclass(frozen=True, eq=False)
class Network:
    """The members side by side: the outer layers are one product, the middle one a product each.

    Shapes: `first (d, members * width)`, `middle (members, width, width)`,
    `last (members * width, targets)`; the mean over the members is part of `last`. It is
    evaluated in single precision, which is off by about 1e-6 of a target's standard deviation
    and takes a quarter of the time.
    """

    first: FloatArray
    first_bias: FloatArray
    middle: FloatArray
    middle_bias: FloatArray
    last: FloatArray
    last_bias: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """See `Model.predict`. Every row is its own product (see `rowwise`)."""
        first, first_bias, middle, middle_bias, last = self._single
        count, (members, width, _) = len(features), middle.shape
        rows = row_by_row(features).astype(np.float32)
        hidden = rows[:, None, :] @ first
        hidden += first_bias
        np.tanh(hidden, out=hidden)
        hidden = hidden.reshape(count, members, 1, width) @ middle
        hidden += middle_bias
        np.tanh(hidden, out=hidden)
        # The bias is added in double precision, where large offsets keep their digits.
        answer: FloatArray = (hidden.reshape(count, 1, members * width) @ last)[:, 0, :]
        return answer + self.last_bias

    @cached_property
    def _single(self) -> tuple[NDArray[np.float32], ...]:
        arrays = (self.first, self.first_bias, self.middle, self.middle_bias, self.last)
        return tuple(array.astype(np.float32) for array in arrays)

    def files(self) -> dict[str, bytes]:
        """See `Model.files`."""
        return pack(**{name: getattr(self, name) for name in _ARRAYS})

    def targets(self, inputs: int) -> int:
        """See `Model.targets`."""
        members, width, targets = (
            size_of(self.middle, 0),
            size_of(self.middle, 1),
            size_of(self.last, 1),
        )
        shapes: dict[str, tuple[int, ...]] = {
            "first": (inputs, members * width),
            "first_bias": (members * width,),
            "middle": (members, width, width),
            "middle_bias": (members, 1, width),
            "last": (members * width, targets),
            "last_bias": (targets,),
        }
        check_shapes({name: getattr(self, name) for name in _ARRAYS}, shapes)
        return targets


_ARRAYS = tuple(field.name for field in fields(Network))


def joined(
    parts: Sequence[tuple[Network, NDArray[np.intp], FloatArray, FloatArray]],
) -> Network:
    """Return one network that answers what several do, side by side.

    One that was fitted to fewer features than others sees the first of theirs. Each part is a
    network, the targets of it that are kept, and the offset and the scale `(kept,)` of its
    answers, which become part of the last layer. Asking it costs little more than asking one of
    them.
    """
    width = sum(len(kept) for _, kept, _, _ in parts)
    rows = sum(len(network.last) for network, _, _, _ in parts)
    last, bias = np.zeros((rows, width)), np.zeros(width)
    row = column = 0
    for network, kept, offset, scale in parts:
        to_row, to_column = row + len(network.last), column + len(kept)
        last[row:to_row, column:to_column] = network.last[:, kept] * scale
        bias[column:to_column] = network.last_bias[kept] * scale + offset
        row, column = to_row, to_column
    networks = [network for network, _, _, _ in parts]
    inputs = max(len(network.first) for network in networks)
    return Network(
        np.hstack([np.pad(n.first, ((0, inputs - len(n.first)), (0, 0))) for n in networks]),
        np.hstack([network.first_bias for network in networks]),
        np.concatenate([network.middle for network in networks]),
        np.concatenate([network.middle_bias for network in networks]),
        last,
        bias,
    )


def fit_network(features: FloatArray, targets: FloatArray, seed: int) -> Network:
    """Fit the members from different starting weights on the same rows (Adam, no early stop)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    batch = min(max(len(features) // STEPS, LEAST_BATCH), MOST_BATCH)
    members = []
    for number in range(MEMBERS):
        member = MLPRegressor(
            hidden_layer_sizes=(WIDTH, WIDTH),
            activation="tanh",
            alpha=DECAY,
            batch_size=min(batch, len(features)),
            learning_rate_init=RATE,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,
            random_state=seed * MEMBERS + number,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are fixed
            # A single target as a vector: scikit-learn warns of a column.
            member.fit(features * 2.0 - 1.0, targets if targets.shape[1] > 1 else targets[:, 0])
        members.append((member.coefs_, member.intercepts_))
    # The move from [0, 1] to [-1, 1] becomes part of the first layer.
    first = np.hstack([weights[0] for weights, _ in members])
    first_bias = np.hstack([bias[0] for _, bias in members]) - first.sum(axis=0)
    return Network(
        first=2.0 * first,
        first_bias=first_bias,
        middle=np.stack([weights[1] for weights, _ in members]),
        middle_bias=np.stack([bias[1][None, :] for _, bias in members]),
        last=np.vstack([weights[2] for weights, _ in members]) / MEMBERS,
        last_bias=np.mean([bias[2] for _, bias in members], axis=0),
    )


NETWORK = ModelFamily(
    "network",
    f"{MEMBERS} perceptrons of two layers of {WIDTH}, tanh",
    fit=fit_network,
    read=lambda files: Network(*unpack(files, *_ARRAYS)),
    module="sklearn",
)
