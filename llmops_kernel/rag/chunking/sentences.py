"""Where sentences end, in prose and in Markdown."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from llmops_kernel.rag.chunking.words import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.rag.chunking.words import Words

# LlamaIndex takes NLTK's Punkt here: 1.3 s to import, English only, and it knows neither headings
# nor lists. What may end a sentence, in the order of trial at one place:
_END = re.compile(
    r"""
    (?P<heading>^\ {0,3}\#{1,6}[ \t][^\n]*$)        # a heading is a sentence
    | (?P<gap>\n[ \t\r]*\n)                         # a blank line
    | (?P<line>\n(?=[ \t]{0,12}(?:\#{1,6}[ ]|[-*+\u2022][ ]|\d{1,3}[.)][ ]|\||>)))
    # Chinese and Japanese stops, with the brackets that may close after them
    | (?P<unspaced>[\u3002\uff01\uff1f\uff61][\u300d\u300f\u201d\u2019\uff09]{0,3})
    | (?P<stop>[.!?\u2026]{1,8}["'\u201d\u2019\u00bb)\]*_]{0,4})(?=\s)
    """,
    re.VERBOSE | re.MULTILINE,
)
_LAST_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*$")
_NEXT = re.compile(r"\s+[\"'\u201c\u2018\u00ab(\[*_]*(\S)")
# What is written with a full stop before a name or an example, and what only before a number:
# "No. 5" does not end, "the answer is no." does.
_SHORT = frozenset(
    """mr mrs ms dr prof sr jr st mt hon rev gen col sgt capt lt gov sen rep vs cf ca al approx
    e.g i.e eg ie z.b bzw d.h u.a evtl ggf vgl hr fr mme mlle sra srta""".split()  # noqa: SIM905
)
_BEFORE_NUMBER = frozenset(
    """no nos nr fig figs eq eqs vol vols p pp ed eds art sec ch para abs bd av
    jan feb mar apr jun jul aug sep sept oct nov dec""".split()  # noqa: SIM905
)


def find_sentences(words: Words, within: Span) -> list[Span]:
    """Return the sentences of a span, in order, without gaps: together they are the span."""
    if within.first >= within.last:
        return []
    firsts = [within.first]
    start, end = words.place(within)
    for place in _ends(words.text, start, end):
        first = bisect_left(words.starts, place, firsts[-1], within.last)
        if firsts[-1] < first < within.last:
            firsts.append(first)
    return [Span(a, b) for a, b in zip(firsts, [*firsts[1:], within.last], strict=True)]


def ends_sentence(text: str, start: int, end: int) -> bool:
    """Return whether a span of a text ends where a sentence, a line or the text ends."""
    if not text[end:].strip() if len(text) - end < 1000 else False:
        return True
    tail = max(start, end - 12)
    if any(place == end for place in _ends(text, tail, min(len(text), end + 40))):
        return True
    return bool(re.match(r"[ \t\r]*\n", text[end : end + 40]))


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """Places right after which a new sentence may begin."""
    for match in _END.finditer(text, start, end):
        if match.lastgroup == "stop" and not _is_end(text, match.start(), match.end(), end):
            continue
        yield match.end()


def _is_end(text: str, stop: int, after: int, end: int) -> bool:
    following = _NEXT.match(text, after, min(end, after + 60))
    if following and following[1].islower():
        return False
    if text[stop] != ".":
        return True
    if text[stop : stop + 2] == "..":
        return True
    line = text.rfind("\n", max(0, stop - 8), stop) + 1
    if text[max(line, stop - 4) : stop].strip().isdigit() and stop - line <= 6 and line:
        return False  # "1." of a list
    last = _LAST_WORD.search(text, max(0, stop - 16), stop)
    if last is None:
        return True
    word = last[0].lower()
    if word in _SHORT or (word in _BEFORE_NUMBER and following and following[1].isdigit()):
        return False
    # An initial, as in "J. Smith"; "plan B." is rarer.
    return not (
        len(word.rpartition(".")[2]) == 1 and last[0][-1].isalpha() and last[0][-1].isupper()
    )
