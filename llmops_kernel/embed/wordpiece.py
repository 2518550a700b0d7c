"""BERT's uncased WordPiece in pure Python: a text in, token ids out.

The same ids as the ``tokenizers`` package gives for ``bert-base-uncased``, without its size and
its dependencies. What counts as a mark, a sign or a letter comes from Python's `unicodedata`, so
characters younger than its tables may be read differently; they are unknown words either way.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SPECIAL_AT = re.compile(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])")
_CONTINUED = "##"
_LONGEST_WORD = 100
_KEPT_WORDS = 100_000
# Characters that are read first, per token that fits; and words that a cut may have spoilt.
_CHARS_PER_TOKEN = 16
_AT_THE_CUT = 8

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Turns texts into token ids, between ``[CLS]`` and ``[SEP]``.

    Threads may share one: its caches only ever gain entries that any thread would write alike.

    Args:
        vocabulary: The tokens in the order of their ids.
        max_tokens: Most ids of a text, the two frames included; the rest of the text is not read.

    Raises:
        ValueError: A special token is missing from the vocabulary.
    """

    def __init__(self, vocabulary: list[str], max_tokens: int = 256) -> None:
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        missing = [token for token in _SPECIAL if token not in self._ids]
        if missing:
            raise ValueError(f"the vocabulary has no {missing[0]}")
        self.max_tokens = max_tokens
        self._unknown = (self._ids["[UNK]"],)
        self._known: dict[str, tuple[int, ...]] = {token: (self._ids[token],) for token in _SPECIAL}

    @classmethod
    def from_file(cls, path: Path, max_tokens: int = 256) -> WordPiece:
        """Read a vocabulary file, one token a line."""
        return cls(path.read_text(encoding="utf-8").splitlines(), max_tokens)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, framed, at most ``max_tokens`` of them."""
        room = self.max_tokens - 2
        return [self._ids["[CLS]"], *self._inner(text, room)[:room], self._ids["[SEP]"]]

    def _inner(self, text: str, room: int) -> list[int]:
        """Return at least the first ``room`` ids, without reading much more of a long text."""
        size = room * _CHARS_PER_TOKEN
        while True:
            words = _words(text[:size])
            whole = size >= len(text)
            if not whole:
                del words[-_AT_THE_CUT:]
            ids: list[int] = []
            for word in words:
                ids += self._known.get(word) or self._pieces(word)
                if len(ids) >= room:
                    return ids
            if whole:
                return ids
            size *= 4

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Return the ids of a word: from the left, always the longest token that fits."""
        if len(self._known) > _KEPT_WORDS:
            for known in list(self._known)[len(_SPECIAL) :]:
                self._known.pop(known, None)
        self._known[word] = found = self._split(word)
        return found

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return self._unknown
        ids: list[int] = []
        start = 0
        while start < len(word):
            mark = _CONTINUED if start else ""
            for end in range(len(word), start, -1):
                number = self._ids.get(mark + word[start:end])
                if number is not None:
                    ids.append(number)
                    start = end
                    break
            else:
                return self._unknown
        return tuple(ids)


class _Characters(dict[int, str]):
    """What becomes of a character after decomposition; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _character(chr(code))
        return found


_CHARACTERS = _Characters()


def _words(text: str) -> list[str]:
    """Split a text into lower-case words without accents; signs and ideographs are words."""
    if "[" in text:  # a special token that is spelt out is that token
        words: list[str] = []
        for part in _SPECIAL_AT.split(text):
            words += [part] if part in _SPECIAL else _plain_words(part)
        return words
    return _plain_words(text)


def _plain_words(text: str) -> list[str]:
    return unicodedata.normalize("NFD", text).translate(_CHARACTERS).split()


def _character(char: str) -> str:
    if char in "\t\n\r":
        return " "
    category = unicodedata.category(char)
    if category in {"Mn", "Cc", "Cf", "Co", "Cs"} or char == "\N{REPLACEMENT CHARACTER}":
        return ""
    if category[0] == "Z":
        return " "
    code = ord(char)
    if category[0] == "P" or _is_ascii_sign(code) or _is_ideograph(code):
        return f" {char} "
    return char.lower()


def _is_ascii_sign(code: int) -> bool:
    """Whether it is one of ``$+<=>^`|~``, which Unicode does not call punctuation but BERT does."""
    return 33 <= code <= 126 and not chr(code).isalnum()


def _is_ideograph(code: int) -> bool:
    return code >= _IDEOGRAPHS[1][0] and any(low <= code <= high for low, high in _IDEOGRAPHS)
