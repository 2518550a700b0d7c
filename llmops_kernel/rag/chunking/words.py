"""A text as counted words, so that any span's tokens are known without reading it again."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from llmops_kernel.calls.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

# Chinese and Japanese are written without spaces: each character may begin a chunk. Elsewhere a
# run without spaces (a link, base64) is cut after 32 characters, so that no word is a chunk.
_UNSPACED = r"\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,32}}")
_KNOWN_WORDS = 200_000  # most counts that are kept of one text


class Span(NamedTuple):
    """Words ``first`` up to, not including, ``last``."""

    first: int
    last: int


class Words:
    """The words of a text, with their places and a running count of tokens.

    Tokens are those of `llmops_kernel.calls.tokens.count_tokens` for no model in particular: the
    same everywhere, 3 to 20 % above what the built-in embedder reads in English prose, tables and
    code, so that a chunk of 250 tokens is read to its end (256 word pieces).

    Args:
        text: The text.

    Attributes:
        text: The text.
        starts: The first character of each word.
        ends: One past the last character of each word.
        before: Tokens of the text before each word.
        after: Tokens of the text up to the end of each word.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.before: list[int] = []
        self.after: list[int] = []
        counts: dict[str, int] = {}
        total = end = 0
        for start, stop in _find(text):
            gap, word = text[end:start], text[start:stop]
            own = _count(word, counts)
            # A tokenizer joins a single space to the word after it.
            space = _count(gap + word, counts) - own if gap else 0
            self.starts.append(start)
            self.ends.append(stop)
            self.before.append(total + space)
            total += space + own
            self.after.append(total)
            end = stop

    def __len__(self) -> int:
        return len(self.starts)

    def tokens(self, span: Span) -> int:
        """Return about how many tokens a span has; 0 for an empty one."""
        if span.first >= span.last:
            return 0
        return self.after[span.last - 1] - self.before[span.first]

    def within(self, start: int, end: int) -> Span:
        """Return the words that begin within a span of characters."""
        return Span(bisect_left(self.starts, start), bisect_left(self.starts, end))

    def place(self, span: Span) -> tuple[int, int]:
        """Return the characters of a span that is not empty: first, and one past the last."""
        return self.starts[span.first], self.ends[span.last - 1]

    def fit(self, first: int, limit: int, stop: int) -> int:
        """Return the end of the longest span from ``first`` of at most ``limit`` tokens.

        Never beyond ``stop``, and always one word at least.
        """
        low, high = first + 1, stop
        while low < high:
            middle = (low + high + 1) // 2
            if self.tokens(Span(first, middle)) <= limit:
                low = middle
            else:
                high = middle - 1
        return low

    def reach(self, last: int, limit: int) -> int:
        """Return the start of the longest span that ends at ``last``, of at most ``limit`` tokens.

        ``last`` itself where not even one word fits.
        """
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            if self.tokens(Span(middle, last)) <= limit:
                high = middle
            else:
                low = middle + 1
        return low

    def slices(self, span: Span, limit: int) -> Iterator[Span]:
        """Cut a span into spans of at most ``limit`` tokens, about equal, between words."""
        total = self.tokens(span)
        target = -(-total // max(1, -(-total // limit))) if total else limit
        first = span.first
        while first < span.last:
            last = self.fit(first, min(limit, target), span.last)
            yield Span(first, last)
            first = last


def _find(text: str) -> Iterator[tuple[int, int]]:
    for match in _WORD.finditer(text):
        yield match.span()


def _count(text: str, counts: dict[str, int]) -> int:
    if len(text) > 100:  # a long gap; not worth keeping
        return count_tokens(text)
    known = counts.get(text)
    if known is None:
        known = count_tokens(text)
        if len(counts) < _KNOWN_WORDS:
            counts[text] = known
    return known
