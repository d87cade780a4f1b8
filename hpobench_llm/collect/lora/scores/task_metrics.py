"""What a generated answer is worth: functions that task files name as `process_results`.

Each takes an item (a row of the data) and the model's answers to it (the first one counts), and
returns values by name. They are deterministic and need nothing but the standard library and SciPy.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

ARTICLES = frozenset({"a", "an", "the"})


def exact_answer(item: Mapping[str, object], answers: Sequence[str]) -> dict[str, float]:
    """Return `exact`: 1 where the answer is the item's `target`, blanks around it aside."""
    return {"exact": float(answers[0].strip() == str(item["target"]).strip())}


def spans_f1(
    item: Mapping[str, Sequence[Sequence[str]]], answers: Sequence[str]
) -> dict[str, float]:
    """Return `f1` and `exact` of DROP, each the best over the accepted answers of the item.

    The spans of an answer are compared one to one in the best assignment; each pair gives the F1
    of its bags of words, 0 where the accepted span holds numbers and none of them is given. Case,
    articles and punctuation do not count. Where several spans are asked for, the model's answer
    is cut at commas. This follows the rules of the data set's authors; the code is our own.
    """
    best = {"f1": 0.0, "exact": 0.0}
    for accepted in item["answers"]:
        texts = answers[0].split(",") if len(accepted) > 1 else [answers[0]]
        spans = [_words(text) for text in texts]
        wanted = [_words(str(span)) for span in accepted]
        f1 = np.array([[_f1(answer, span) for span in wanted] for answer in spans])
        pairs = linear_sum_assignment(f1, maximize=True)
        # A span without a partner counts as 0.
        best["f1"] = max(best["f1"], float(f1[pairs].sum()) / max(f1.shape))
        same = sorted(map(sorted, spans)) == sorted(map(sorted, wanted))
        best["exact"] = max(best["exact"], float(same))
    return best


def _words(text: str) -> list[str]:
    words = []
    for raw in re.split(r"[\s\-]+", text.casefold()):
        number = _number(raw)
        word = number if number is not None else re.sub(r"[^\w]|_", "", raw)
        if word and word not in ARTICLES:
            words.append(word)
    return words


def _number(word: str) -> str | None:
    """Return one spelling of a number (`1,000.0` and `$1000` are the same), None for a word."""
    try:
        return str(float(word.strip(".,;:!?()$%").replace(",", "")))
    except ValueError:
        return None


def _f1(words: list[str], wanted: list[str]) -> float:
    if not words or not wanted:
        return float(words == wanted)
    numbers = {word for word in wanted if _number(word) is not None}
    if numbers and not numbers & set(words):
        return 0.0
    common = sum((Counter(words) & Counter(wanted)).values())
    return 2 * common / (len(words) + len(wanted))
