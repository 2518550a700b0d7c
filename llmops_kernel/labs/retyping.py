"""The same question typed by somebody else: case, greetings, punctuation, a slip of the finger.

Nothing that carries meaning changes: numbers, names and the order of words stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_WORD = re.compile(r"\b[a-z]{5,}\b")
_BEFORE = ("hi, ", "hello, ", "Hey, ", "Good morning. ", "quick question: ", "Hi there, ", "hi!! ")
_AFTER = (" thanks", " thx", " please", " pls", " Thank you!", " ??", "...", " asap", " cheers")
_TRIES = 50


def retyped(text: str, random: Random, taken: Callable[[str], bool]) -> str:
    """Return a text as another person types it, one that is not taken where that is possible."""
    made = text
    for attempt in range(_TRIES):
        made = text
        # One change is enough as long as there is one that nobody has made yet.
        for change in random.sample(_CHANGES, min(1 + attempt // 4, len(_CHANGES))):
            made = change(made, random)
        if not taken(made):
            break
    return made


def _lower(text: str, _: Random) -> str:
    return text.lower()


def _bare(text: str, _: Random) -> str:
    return text.rstrip(".?! ")


def _greeting(text: str, random: Random) -> str:
    return random.choice(_BEFORE) + text


def _closing(text: str, random: Random) -> str:
    return text + random.choice(_AFTER)


def _slip(text: str, random: Random) -> str:
    """Swap two letters within a word, or leave one out."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = random.choice(words)
    at = random.randrange(word.start() + 1, word.end() - 2)
    if random.random() < 0.5:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :]


_CHANGES: tuple[Callable[[str, Random], str], ...] = (_lower, _bare, _greeting, _closing, _slip)
