"""Import BoLT's emulators from a folder with those of its published folders that one has.

    FOLDER/hpo_qwen8b_emulator/{model.safetensors, config.json, model_standardize.csv}
    FOLDER/dm_qwen4b_noise_emulator/{noise_model.safetensors, config.json}

Weights are read from safetensors alone: pickled ones run code when they are opened.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpobench_llm.artefacts import read_file, read_json, sha256_of_file
from hpobench_llm.errors import DataError, HpobenchError, shown
from hpobench_llm.space import is_number
from hpobench_llm.surrogates.emulators.artefact import Emulator
from hpobench_llm.surrogates.emulators.networks import Kernel, Perceptron
from hpobench_llm.surrogates.emulators.problems import PROBLEMS, BoltProblem
from hpobench_llm.surrogates.emulators.tensors import Tensors, read_tensors
from hpobench_llm.surrogates.models.base import FloatArray

_PICKLED = (".pth", ".pt", ".bin", ".pkl", ".pickle", ".ckpt")


def import_bolt(published: Path, out: Path) -> list[Path]:
    """Write an emulator for each problem whose networks are in `published` into folders of `out`.

    All are read before the first is written. Returns the folders.

    Raises:
        DataError, IntegrityError: a file cannot be used, or there is none.
        HpobenchError: one of the emulators is there already.
    """
    if not published.is_dir():
        raise DataError(f"{published}: no such folder")
    emulators = [
        _emulator(problem, published)
        for problem in PROBLEMS.values()
        if all((published / name).is_dir() for name in problem.networks)
    ]
    if not emulators:
        names = sorted({name for problem in PROBLEMS.values() for name in problem.networks})
        raise DataError(f"{published}: none of BoLT's folders is here: {', '.join(names)}")
    # Before the first is written: either all are imported or none.
    for emulator in emulators:
        if (out / emulator.problem.name).exists():
            raise HpobenchError(f"{out / emulator.problem.name}: is there already")
    return [emulator.write(out / emulator.problem.name) for emulator in emulators]


def _emulator(problem: BoltProblem, published: Path) -> Emulator:
    networks = tuple(_perceptron(published / name, problem) for name in problem.networks)
    folders, kernel = [*problem.networks], None
    noise = problem.noise_network
    if noise and (published / noise).is_dir():  # without it, the noise is one figure a metric
        folders.append(noise)
        kernel = _kernel(published / noise, problem.inputs)
    sums = {
        f"{folder}/{path.name}": sha256_of_file(path)
        for folder in folders
        for path in sorted((published / folder).iterdir())
        if path.suffix in (".safetensors", ".json", ".csv")
    }
    return Emulator(problem=problem, networks=networks, kernel=kernel, origin={"sha256": sums})


def _perceptron(folder: Path, problem: BoltProblem) -> Perceptron:
    tensors, config = _read(folder, "model")
    mean, scale = _standardisation(folder / "model_standardize.csv", problem.outputs)
    expected = {"input_dim": problem.inputs, "output_dim": problem.outputs}
    # A configuration may leave a size out; what it states must agree.
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise DataError(
                f"{folder / 'config.json'}: `{key}`: {problem.name} has {value}, got "
                f"{shown(config[key])}"
            )
    try:
        return Perceptron.of(tensors, mean, scale, problem.inputs)
    except (ValueError, IndexError) as error:
        raise DataError(f"{folder / 'model.safetensors'}: {error}") from None


def _kernel(folder: Path, inputs: int) -> Kernel:
    tensors, config = _read(folder, "noise_model")
    gamma = config.get("gamma", 0.1)  # absent before their version 0.2.0
    if not is_number(gamma):
        raise DataError(f"{folder / 'config.json'}: `gamma`: a number, got {shown(gamma)}")
    try:
        return Kernel.of(tensors, float(gamma), inputs)
    except ValueError as error:
        raise DataError(f"{folder / 'noise_model.safetensors'}: {error}") from None


def _read(folder: Path, name: str) -> tuple[Tensors, Mapping[str, Any]]:
    """Return the weights and the configuration of a published folder."""
    weights = folder / f"{name}.safetensors"
    if not weights.is_file():
        pickled = [p.name for p in sorted(folder.iterdir()) if p.suffix in _PICKLED]
        if pickled:
            raise DataError(
                f"{folder / pickled[0]}: pickled weights run code when they are opened and are "
                f"not read; {weights.name} is"
            )
        raise DataError(f"{weights}: no such file")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise DataError(f"{folder / 'config.json'}: keys with values are expected")
    return read_tensors(weights), config


def _standardisation(path: Path, outputs: int) -> tuple[FloatArray, FloatArray]:
    """Return the columns `y_mean` and `y_std` of a CSV file with a row for each output."""
    try:
        text = read_file(path, 2**16).decode()
        rows = [
            (float(row["y_mean"]), float(row["y_std"]))
            for row in csv.DictReader(io.StringIO(text))
        ]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, csv.Error):
        raise DataError(f"{path}: columns `y_mean` and `y_std` of numbers are expected") from None
    values = np.array(rows, dtype=np.float64).reshape(len(rows), 2)
    if len(rows) != outputs or not np.isfinite(values).all() or not (values[:, 1] > 0).all():
        raise DataError(f"{path}: {outputs} rows with deviations above 0 are expected")
    return values[:, 0].copy(), values[:, 1].copy()
