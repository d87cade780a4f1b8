"""Find rows that are renderings of one source row, so that they can share a split.

Instruction collections render a source row through several templates: the same review is asked
about in other words. The normalised question then differs, and a split by its hash would put the
same text on both sides. Rows that share a rare run of words are therefore one group.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

RARE_ROWS = 12  # a run of words that more rows share is taken for a template's, not a source's


def group_by_rare_runs(texts: Sequence[str], words: int) -> list[int]:
    """Return for each text the smallest index of its group: `(n,)`.

    Two texts are joined when they share a run of `words` normalised words that at most
    `RARE_ROWS` texts have; groups are closed under that.
    """
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        sequence = re.findall(r"\w+", text.casefold())
        starts = range(len(sequence) - words + 1)
        runs = {tuple(sequence[start : start + words]) for start in starts}  # each once a text
        for run in runs:
            holders[run].append(index)
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]  # halves the path for the next search
            index = parent[index]
        return index

    for members in holders.values():
        if 1 < len(members) <= RARE_ROWS:
            roots = {root(index) for index in members}
            for index in roots:
                parent[index] = min(roots)
    return [root(index) for index in range(len(texts))]
