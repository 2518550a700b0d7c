"""What every chunker promises, for any text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking import CHUNKERS, Chunker, make_chunker
from llmops_kernel.rag.documents import Document, make_chunks

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Vectors

PIECES = st.sampled_from(
    [
        "A sentence. ", "Another one, longer, with 3.5 % and Dr. Who! ", "word ", "same same. ",
        "\n", "\n\n", "# Heading\n", "### Deep\n\n", "Title\n=====\n", "- item\n", "  1. nested\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n", "```py\n# no heading\nx = 1\n```\n", "~~~\n", "   ",
        "\t", "\u3053\u308c\u306f\u6587\u3067\u3059\u3002", "\U0001f600", "e\u0301", "\u00a0",
        "\u2028", "x" * 80, "https://a.example/b?c=d ", "> quote\n", "---\n", "\r\n", "|", "`",
        "\x00",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=120).map("".join))
MEDIA = st.sampled_from(["markdown", "text", "csv", "pdf", "html"])

PATHOLOGICAL = {
    "one line of words": "word " * 30_000,
    "one word": "x" * 150_000,
    "spaces": " \n\t" * 30_000,
    "headings": "# heading\n" * 3_000,
    "deeper headings": "".join(f"{'#' * (n % 6 + 1)} part {n}\n" for n in range(3_000)),
    "pipes": "|" * 100_000,
    "rows": "| a | b |\n" * 5_000,
    "fences": "```\n" * 5_001,
    "open fence": "```\n" + "x = 1\n" * 5_000,
    "items": "- a\n" * 5_000,
    "full stops": ". " * 20_000,
    "ideographs": "\u6f22\u5b57\u3002" * 10_000,
    "emoji": "\U0001f600" * 20_000,
    "brackets": ("# " + "[" * 900 + "\n") * 50,
    "rule": "a\n" + "-" * 100_000 + "x",
    "gap": "a" + " " * 100_000 + "b",
    "repeated": "All the same here. " * 3_000,
}


class HashedWords:
    """An embedder that is exact and needs no model: the share of each word, hashed."""

    id = "hashed-words@1"
    dim = 64
    max_tokens = 256

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        vector = np.full(self.dim, 1e-3, dtype=np.float32)
        for word in text.lower().split():
            vector[hashlib.sha256(word.encode("utf-8", "replace")).digest()[0] % self.dim] += 1
        return vector / np.linalg.norm(vector)


def chunker(name: str, size: int | None = None, overlap: int | None = None) -> Chunker:
    return make_chunker(name, size=size, overlap=overlap, embedder=HashedWords())


def check(made: Chunker, document: Document) -> None:
    text = document.text
    passages = made.split(document)
    last = 0
    covered = bytearray(len(text))
    for at, passage in enumerate(passages):
        assert 0 <= passage.start < passage.end <= len(text)
        assert passage.start >= last
        last = passage.start
        span = text[passage.start : passage.end]
        assert not span[0].isspace()
        assert not span[-1].isspace()
        if passage.leaf:
            covered[passage.start : passage.end] = b"\x01" * (passage.end - passage.start)
        if passage.parent is not None:
            parent = passages[passage.parent]
            assert passage.parent < at
            assert not parent.leaf
            assert parent.start <= passage.start
            assert passage.end <= parent.end
    missed = [text[at] for at in range(len(text)) if not covered[at] and not text[at].isspace()]
    assert missed == []
    leaves = [(passage.start, passage.end) for passage in passages if passage.leaf]
    assert len(set(leaves)) == len(leaves)
    ids = [chunk.chunk_id for chunk in make_chunks(document, passages) if chunk.leaf]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", CHUNKERS)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, media=MEDIA, size=st.integers(16, 90), share=st.floats(0, 0.49))
@example(text="a. a. a. a. a. a. a. a. a. a. a. a. ", media="text", size=16, share=0.4)
@example(text="# A\n# B\n## C\n", media="markdown", size=16, share=0.0)
def test_any_text(name: str, text: str, media: str, size: int, share: float) -> None:
    check(chunker(name, size, int(size * share)), Document("s", text, media=media))


@pytest.mark.parametrize("name", CHUNKERS)
@pytest.mark.parametrize("case", PATHOLOGICAL)
def test_pathological_texts(name: str, case: str) -> None:
    made = chunker(name)
    document = Document("s", PATHOLOGICAL[case], media="markdown")
    check(made, document)
    for passage in made.split(document):
        if passage.leaf:
            # A run without spaces is cut within words, whose counts do not quite add up.
            span = document.text[passage.start : passage.end].split()
            tokens = count_tokens(" ".join(span)) if case == "gap" else 0
            tokens = tokens or count_tokens(document.text[passage.start : passage.end])
            assert tokens <= made.size * 1.1 or case == "gap"


@pytest.mark.parametrize("name", CHUNKERS)
def test_prose_stays_within_the_size(name: str) -> None:
    text = "\n\n".join(
        f"## Part {n}\n\n" + f"The part number {n} tells of the thing. " * (n % 40)
        for n in range(80)
    )
    made = chunker(name)
    for passage in made.split(Document("s", text, media="markdown")):
        if passage.leaf:
            assert count_tokens(text[passage.start : passage.end]) <= made.size


@pytest.mark.parametrize("name", CHUNKERS)
def test_the_same_document_gives_the_same_passages(name: str) -> None:
    document = Document("s", "# A\n\nOne thing. Two things.\n\n- x\n- y\n\n" * 40, media="markdown")
    assert chunker(name).split(document) == chunker(name).split(document)


@pytest.mark.parametrize("name", ["token", "sentence"])
def test_overlap_repeats_at_most_what_was_asked(name: str) -> None:
    text = " ".join(f"Sentence number {n} is here." for n in range(200))
    plain = chunker(name, 60, 0).split(Document("s", text))
    assert all(a.end < b.start for a, b in pairwise(plain))
    passages = chunker(name, 60, 20).split(Document("s", text))
    shared = [text[b.start : a.end] for a, b in pairwise(passages)]
    assert all(0 < count_tokens(part) <= 20 for part in shared)
