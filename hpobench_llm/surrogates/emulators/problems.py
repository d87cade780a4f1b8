"""BoLT's problems on spaces of ours: what an optimizer may ask, and what a network is then asked.

BoLT, arXiv 2605.17000; read in the package `bolt-bench` 0.2.0 (MIT). Its learning rate and dropout
are only known scaled to [0, 1], its choices of target modules by number; batch, rank and alpha
are powers of two here, whose exponents are BoLT's. Noise is the standard deviation between seeds
that BoLT's authors measured.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpobench_llm.metrics import Fidelity, Metric
from hpobench_llm.space import Categorical, Float, Integer, Ordinal, Simplex, Space, Value
from hpobench_llm.surrogates.models.base import FloatArray

Networks = Sequence[Any]  # the perceptrons of a problem, in the order of `networks`
AnswerFunction = Callable[[Networks, FloatArray, tuple[int | float, ...]], FloatArray]

FIRST_TOKENS, TOKENS = 100_000, 9_000_000  # where fidelity 0 lies, and how far it is to 1
STEP = 0.056  # of the fidelity: where BoLT looks at a curve for its best checkpoint so far
MODULES = tuple(f"choice-{number}" for number in range(4))
SHARES = (("if_1", "math_1", "code_1"), ("if_2", "math_2", "code_2"))

HPO = Space(
    (
        Float("lr_normalised", 0.0, 1.0),
        Ordinal("batch_size", (4, 8, 16), log=True),
        Ordinal("rank", (4, 8, 16, 32), log=True),
        Ordinal("lora_alpha", (4, 8, 16, 32), log=True),
        Float("dropout_normalised", 0.0, 1.0),
        Integer("layers", 1, 30),
        Categorical("target_modules", MODULES),
    )
)
MIXTURE = Space(
    tuple(Float(name, 0.0, 1.0, unit="share of rows") for name in (*SHARES[0], *SHARES[1])),
    (Simplex("first_half", SHARES[0]), Simplex("second_half", SHARES[1])),
)


def _score(name: str) -> Metric:
    return Metric(
        name=f"score_{name}",
        unit="share of items",
        direction="maximize",
        worst=0.0,
        role="score",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoltProblem:
    """One of BoLT's problems: its space and metrics, and the published folders of its networks.

    `noise_network` is a regression of the noise of the metric `noisy`, where there is one. Where
    there are several metrics the first is the mean of the others.
    """

    name: str
    space: Space
    fidelities: tuple[Fidelity, ...]
    metrics: tuple[Metric, ...]
    noise: tuple[float, ...]
    networks: tuple[str, ...]
    outputs: int
    encode: Callable[[Mapping[str, Value]], list[float]]
    answers: AnswerFunction
    noise_network: str = ""
    noisy: str = ""

    @property
    def inputs(self) -> int:
        """How many features a network takes."""
        return 11 if self.space is HPO else 6

    def consistent(self, values: FloatArray) -> FloatArray:
        """Return metrics (n, m) with the first as the mean of the others, if there are any."""
        if values.shape[1] == 1:
            return values
        return np.column_stack([values[:, 1:].mean(axis=1), values[:, 1:]])


def _encode_hpo(config: Mapping[str, Value]) -> list[float]:
    """Return a configuration as the networks see it, the tokens at their end."""
    batch, rank, alpha = (float(config[n]) for n in ("batch_size", "rank", "lora_alpha"))
    numbers = [
        float(config["lr_normalised"]),
        (np.log2(batch) - 2) / 2,
        (np.log2(rank) - 2) / 3,
        (np.log2(alpha) - 2) / 3,
        float(config["dropout_normalised"]),
        (float(config["layers"]) - 1) / 29,
    ]
    return [*numbers, *(float(config["target_modules"] == name) for name in MODULES), 1.0]


def _encode_mixture(config: Mapping[str, Value]) -> list[float]:
    return [float(config[name]) for name in MIXTURE.names]


def _in_full(networks: Networks, x: FloatArray, level: tuple[int | float, ...]) -> FloatArray:
    answer: FloatArray = networks[0].predict(x)
    return answer


def _best_so_far(networks: Networks, x: FloatArray, level: tuple[int | float, ...]) -> FloatArray:
    """Return the best score of the curve at BoLT's steps up to the tokens, the end included."""
    end = (level[0] - FIRST_TOKENS) / TOKENS
    steps = [STEP * k for k in range(1, 18) if STEP * k < end]
    shares = [*steps, end]
    curves = np.repeat(x, len(shares), axis=0)
    curves[:, -1] = np.tile(shares, len(x))  # the last feature is the share of the tokens
    scores = networks[0].predict(curves).reshape(len(x), len(shares), -1)
    best: FloatArray = scores.max(axis=1)
    return best


def _by_model(networks: Networks, x: FloatArray, level: tuple[int | float, ...]) -> FloatArray:
    answer: FloatArray = networks[(4, 8).index(int(level[0]))].predict(x)
    return answer


def _with_mean(networks: Networks, x: FloatArray, level: tuple[int | float, ...]) -> FloatArray:
    scores = networks[0].predict(x)
    return np.column_stack([scores.mean(axis=1), scores])


_LEVELS = tuple(round(FIRST_TOKENS + STEP * k * TOKENS) for k in range(18))
_MATH = (_score("math500"),)
_HPO: dict[str, Any] = {"space": HPO, "metrics": _MATH, "outputs": 1, "encode": _encode_hpo}

PROBLEMS = {
    problem.name: problem
    for problem in (
        BoltProblem(
            name="bolt-hpo",
            fidelities=(),
            noise=(0.0290,),
            networks=("hpo_qwen8b_emulator",),
            answers=_in_full,
            **_HPO,
        ),
        BoltProblem(
            name="bolt-hpo-tokens",
            fidelities=(Fidelity(name="tokens", unit="tokens", values=(*_LEVELS, 9_100_000)),),
            noise=(0.0220,),
            networks=("hpo_qwen8b_emulator",),
            answers=_best_so_far,
            **_HPO,
        ),
        BoltProblem(
            name="bolt-hpo-model",
            fidelities=(Fidelity(name="model", unit="billion parameters", values=(4, 8)),),
            noise=(0.0290,),
            networks=("hpo_qwen4b_emulator", "hpo_qwen8b_emulator"),
            answers=_by_model,
            **_HPO,
        ),
        BoltProblem(
            name="bolt-mixture",
            space=MIXTURE,
            fidelities=(),
            metrics=tuple(_score(n) for n in ("mean", "ifeval", "math500", "mbpp_plus")),
            noise=(math.nan, 0.0131, 0.0274, 0.0101),  # of the mean it follows from the others
            networks=("dm_qwen4b_emulator",),
            outputs=3,
            encode=_encode_mixture,
            answers=_with_mean,
            noise_network="dm_qwen4b_noise_emulator",
            noisy="score_math500",
        ),
    )
}
