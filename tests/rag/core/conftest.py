from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmops_kernel.embed import Embedder, builtin
from llmops_kernel.rag.library import Library
from llmops_kernel.store import Store, open_store

FEES = """---
version: 2026
---
# Fees

## Cards

A replacement card costs $12 on Basic. On Plus the first one in a year is free.

## Transfers

A transfer abroad costs $4.00 on Basic and $1.50 on Plus.
"""
CARDS = """# Lost cards

Freeze the card in the app at once. Freezing can be undone, blocking cannot.

A new plastic card takes 5 to 7 working days.
"""
SAVINGS = """# Savings

The Easy Pot pays 2.1 % a year, variable. The Notice Pot pays 3.0 % and needs 35 days' notice.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents."""
    docs = tmp_path / "docs"
    (docs / "help").mkdir(parents=True)
    (docs / "fees.md").write_text(FEES)
    (docs / "help" / "cards.md").write_text(CARDS)
    (docs / "help" / "savings.md").write_text(SAVINGS)
    return docs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'record.db'}")
    yield opened
    opened.close()


class Named:
    """The built-in embedder under another name, as a new version of it would be."""

    def __init__(self, name: str) -> None:
        self._inner = builtin()
        self.id = name
        self.dim = self._inner.dim
        self.max_tokens = self._inner.max_tokens
        self.texts = 0

    def embed_texts(self, texts):
        self.texts += len(texts)
        return self._inner.embed_texts(texts)

    def embed_query(self, text):
        return self._inner.embed_query(text)


@pytest.fixture
def embedders() -> dict[str, Embedder]:
    return {"builtin": builtin(), "other": Named("other@1")}


@pytest.fixture
def make_library(
    store: Store, tmp_path: Path, embedders: dict[str, Embedder]
) -> Iterator[Callable[[], Library]]:
    made: list[Library] = []

    def make() -> Library:
        library = Library(
            store,
            home=tmp_path / "rag",
            embedder_of=embedders.__getitem__,
            embedder="builtin",
            vectors="chroma",
        )
        made.append(library)
        return library

    yield make
    for library in made:
        library.close()


@pytest.fixture
def library(make_library: Callable[[], Library]) -> Library:
    return make_library()
