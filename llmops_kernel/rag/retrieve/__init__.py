"""Finding the chunks that answer a question: dense, BM25, and both together.

`Retriever` runs the steps in order (embed, dense, BM25, fuse, rerank, diversify, merge); each step
is a module here and a span in the trace.
"""

from llmops_kernel.rag.retrieve.found import Found, SearchOptions
from llmops_kernel.rag.retrieve.retriever import Retriever

__all__ = ["Found", "Retriever", "SearchOptions"]
