"""Retrieval: answers from the person's own documents, with citations.

`Library` keeps the indexes of a record; `ingest` reads documents into one (`reading`, `chunking`);
`Retriever` finds chunks (`retrieve`, over the vector stores of `stores`); `answer_from` asks a
model with what was found (`answer`); `evaluate` measures all that on labelled questions. The
record holds documents, chunks and vectors; a vector store is a copy of them to search.
"""

from typing import TYPE_CHECKING

from llmops_kernel.lazy import lazily

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Chunk, Document
    from llmops_kernel.rag.index import Index, IndexStats
    from llmops_kernel.rag.ingesting import IngestReport, ingest
    from llmops_kernel.rag.library import IndexSummary, Library
    from llmops_kernel.rag.retrieve import Found, SearchOptions
    from llmops_kernel.rag.where import Where, parse_condition

# Looked up when they are asked for: numpy and the stores take long to import.
_HOMES = {
    "Chunk": "documents",
    "Document": "documents",
    "Found": "retrieve",
    "Index": "index",
    "IndexStats": "index",
    "IndexSummary": "library",
    "IngestReport": "ingesting",
    "Library": "library",
    "SearchOptions": "retrieve",
    "Where": "where",
    "ingest": "ingesting",
    "parse_condition": "where",
}

__all__ = [
    "Chunk",
    "Document",
    "Found",
    "Index",
    "IndexStats",
    "IndexSummary",
    "IngestReport",
    "Library",
    "SearchOptions",
    "Where",
    "ingest",
    "parse_condition",
]

__getattr__ = lazily(__name__, _HOMES)
