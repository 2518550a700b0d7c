"""Where sentences end."""

from __future__ import annotations

import pytest

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking.sentences import ends_sentence, find_sentences
from llmops_kernel.rag.chunking.words import Span, Words


def sentences(text: str) -> list[str]:
    words = Words(text)
    spans = find_sentences(words, Span(0, len(words)))
    return [text[slice(*words.place(span))] for span in spans]


@pytest.mark.parametrize(
    "marked",
    [
        "It is done. @@Is it? @@Yes! @@Well\u2026 @@Good.",
        "Dr. Who met Mr. J. R. Smith at 5.30 p.m. near the U.S. border. @@He left.",
        "See Fig. 3 and No. 5 of vol. 2 there. @@The answer is no. @@The sun set.",
        "It costs 3.5 % of 1,000.50 euros, e.g. Ten of them, i.e. Much. @@So it is.",
        'He said "Stop." @@Then (at last.) it ended. @@\u201cReally?\u201d @@Yes.',
        "First line\nwrapped goes on here. @@Second.",
        "One paragraph without a stop\n\n@@Another one",
        "# A heading. With a stop\n@@Text under it.",
        "Buy:\n@@- milk\n@@- eggs\n@@1. first\n@@2. second",
        "wait... no, this goes on. @@End.",
    ],
)
def test_sentences(marked: str) -> None:
    assert sentences(marked.replace("@@", "")) == [part.strip() for part in marked.split("@@")]


def test_japanese_needs_no_spaces() -> None:
    text = "\u3053\u308c\u306f\u6587\u3067\u3059\u3002\u305d\u308c\u3082\uff1f\u306f\u3044\u3002"
    assert [len(part) for part in sentences(text)] == [7, 4, 3]


def test_whether_a_span_ends_a_sentence() -> None:
    text = "One sentence here. Another\none there"
    assert ends_sentence(text, 0, 18)
    assert not ends_sentence(text, 0, 12)
    assert ends_sentence(text, 0, 26)  # a line's end
    assert ends_sentence(text, 19, len(text))


def test_counts_of_spans_add_up_to_the_count_of_the_text() -> None:
    text = "The  quick brown fox\n\n    over 1,234 dogs; \u00e7a va? \u6f22\u5b57\u3002 Yes.\n"
    words = Words(text)
    assert abs(words.tokens(Span(0, len(words))) - count_tokens(text.strip())) <= 1
    for first in range(len(words)):
        for last in range(first + 1, len(words) + 1):
            start, end = words.place(Span(first, last))
            assert abs(words.tokens(Span(first, last)) - count_tokens(text[start:end])) <= 1
