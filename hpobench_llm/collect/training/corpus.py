"""Text to pretrain on: files of paragraphs, or generated sentences."""

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpobench_llm.collect.training import synthetic
from hpobench_llm.collect.training.checksum import checked_sum
from hpobench_llm.errors import DataError
from hpobench_llm.plain import Json
from hpobench_llm.spec import resolve_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One source of text: a (possibly .xz) file of blank-line separated paragraphs, or generated.

    Args:
        path: the file, relative to the spec; `$NAME` is expanded.
        sha256: the sum of that file, which is then checked.
        skip_bytes: how many bytes of its beginning are left out.
        min_characters: shorter paragraphs are left out.
        generated_sentences: how many sentences the project makes, in place of a file.
    """

    path: str = ""
    sha256: str = ""
    skip_bytes: int = 0
    min_characters: int = 80
    generated_sentences: int = 0

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.generated_sentences):
            raise ValueError("give either `path` or `generated_sentences`")
        if min(self.skip_bytes, self.min_characters, self.generated_sentences) < 0:
            raise ValueError("no number of a corpus may be negative")


def read_corpora(
    corpora: tuple[Corpus, ...], spec_path: Path, seed: int
) -> tuple[list[str], list[dict[str, Json]]]:
    """Return the paragraphs of all corpora in an order drawn from `seed`, and their sums.

    Raises:
        SpecError: a file is missing.
        DataError: a file is not what its sum says, or cannot be read.
    """
    paragraphs: list[str] = []
    sources: list[dict[str, Json]] = []
    for number, corpus in enumerate(corpora):
        if corpus.generated_sentences:
            texts = synthetic.sentences(corpus.generated_sentences, seed=seed)
            sources.append({"generated_sentences": corpus.generated_sentences})
        else:
            path = resolve_path(corpus.path, file=spec_path, key=f"corpus[{number}].path")
            digest = checked_sum(path, corpus.sha256, spec_path)
            texts = list(_paragraphs(path, corpus))
            sources.append({"file": path.name, "sha256": digest, "skip_bytes": corpus.skip_bytes})
        paragraphs.extend(texts)
    np.random.default_rng(seed).shuffle(paragraphs)
    return paragraphs, sources


def _paragraphs(path: Path, corpus: Corpus) -> Iterator[str]:
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (lzma.LZMAError, OSError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    # `skip_bytes` may cut a letter in two.
    text = raw[corpus.skip_bytes :].decode("utf-8", errors="replace")
    for paragraph in text.split("\n\n"):
        line = " ".join(paragraph.split())
        if len(line) >= corpus.min_characters:
            yield line
