"""Chunkers by name, their specs and their report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.chunking import CHUNKERS, DEFAULT, Chunker, make_chunker, report_chunks
from llmops_kernel.rag.documents import Document, Passage

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Vectors


class Subjects:
    """An embedder that knows three subjects, and which of them a text is mostly about."""

    id = "subjects@1"
    dim = 3
    max_tokens = 256

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Vectors:
        counts = [text.count(word) + 0.01 for word in ("cat", "tax", "ship")]
        vector = np.array(counts, dtype=np.float32)
        return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("name", CHUNKERS)
def test_every_name_makes_a_chunker(name: str) -> None:
    made = make_chunker(name, embedder=Subjects())
    assert isinstance(made, Chunker)
    assert made.name == name
    assert made.spec.startswith(f"{name}/")


def test_the_spec_tells_all_parameters_apart() -> None:
    specs = [
        make_chunker(name, size=size, overlap=overlap, embedder=Subjects()).spec
        for name in CHUNKERS
        for size, overlap in ((100, 0), (100, 10), (120, 10))
    ]
    assert len(set(specs)) == len(specs)
    assert "subjects@1" in make_chunker("semantic", embedder=Subjects()).spec
    assert make_chunker().spec == make_chunker(DEFAULT, size=None, overlap=None).spec


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("markdwon", {}, "did you mean 'markdown'"),
        ("parent_child", {}, "did you mean 'parent-child'"),
        ("token", {"size": 3}, "3 tokens"),
        ("token", {"size": 10**9}, "1000000000 tokens"),
        ("token", {"size": 100, "overlap": 50}, "50 tokens"),
        ("token", {"overlap": -1}, "-1 tokens"),
        ("semantic", {}, "embedder"),
    ],
)
def test_what_cannot_be(name: str, options: dict[str, int], told: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        make_chunker(name, **options)
    assert told in caught.value.sentence()


def test_a_small_size_brings_its_overlap_down() -> None:
    assert make_chunker("token", size=32).spec == "token/1 size=32 overlap=8"


def test_semantic_cuts_where_the_subject_changes() -> None:
    def about(word: str) -> str:
        return " ".join(f"This {word} is seen in sentence {n}." for n in range(8))

    text = " ".join(about(word) for word in ("cat", "tax", "ship"))
    passages = make_chunker("semantic", size=150, embedder=Subjects()).split(Document("s", text))
    subjects = [
        {word for word in ("cat", "tax", "ship") if word in text[p.start : p.end]} for p in passages
    ]
    assert all(len(subject) == 1 for subject in subjects)
    assert len(passages) <= 6


def test_semantic_never_passes_its_size() -> None:
    text = "This cat is the same cat as ever. " * 200
    made = make_chunker("semantic", size=100, embedder=Subjects())
    report = report_chunks(made, [(d := Document("s", text), made.split(d))])
    assert report.longest <= 100
    assert report.p5 > 40


def test_a_report_in_plain_data() -> None:
    text = "One two three. Four five six. Seven"
    spans = [(0, 14), (4, 29), (15, 22)]
    passages = [Passage(0, 35, leaf=False), *(Passage(a, b, parent=0) for a, b in spans)]
    made = make_chunker("sentence", size=16)
    report = report_chunks(made, [(Document("s", text), passages)], limit=5)
    assert report.as_dict() == {
        "spec": "sentence/1 size=16 overlap=0",
        "documents": 1,
        "count": 3,
        "parents": 1,
        "p5": 2,
        "p50": 4,
        "p95": 7,
        "longest": 7,
        "overlap": (10 + 7) / (14 + 25 + 7),
        "cut_mid_sentence": 1 / 3,
        "over_limit": 1,
        "limit": 5,
    }
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()
    empty = report_chunks(made, [])
    assert (empty.count, empty.longest, empty.overlap, empty.limit) == (0, 0, 0.0, 16)
