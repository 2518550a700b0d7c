"""Vector stores: the vectors of an index, in the store that a person names by URL.

`open_store` opens one; `VectorStore` says what all of them offer. Each kind goes through its
LlamaIndex vector store, so what is written can be read by any other LlamaIndex program.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from llmops_kernel.rag.stores.base import Hit, VectorStore
from llmops_kernel.rag.stores.urls import KINDS, parse_url

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Hit", "VectorStore", "open_store", "store_kinds"]

# Imported when a store of the kind is opened: each brings a client that takes seconds to load.
_HOMES = {
    "chroma": ("chroma", "ChromaStore"),
    "qdrant": ("qdrant", "QdrantStore"),
    "milvus": ("milvus", "MilvusStore"),
    "postgresql": ("pgvector", "PgvectorStore"),
    "pinecone": ("pinecone", "PineconeStore"),
}


def store_kinds() -> tuple[str, ...]:
    """Return the kinds of stores, as their URLs begin; the first is the default."""
    return KINDS


def open_store(url: str, *, index: str, dim: int, home: Path) -> VectorStore:
    """Open the part of a vector store that belongs to one index, creating it when it is new.

    Args:
        url: ``chroma``, ``qdrant`` or ``milvus`` (files below ``home``); ``chroma:///path``,
            ``qdrant:///path``, ``milvus:///path.db`` (files elsewhere; ``~/`` and ``./`` may stand
            for ``/``); ``chroma+http://host:port`` and so on (a server; ``+https`` for TLS, a key
            as ``:KEY@`` before the host or in ``CHROMA_API_KEY``, ``QDRANT_API_KEY``,
            ``MILVUS_TOKEN``); ``postgresql://user:password@host/database`` (pgvector);
            ``pinecone://INDEX`` or ``pinecone://INDEX?host=...`` (key in ``PINECONE_API_KEY``).
        index: Name of the index; any text.
        dim: Length of its vectors.
        home: Folder for stores that are only named by their kind.

    Raises:
        SettingsError: The URL has another form, or a key is missing.
        MissingExtra: The store's packages are not installed.
        StoreError: The store cannot be reached, or is in use by another process.
    """
    place = parse_url(url, home)
    module, name = _HOMES[place.kind]
    opened: VectorStore = getattr(import_module(f"{__name__}.{module}"), name)(
        place, index=index, dim=dim
    )
    return opened
