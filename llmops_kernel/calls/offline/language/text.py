"""Words, stems and sentences of any text, in linear time.

The rules are made for English and degrade gently: other scripts keep their words as they are, and
text without spaces between words (Chinese, Japanese, Thai) is read as pairs of characters.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import (
    IRREGULAR,
    NEGATIONS,
    STOP_WORDS,
    SYNONYMS,
    word_set,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"\d+(?:[.,:]\d+)*|[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_]+)?")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_VOWEL = re.compile(r"[aeiouy]")

_BULLET = re.compile(r"\s*(?:[-*•\u2013]\s+|\(?\d{1,3}[.)]\s+|\[\d{1,3}\]|#{1,6}\s|\||>)")
_KEY_LINE = re.compile(r"\s*[\w][\w /()-]{0,38}:(?:\s|$)")
_SENTENCE_END = re.compile(
    r"[.!?…]{1,8}[\"'”\u2019)\]]*(?:\s*\[\w{1,8}\])*(?=\s)|[。\uff01\uff1f]+[」』”]*"
)
_ABBREVIATIONS = word_set("""
    mr mrs ms dr prof sr jr st no nos vs etc e.g i.e eg ie approx inc ltd co corp dept fig figs
    jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m al cf ca resp incl excl tel
    art sec para vol pp ed gen gov col capt lt sgt rev hon
    """)
_SHORT_LINE = 46
_LONGEST_SENTENCE = 1_200


def words(text: str) -> list[str]:
    """Return the words of a text in order, lower-cased; ``don't`` becomes ``do not``.

    Numbers lose their grouping and trailing zeros, so that ``1,200.00`` equals ``1200``.
    """
    found: list[str] = []
    for token in _WORD.findall(text):
        first = token[0]
        if first.isdigit():
            found.append(_plain_number(token))
        elif not token.isascii() and _IS_UNSPACED.match(first):
            found.extend(_pairs(token))
        else:
            _add_word(token.lower(), found)
    return found


def _add_word(word: str, found: list[str]) -> None:
    if "'" in word or "\u2019" in word:
        head, _, tail = word.replace("\u2019", "'").partition("'")
        if tail == "t" and head.endswith("n"):
            stem_of = {"can": "can", "won": "will", "shan": "shall"}.get(head, head[:-1])
            found.append(stem_of)
            found.append("not")
            return
        word = head if tail in {"s", "re", "ve", "ll", "d", "m"} else head + tail
        if not word:
            return
    found.append(word)


def _plain_number(token: str) -> str:
    token = re.sub(r",(?=\d{3}(?:\D|$))", "", token)
    if "." in token and token.count(".") == 1:
        token = token.rstrip("0").rstrip(".") or "0"
    return token


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """Return the stem of one lower-case word (``replacement``, ``replaced`` → ``replac``)."""
    if len(word) > 40:
        return word[:40]
    word = IRREGULAR.get(word, word)
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    word = _strip_plural(word)
    word = _strip_inflection(word)
    word = _strip_derivation(word)
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        word = word[:-1] + "i"
    return word


def _strip_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _strip_inflection(word: str) -> str:
    for suffix in ("ing", "ed"):
        rest = word[: -len(suffix)]
        if word.endswith(suffix) and len(rest) >= 3 and _VOWEL.search(rest):
            if rest.endswith("at") and len(rest) >= 6:
                return rest[:-2]
            if rest[-1] == rest[-2] and rest[-1] not in "lsz":
                return rest[:-1]
            return rest[:-1] if rest.endswith("ll") and len(rest) > 5 else rest
    if word.endswith("ly") and len(word) > 5:
        return word[:-2]
    return word


def _strip_derivation(word: str) -> str:
    if word.endswith("ication") and len(word) > 9:
        return word[:-6]
    if word.endswith("ation") and len(word) > 8:
        rest = word[:-5]
        return rest[:-1] if rest.endswith("ll") else rest
    if word.endswith(("tion", "sion")) and len(word) > 6:
        return word[:-3]
    if word.endswith("ate") and len(word) >= 7:
        return word[:-3]
    if word.endswith("ment") and len(word) >= 7:
        return word[:-4]
    if word.endswith("ness") and len(word) > 6:
        return word[:-4]
    return word


def content_stems(text: str) -> list[str]:
    """Return the stems of a text's content words in order, negations included."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS]


def name_words(name: str) -> list[str]:
    """Split an identifier (``card_lost``, ``dueDate``, ``Card lost``) in lower-case words."""
    return [part.lower() for part in _NAME_PART.findall(name)]


def name_stems(name: str) -> list[str]:
    """Return the content stems of an identifier; all its stems when it has no content word."""
    parts = name_words(name)
    return [stem(part) for part in parts if part not in STOP_WORDS] or [stem(p) for p in parts]


def spelled(name: str) -> str:
    """Return an identifier as separate words; as it is where it has none."""
    return " ".join(name_words(name)) or name


def is_negated(tokens: Sequence[str]) -> bool:
    """Whether words (see `words`) hold an odd number of negations."""
    return sum(token in NEGATIONS for token in tokens) % 2 == 1


def sentences(text: str) -> list[str]:
    """Split a text in sentences, list items, table rows and headings, in order."""
    found: list[str] = []
    for line in _logical_lines(text):
        _split_line(line, found)
    return found


def _logical_lines(text: str) -> list[str]:
    """Join hard-wrapped lines, and keep apart what stands on lines of its own."""
    if "\n" not in text:
        return [text.strip()] if text.strip() else []
    logical: list[list[str]] = []
    length = 0  # of the logical line in the making; 0 when a new one has to begin
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            length = 0
            continue
        wrapped = length >= _SHORT_LINE or line[0].islower()
        if length and wrapped and not _BULLET.match(line) and not _KEY_LINE.match(line):
            logical[-1].append(line)
            length += len(line) + 1
            continue
        logical.append([line])
        length = 0 if line.startswith(("#", "|")) else len(line)
    return [" ".join(parts) for parts in logical]


def _split_line(line: str, found: list[str]) -> None:
    start = 0
    for match in _SENTENCE_END.finditer(line):
        if match.end() - start > _LONGEST_SENTENCE:
            found.extend(_slices(line[start : match.end()]))
            start = match.end()
            continue
        if line[match.start()] == "." and _goes_on(line, start, match.start(), match.end()):
            continue
        piece = line[start : match.end()].strip()
        if piece:
            found.append(piece)
        start = match.end()
    rest = line[start:].strip()
    if rest:
        found.extend(_slices(rest))


def _slices(piece: str) -> list[str]:
    piece = piece.strip()
    return [piece[i : i + _LONGEST_SENTENCE] for i in range(0, len(piece), _LONGEST_SENTENCE)]


def _goes_on(line: str, start: int, dot: int, end: int) -> bool:
    """Whether a full stop belongs to an abbreviation, an initial or a list number."""
    begin = max(line.rfind(" ", start, dot), line.rfind("(", start, dot), start - 1) + 1
    word = line[begin:dot].lower()
    after = line[end : end + 2].strip()
    if after[:1].islower():
        return True
    if word in _ABBREVIATIONS:
        return True
    if word.isdigit() and len(word) <= 2:
        return line[start:dot].strip() == word  # the number of a list item
    return len(word) == 1 and word.isalpha() and word != "i"


def _groups() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, group in enumerate(SYNONYMS):
        for word in group:
            found.setdefault(stem(word), set()).add(number)
    return {one: frozenset(numbers) for one, numbers in found.items()}


GROUPS = _groups()
"""The groups of synonyms (see `lexicon`) that a stem is in."""
