"""Cutting documents into passages: exact spans, sized for the embedder, with their headings.

A chunker is chosen by name (`make_chunker`). All count tokens alike, keep words whole, and give
places in the document's own text, so that a citation shows what was read. `report_chunks` says
what a chunker made of documents.
"""

from llmops_kernel.rag.chunking.chunker import Chunker
from llmops_kernel.rag.chunking.make import CHUNKERS, DEFAULT, make_chunker
from llmops_kernel.rag.chunking.report import ChunkReport, report_chunks

__all__ = ["CHUNKERS", "DEFAULT", "ChunkReport", "Chunker", "make_chunker", "report_chunks"]
