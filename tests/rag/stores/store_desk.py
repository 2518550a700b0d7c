"""Chunks, vectors and conditions to try vector stores with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.stores import VectorStore
from llmops_kernel.rag.where import Where

Opening = Callable[..., VectorStore]
Making = Callable[..., Chunk]
DIM = 24
ALL = 10_000
TENANTS = ["", "acme", "Acme", 'o\'neil "x"', "a\0b", "a\ufffdb", "münchen", "' or '1'='1", "\\"]


# One name with values of many types, names that stores keep for themselves, values that break out
# of quotes, and numbers at the edges.
VALUES: list[Any] = [
    *(
        "2026",
        "fees",
        "Zürich — 日本",
        "o'neil",
        'say "hi"',
        "a:b",
        "100%",
        "\\'; DROP TABLE x",
        "",
    ),
    *("true", "1e3", "nan", "{x}", "a\0b", "\ud800", "x" * 900, 2026, 3, 3.0, 3.5, -1, 0, 1e-300),
    *(True, False, 2**53, 2**53 + 1, 10**400, 1e300, math.inf),
]
NAMES = ["version", "kind", "naïve", "dot.ted", "a-b", "text", "id", "in", "embedding", "x" * 80]


def unit(rows: int, seed: int, dim: int = DIM) -> np.ndarray:
    """Unit vectors around a few centres, as texts on a few subjects have."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, rows // 30), dim))
    made = centres[rng.integers(0, len(centres), rows)] + 0.6 * rng.standard_normal((rows, dim))
    unit: np.ndarray = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def exact_scores(chunks: list[Chunk], vectors: np.ndarray, asked: np.ndarray, where: Where) -> Any:
    cosines = vectors.astype(np.float64) @ asked.astype(np.float64)
    return {c.chunk_id: s for c, s in zip(chunks, cosines, strict=True) if where.holds(c.facts)}


def mixed_chunks(making: Making) -> list[Chunk]:
    rng = np.random.default_rng(7)
    chunks = []
    for number in range(120):
        names = rng.choice(len(NAMES), size=3, replace=False)
        chunks.append(
            making(
                f"docs/{number % 7}/{number}.md",
                f"text {number}\0\ud800",
                title=f"Tïtle: {number % 5}",
                tenant=TENANTS[number % len(TENANTS)],
                metadata={NAMES[n]: VALUES[rng.integers(len(VALUES))] for n in names},
                pages=((1, 0),) if number % 3 else (),
            )
        )
    return chunks
