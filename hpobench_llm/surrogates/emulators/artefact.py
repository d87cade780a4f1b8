"""An imported emulator, and how it lies on disk.

`emulator.json` names its problem, the files it was made of with their SHA-256, and `weights.npz`,
a NumPy archive without pickle; it closes with a sum over itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpobench_llm.artefacts import (
    canonical_json,
    read_json,
    sha256_of_bytes,
    sha256_of_text,
    write_atomically,
    write_json,
)
from hpobench_llm.errors import IntegrityError
from hpobench_llm.plain import Json
from hpobench_llm.space import Value
from hpobench_llm.surrogates.emulators.networks import Kernel, Perceptron
from hpobench_llm.surrogates.emulators.problems import PROBLEMS, BoltProblem
from hpobench_llm.surrogates.files import verified
from hpobench_llm.surrogates.models.base import FloatArray, pack, unpack

FORMAT = 1
EMULATOR_FILE, WEIGHTS_FILE = "emulator.json", "weights.npz"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Emulator:
    """The networks of a problem, the regression of its noise if there is one, and their origin."""

    problem: BoltProblem
    networks: tuple[Perceptron, ...]
    kernel: Kernel | None
    origin: Mapping[str, Json]

    def answers(
        self, configs: Sequence[Mapping[str, Value]], level: tuple[int | float, ...]
    ) -> FloatArray:
        """Return the metrics (n, m) of canonical configurations at a fidelity."""
        features = self._features(configs)
        return self.problem.answers(self.networks, features, level)

    def deviations(self, configs: Sequence[Mapping[str, Value]]) -> FloatArray:
        """Return the standard deviation (n, m) of each metric between seeds."""
        deviations = np.tile(self.problem.noise, (len(configs), 1))
        if self.kernel is not None:
            names = [metric.name for metric in self.problem.metrics]
            # A regression may fall below 0, where there is no deviation.
            predicted = np.maximum(self.kernel.predict(self._features(configs)), 1e-6)
            deviations[:, names.index(self.problem.noisy)] = predicted
        scores = deviations[:, 1:]
        if scores.shape[1]:  # the first metric is their mean, and their noise is not correlated
            deviations[:, 0] = np.sqrt((scores**2).sum(axis=1)) / scores.shape[1]
        return deviations

    def _features(self, configs: Sequence[Mapping[str, Value]]) -> FloatArray:
        return np.array([self.problem.encode(config) for config in configs], dtype=np.float64)

    def write(self, folder: Path) -> Path:
        """Write both files; the one that names the other comes last."""
        body, weights = self._body()
        write_atomically(folder / WEIGHTS_FILE, weights)
        write_json(folder / EMULATOR_FILE, body | {"sum": sha256_of_text(canonical_json(body))})
        return folder

    @property
    def sha256(self) -> str:
        """The sum of all that its answers follow from."""
        return sha256_of_text(canonical_json(self._body()[0]))

    def _body(self) -> tuple[dict[str, Json], bytes]:
        arrays: dict[str, FloatArray] = {}
        for number, network in enumerate(self.networks):
            state = network.tensors | {"mean": network.mean, "scale": network.scale}
            arrays |= {f"{number}/{name}": array for name, array in state.items()}
        if self.kernel is not None:
            arrays |= {"X_fit": self.kernel.centres, "dual_coef": self.kernel.weights}
        (weights,) = pack(**arrays).values()
        body: dict[str, Json] = {
            "format": FORMAT,
            "problem": self.problem.name,
            "origin": self.origin,
            "arrays": list(arrays),
            "gamma": None if self.kernel is None else self.kernel.gamma,
            "sha256": {WEIGHTS_FILE: sha256_of_bytes(weights)},
        }
        return body, weights

    @staticmethod
    def load(folder: str | Path) -> "Emulator":
        """Read and verify an emulator.

        Raises:
            IntegrityError: a file is missing, damaged, or of another format.
        """
        path = Path(folder) / EMULATOR_FILE
        raw = read_json(path)
        try:
            body = {key: value for key, value in raw.items() if key != "sum"}
            if raw["format"] != FORMAT or raw["problem"] not in PROBLEMS:
                raise IntegrityError(f"no emulator of format {FORMAT} that is known here")
            if raw["sum"] != sha256_of_text(canonical_json(body)):
                raise IntegrityError("was changed after it was written: its sum differs")
            digest = raw["sha256"][WEIGHTS_FILE]
            content = verified(path.parent, WEIGHTS_FILE, digest, EMULATOR_FILE)
            names = [str(name) for name in raw["arrays"]]
            arrays = dict(zip(names, unpack({"npz": content}, *names), strict=True))
            return _assembled(PROBLEMS[raw["problem"]], arrays, raw)
        except IntegrityError as error:
            raise IntegrityError(f"{path}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise IntegrityError(f"{path}: not complete: {error!r}") from None


def _assembled(problem: BoltProblem, arrays: Mapping[str, FloatArray], raw: Any) -> Emulator:
    networks = []
    for number in range(len(problem.networks)):
        prefix = f"{number}/"  # as `_body` names the arrays of each network
        state = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        mean, scale = state.pop("mean"), state.pop("scale")
        networks.append(Perceptron.of(state, mean, scale, problem.inputs))
    kernel = None
    if raw["gamma"] is not None:
        parts = {name: arrays[name] for name in ("X_fit", "dual_coef")}
        kernel = Kernel.of(parts, float(raw["gamma"]), problem.inputs)
    return Emulator(
        problem=problem, networks=tuple(networks), kernel=kernel, origin=dict(raw["origin"])
    )
