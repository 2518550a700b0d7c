"""Reading documents: files, folders, patterns and addresses in, texts with their facts out.

`find_sources` says what there is, `read` reads one; what cannot be read is `Unreadable`, with a
reason, and never stops the rest. Each format's parser is a module of `formats`, imported when the
format is met.
"""

from llmops_kernel.rag.reading.read import read
from llmops_kernel.rag.reading.sources import MAX_BYTES, Source, find_sources
from llmops_kernel.rag.reading.unreadable import Reason, Unreadable

__all__ = ["MAX_BYTES", "Reason", "Source", "Unreadable", "find_sources", "read"]
