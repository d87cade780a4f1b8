"""Which data files the shipped campaigns read: where they come from, what was done to them.

A file is checked by the sum of its unpacked content, since another version of gzip may pack the
same rows otherwise. `packed_sha256` is the sum of the packed file, which campaigns name.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

T0_CHARACTERS = 1500  # of prompt and completion together, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One data file, below the folder that HPOBENCH_LLM_SOURCES names.

    Args:
        name: its name on the command line.
        path: its path below that folder.
        repository: the repository on GitHub whose files it is made of.
        commit: the commit of that repository.
        upstream: pattern of their paths, as `PurePosixPath.match` takes it.
        licence: what the repository says of it.
        sha256: of what it holds, unpacked.
        packed_sha256: of the packed file that campaigns name; empty if it is not packed.
        make: makes the content of the upstream files, by path; None: one file is taken as it is.
    """

    name: str
    path: str
    repository: str
    commit: str
    upstream: str
    licence: str
    sha256: str
    packed_sha256: str = ""
    make: Callable[[Mapping[str, bytes]], bytes] | None = None


def _rows(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the file's own name and each row of all files, in the order of their paths."""
    for path in sorted(files):
        for line in files[path].decode("utf-8").split("\n"):
            if line.strip():
                yield PurePosixPath(path).stem, json.loads(line)


def _lines(rows: Iterator[dict[str, object]]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def _t0(files: Mapping[str, bytes]) -> bytes:
    """Every row that is short enough, with the name of its template."""
    return _lines(
        {"task": task, **row}
        for task, row in _rows(files)
        if len(f"{row['prompt']}{row['completion']}") <= T0_CHARACTERS
    )


def _blimp(files: Mapping[str, bytes]) -> bytes:
    """The pairs of all paradigms, with what tells them apart."""
    return _lines(
        {
            "good": row["sentence_good"],
            "bad": row["sentence_bad"],
            "UID": row["UID"],
            "field": row["field"],
            "term": row["linguistics_term"],
            "simple_LM_method": row["simple_LM_method"],
            "pairID": row["pairID"],
        }
        for _, row in _rows(files)
    )


def _dolly(files: Mapping[str, bytes]) -> bytes:
    """Questions and answers of one decoded copy: all copies hold the same ones.

    What it calls `text` is Databricks' response after a round trip through T5's tokenizer: cut
    where it is long, and without the characters that T5 does not know.
    """
    path = min(files)
    first = {path: files[path]}
    return _lines(
        {"id": row["id"], "instruction": row["instruction"], "response": row["text"]}
        for _, row in _rows(first)
    )


def _of_the_gauntlet(name: str, sha256: str) -> Input:
    """One of the evaluation sets that llm-foundry holds as they are used here."""
    return Input(
        name=name,
        path=f"eval/{name}.jsonl",
        repository="mosaicml/llm-foundry",
        commit="8c8dd48f72168c5d51e2f7b151595892a8fba43d",
        upstream=f"{name}.jsonl",
        licence="Apache-2.0 (the repository; each data set has its own)",
        sha256=sha256,
    )


INPUTS = (
    Input(
        name="t0",
        path="instruct/t0_train_short1500.jsonl.gz",
        repository="yizhongw/self-instruct",
        commit="0b26ccaa415992100fa32df62d41b994cf928e23",
        upstream="data_per_template/*.jsonl",
        licence="Apache-2.0 (the repository; each data set has its own)",
        sha256="2c20c3be46c6f069259f43c9f08c66552e6e4ca2e367f20a3a93a9e9efffec7c",
        packed_sha256="2afceb976830cfc239fd50b83eb791ebb2c3b90c9828c189f2d7f204c21484a5",
        make=_t0,
    ),
    Input(
        name="dolly",
        path="instruct/dolly_first6400_nocontext.jsonl",
        repository="nayohan/dolly-15k-analysis",
        commit="5797d87c90c8c13a8ec79897381991a280092945",
        upstream="dolly_decode_bak/google_flan-t5-*_decode_output.jsonl",
        licence="CC BY-SA 3.0 (Databricks' Dolly; the repository states none)",
        sha256="8e1ee6e16bef7eaf64c6701e0097b0220150d8b2a81b57a5cb73b2c959c2f1bf",
        make=_dolly,
    ),
    Input(
        name="blimp",
        path="eval/blimp.jsonl.gz",
        repository="alexwarstadt/blimp",
        commit="3e56b06fcabca9b30822fc66435fca6b1aa40bb1",
        upstream="data/*.jsonl",
        licence="CC BY (its README)",
        sha256="ca3f13ce51c2910ab45efca476feda961e363551a8ef268c99dbe1fe7410ea03",
        packed_sha256="933a6dca47830840332e43d56a649de247435a0b5d124019ca5556f58db6eb78",
        make=_blimp,
    ),
    _of_the_gauntlet(
        "lambada_openai", "411bfbe5b9054346b6a19299c0242670adbefb9162efd958593cbc0290b8c9dc"
    ),
    _of_the_gauntlet("piqa", "d2870e73aec5154df3faf259b7700876e11608eebdf69e9d6667435673dbe4e0"),
    _of_the_gauntlet(
        "arc_easy", "d2d12e59543acf9a5ef6079634a72b30215e36c2fd4236fff3bc855d287b87f5"
    ),
    _of_the_gauntlet("copa", "595dca44dec54c849490bd403a3e24a29e3b944065783222ebb0eb1a55298846"),
    _of_the_gauntlet(
        "simple_arithmetic_nospaces",
        "2b68696de9e381e9bddbd0af21dfd745400903b0ca5abf1b500143315b443228",
    ),
    Input(
        name="sst2",
        path="eval/few_shot/sst2/stsa.binary.dev",
        repository="tonyzhaozh/few-shot-learning",
        commit="e04d8643be91c2cce63f33e07760ff75d5aa3ad0",
        upstream="stsa.binary.dev",
        licence="Apache-2.0 (the repository; the data set has its own)",
        sha256="02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
    ),
)

SAME_CONTENT = {entry.packed_sha256: entry.sha256 for entry in INPUTS if entry.packed_sha256}
"""The sum of what a packed file holds, by the sum of that file."""
