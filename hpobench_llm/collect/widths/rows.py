"""Rows of bytes: text as tokens 0 to 255 and one that ends a paragraph, dealt out by seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hpobench_llm.artefacts import sha256_of_bytes
from hpobench_llm.collect.training.corpus import read_corpora
from hpobench_llm.collect.widths.spec import VOCABULARY, WidthsCampaign
from hpobench_llm.errors import DataError
from hpobench_llm.plain import Json
from hpobench_llm.tables.provenance import Sources

END = VOCABULARY - 1
_SHUFFLE_SEED = 0  # of the paragraphs' order: every run has the same rows


@dataclass(frozen=True, slots=True)
class RowSets:
    """Rows `(rows, context_tokens + 1)` of each set, and what they were made of."""

    train: torch.Tensor
    val: torch.Tensor
    test: torch.Tensor
    sources: Sources


def read_rows(campaign: WidthsCampaign, file: Path, device: torch.device) -> RowSets:
    """Read a campaign's text and cut it into rows.

    Raises:
        SpecError: a file is missing.
        DataError: a file is not what its sum says, or the text is too short.
    """
    paragraphs, sources = read_corpora(campaign.corpus, file, _SHUFFLE_SEED)
    sizes = (campaign.text.val_rows, campaign.text.test_rows, campaign.text.train_rows)
    # Equal paragraphs once, or a test row could be one that was trained on.
    rows = cut(dict.fromkeys(paragraphs), campaign.model.context_tokens + 1, sum(sizes))
    if len(rows) < sum(sizes):
        raise DataError(
            f"{file}: `corpus`: the text gives {len(rows)} rows of "
            f"{campaign.model.context_tokens + 1} bytes, and [text] asks for {sum(sizes)}"
        )
    ids = torch.from_numpy(rows.astype(np.int64)).to(device)
    val, test = ids[: sizes[0]], ids[sizes[0] : sizes[0] + sizes[1]]
    origin: dict[str, Json] = {
        "corpus": {str(n): source for n, source in enumerate(sources)},
        "rows": {"sha256": sha256_of_bytes(rows.tobytes())},
    }
    return RowSets(ids[sizes[0] + sizes[1] :], val, test, origin)


def cut(paragraphs: Iterable[str], length: int, most: int) -> NDArray[np.int16]:
    """Return at most `most` rows `(rows, length)`: paragraphs and their ends, joined and cut."""
    tokens: list[int] = []
    for paragraph in paragraphs:
        tokens += [*paragraph.encode(), END]
        if len(tokens) >= most * length:
            break
    rows = min(most, len(tokens) // length)
    return np.array(tokens[: rows * length], dtype=np.int16).reshape(rows, length)


def stream_seed(seed: int, width: int) -> int:
    """Return the seed of all that is drawn for a width: first weights and the order of rows.

    So a warm start sees its rows in another order than the model that it grew from.
    """
    state = np.random.SeedSequence([seed, width]).generate_state(1, np.uint64)[0]
    return int(state >> 1)  # torch's seeds are signed


def batches(rows: torch.Tensor, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield batches for ever: each epoch in its own order, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    order = np.empty(0, dtype=np.int64)
    while True:
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(len(rows))])
        yield rows[torch.from_numpy(order[:size]).to(rows.device)]
        order = order[size:]
