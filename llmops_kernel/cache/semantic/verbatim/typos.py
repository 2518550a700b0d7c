"""Telling a slip of the keys from another word."""

from __future__ import annotations

from functools import lru_cache

from llmops_kernel.cache.semantic.verbatim.lexicon import is_word
from llmops_kernel.cache.semantic.verbatim.words import (
    DECISIVE,
    MODALS,
    NEAR_OPPOSITES,
    NEGATIONS,
    PERSONS,
    QUESTION,
    words,
)

_SHORTEST_WORD = 4
_PREFIXES = ("un", "re", "in", "im", "dis", "de", "mis", "non", "ir", "il", "out", "ex", "pre")
_INFLECTIONS = ("s", "es", "d", "ed", "ing", "r", "er", "ly", "n", "en")
# Of the shortest only the few that a slip is likely to reach: there are too many near words.
_GUARDED = frozenset(
    word
    for word in DECISIVE | NEGATIONS | MODALS | PERSONS | QUESTION
    if len(word) > _SHORTEST_WORD - 1
) | words("not all any few one two six ten may")


def one_slip(a: str, b: str) -> bool:
    """Tell whether one letter added, left out or replaced, or two neighbours swapped, parts them.

    The optimal string alignment distance is 1 exactly.
    """
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1 or a == b:
        return False
    start = 0
    while start < len(a) and a[start] == b[start]:
        start += 1
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    if a[start + 1 :] == b[start + 1 :]:
        return True
    swapped = a[start : start + 2] == b[start : start + 2][::-1]
    return swapped and a[start + 2 :] == b[start + 2 :]


@lru_cache(maxsize=20_000)
def same_but_for_a_slip(a: str, b: str) -> bool:
    """Tell whether one of two lower-case words can only be a misspelling of the other.

    Exactly one must be a word; it has four letters or more and is no negation, and the other is as
    near to no word that would change the question: its own plural or past, its opposite ("nblock"
    may be block and unblock), a month, a currency, a comparison. A letter struck twice is clear; in
    a decisive word nothing else is forgiven but two letters that changed places.
    """
    if not (a.isascii() and a.isalpha() and b.isascii() and b.isalpha() and one_slip(a, b)):
        return False
    if is_word(a) == is_word(b):
        return False
    word, slip = (a, b) if is_word(a) else (b, a)
    if len(word) < _SHORTEST_WORD or len(slip) < _SHORTEST_WORD - 1:
        return False
    if word in NEGATIONS:
        return False
    if _doubled(word, slip):
        return True
    if word in DECISIVE and sorted(word) != sorted(slip):
        return False
    rivals = NEAR_OPPOSITES.get(word, frozenset()) | _relatives(word) | _GUARDED
    return not any(slip == rival or one_slip(slip, rival) for rival in rivals - {word})


def _doubled(word: str, slip: str) -> bool:
    """Tell whether the slip is a letter struck twice, which leaves no doubt about the word."""
    return len(slip) > len(word) and any(
        slip[at] == slip[at + 1] and slip[:at] + slip[at + 1 :] == word
        for at in range(len(slip) - 1)
    )


def _relatives(word: str) -> set[str]:
    """Return the words that differ from one by an ending or a prefix."""
    related = {word + ending for ending in _INFLECTIONS}
    related |= {word[: -len(ending)] for ending in _INFLECTIONS if word.endswith(ending)}
    related |= {prefix + word for prefix in _PREFIXES}
    related |= {word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)}
    return {form for form in related if len(form) >= _SHORTEST_WORD and is_word(form)}
