"""What the strict verifier's trees look at: how two questions differ, as numbers.

All of it is the same whichever text comes first, so that the decision is too.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.verbatim.lexicon import is_word
from llmops_kernel.cache.semantic.verbatim.typos import one_slip, same_but_for_a_slip
from llmops_kernel.cache.semantic.verbatim.words import CLASSES, NEAR_OPPOSITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.cache.semantic.verbatim import Signature

NAMES = (
    "cosine", "words, jaccard", "words, contained at most", "words, contained at least",
    "pairs of words, jaccard", "letters, dice", "length ratio", "shorter length",
    "parted words", "parted words, fewer side", "parted content words",
    "parted content words, fewer side", "longest parted word", "parted words no dictionary has",
    "parted with one stem", "parted by a slip", "parted, near opposites", "parted by a prefix",
    "best likeness of parted words", "worst likeness of parted words", "same words, other order",
    "same first word", "same last word", "digits agree", "negations apart", "fixed words parted",
    *(reason.removesuffix(" differ").removesuffix(" differs") for reason, _ in CLASSES),
)  # fmt: skip
"""One name for each feature, in order."""

_CLOSED = frozenset().union(*(words for _, words in CLASSES)) | {"to", "of", "and", "or", "that"}
_PREFIXES = ("un", "re", "de", "dis", "in", "im", "non", "mis", "over", "under", "pre")
_ENDINGS = ("ing", "ed", "es", "s", "ly", "ation", "ion", "ment", "er")
_FEWEST_LETTERS = 3


def features(a: Signature, b: Signature, cosine: float) -> list[float]:
    """Return the numbers for two questions, one for each of `NAMES`.

    Args:
        a: One question.
        b: The other; changing places changes nothing.
        cosine: Of their sentence vectors.
    """
    ours, theirs = Counter(a.tokens), Counter(b.tokens)
    left, right = sorted((ours - theirs, theirs - ours), key=lambda side: (side.total(), [*side]))
    parted = [*left.elements(), *right.elements()]
    content = [sum(word not in _CLOSED for word in side.elements()) for side in (left, right)]
    shared = (ours & theirs).total()
    least, most = sorted((max(len(a.tokens), 1), max(len(b.tokens), 1)))
    crossed = [(one, other) for one in left for other in right]
    likeness = _likenesses(left, right)
    fixed = {w for text in (a, b) for w, kept in zip(text.tokens, text.fixed, strict=True) if kept}
    values = [
        round(cosine, 4),
        _jaccard(ours, theirs), shared / least, shared / most,
        _jaccard(_pairs(a.tokens), _pairs(b.tokens)),
        _dice(a.text, b.text), least / most, least,
        len(parted), left.total(), sum(content), min(content),
        max(map(len, parted), default=0), sum(not is_word(word) for word in parted),
        sum(one != other and _stem(one) == _stem(other) for one, other in crossed),
        sum(same_but_for_a_slip(one, other) for one, other in crossed),
        sum(other in NEAR_OPPOSITES.get(one, ()) for one, other in crossed),
        sum(_prefixed(one, other) for one, other in crossed),
        max(likeness, default=0.0 if parted else 1.0),
        min(likeness, default=0.0 if parted else 1.0),
        not parted and a.tokens != b.tokens,
        a.tokens[:1] == b.tokens[:1], a.tokens[-1:] == b.tokens[-1:], a.digits == b.digits,
        abs(len(a.negations) - len(b.negations)), sum(word in fixed for word in parted),
        *(sum(word in words for word in parted) for _, words in CLASSES),
    ]  # fmt: skip
    return [float(value) for value in values]


def _jaccard(a: Counter[str], b: Counter[str]) -> float:
    union = (a | b).total()
    return (a & b).total() / union if union else 1.0


def _pairs(tokens: Sequence[str]) -> Counter[str]:
    return Counter(f"{one} {other}" for one, other in pairwise(tokens))


def _dice(a: str, b: str) -> float:
    ours, theirs = _trigrams(a), _trigrams(b)
    both = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / both if both else 1.0


def _trigrams(text: str) -> Counter[str]:
    padded = f" {text} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))


def _likenesses(left: Iterable[str], right: Iterable[str]) -> list[float]:
    """Return how like each parted word of one side is to the most alike one of the other."""
    others = [*right]
    return [max((_dice(one, other) for other in others), default=0.0) for one in left]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _FEWEST_LETTERS:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


def _prefixed(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _FEWEST_LETTERS and (
        any(long == prefix + short for prefix in _PREFIXES)
        or (one_slip(one, other) and is_word(one) and is_word(other))
    )
