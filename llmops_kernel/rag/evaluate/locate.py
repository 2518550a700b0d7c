"""Where a quote stands in a document's text.

Quotes are taken from the file, the page or the screen; the text is what a reader made of the file.
So what differs between them is left out of the comparison: markup, spaces, punctuation, case.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

# A tag, a comment, or the target of a Markdown link.
_MARKUP = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]{0,1000}>|(?<=\])\([^()\s]{1,1000}\)", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# What readers put before the contents: a column's name before each cell of a table file, and the
# numbers of ordered lists.
_LABEL = re.compile(r"^[^\n:]{1,80}: |^[ \t]*\d{1,3}\. ", re.MULTILINE)
_KEPT = frozenset("$€£¥%")


@dataclass(frozen=True, slots=True)
class Located:
    """A place in a text: first character, and one past the last."""

    start: int
    end: int


def locate(quote: str, text: str) -> list[Located]:
    """Return the places where a quote stands in a text, first one first.

    As it is written, or else without regard to markup, spaces, punctuation and case, and then also
    without what readers add (names of columns, numbers of list items).
    """
    exact = _exact(quote.strip(), text)
    if exact:
        return exact
    wanted = _essence(html.unescape(_blank(_MARKUP, quote)))
    if not wanted.letters:
        return []
    plain = _plain(text)
    found = _find(wanted.letters, _essence(plain))
    if found:
        return found
    return _find(_essence(_blank(_LABEL, _plain(quote))).letters or wanted.letters,
                 _essence(_blank(_LABEL, plain)))  # fmt: skip


def _exact(quote: str, text: str) -> list[Located]:
    found: list[Located] = []
    at = text.find(quote) if quote else -1
    while at >= 0:
        end = at + len(quote)
        if not (_joined(text, at) or _joined(text, end)):
            found.append(Located(at, end))
        at = text.find(quote, at + 1)
    return found


def _joined(text: str, at: int) -> bool:
    """Whether a cut here would divide a word or a number."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


@dataclass(frozen=True, slots=True)
class _Essence:
    """Letters, digits and currency signs of a text, and where each stands in it."""

    letters: str
    places: list[int]
    text: str


def _essence(text: str) -> _Essence:
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if not (character.isalnum() or character in _KEPT):
            continue
        for each in unicodedata.normalize("NFKC", character).casefold():
            letters.append(each)
            places.append(place)
    return _Essence("".join(letters), places, text)


def _find(wanted: str, essence: _Essence) -> list[Located]:
    found: list[Located] = []
    at = essence.letters.find(wanted)
    while at >= 0:
        start = essence.places[at]
        end = essence.places[at + len(wanted) - 1] + 1
        if not (_joined(essence.text, start) or _joined(essence.text, end)):
            found.append(Located(start, end))
        at = essence.letters.find(wanted, at + 1)
    return found


def _plain(text: str) -> str:
    """Return a text of the same length without markup, entities as their characters."""

    def one(match: re.Match[str]) -> str:
        character = html.unescape(match[0])
        return character.ljust(len(match[0]))[: len(match[0])]

    return _ENTITY.sub(one, _blank(_MARKUP, text))


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: " " * len(match[0]), text)
