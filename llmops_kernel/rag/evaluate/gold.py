"""Gold passages, found in an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.errors import nearest
from llmops_kernel.rag.documents import SHARED, text_of
from llmops_kernel.rag.evaluate.locate import locate

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.evaluate.questions import EvalQuestion, GoldSpan
    from llmops_kernel.rag.record import DocumentEntry, IndexRecord

# A gold passage that is a whole document ends here: after every character there can be.
_WHOLE = 1 << 60


@dataclass(frozen=True, slots=True)
class Place:
    """Characters of a document: first, and one past the last."""

    doc_id: str
    start: int
    end: int

    @property
    def whole(self) -> bool:
        """Whether it stands for the whole document."""
        return self.end == _WHOLE


def whole_document(doc_id: str) -> Place:
    """Return the place that is a whole document."""
    return Place(doc_id, 0, _WHOLE)


class Unresolved(Exception):
    """A question's gold is not in the index; carries (reason, detail)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class GoldFinder:
    """Finds gold passages in the documents of an index.

    Args:
        record: The index's documents and chunks.
    """

    def __init__(self, record: IndexRecord) -> None:
        self._record = record
        self._texts: dict[str, str] = {}
        self._chunks: dict[str, list[Chunk]] = {}
        self._sources: dict[str, list[DocumentEntry]] = {}
        for entry in record.documents().values():
            self._sources.setdefault(entry.source, []).append(entry)

    def places(self, question: EvalQuestion, tenant: str) -> tuple[Place, ...]:
        """Return where a question's gold stands, each place once.

        Args:
            question: The question.
            tenant: Who asks: gold that they cannot see is a mistake in the labels.

        Raises:
            Unresolved: Something is not in the index, or not to be seen.
        """
        found = [self._of_id(each, tenant) for each in question.gold_ids]
        found += [self._of_span(each, tenant) for each in question.gold_spans]
        return tuple(dict.fromkeys(found))

    def leaves(self, doc_id: str) -> list[Place]:
        """Return the searched chunks of a document."""
        return [Place(doc_id, c.start, c.end) for c in self._chunks_of(doc_id) if c.leaf]

    def text(self, doc_id: str) -> str:
        """Return a document's text, put together from its chunks.

        What lies between chunks is space, and stands here as line ends: rows keep their labels.
        """
        if doc_id not in self._texts:
            self._texts[doc_id] = text_of(self._chunks_of(doc_id))
        return self._texts[doc_id]

    def _chunks_of(self, doc_id: str) -> list[Chunk]:
        if doc_id not in self._chunks:
            self._chunks[doc_id] = self._record.chunks_of(doc_id)
        return self._chunks[doc_id]

    def _of_id(self, name: str, tenant: str) -> Place:
        if name not in self._sources and name not in self._record.documents():
            chunk = self._record.chunks([name]).get(name)
            if chunk is not None:
                _check_visible(name, chunk.tenant, tenant)
                return Place(chunk.doc_id, chunk.start, chunk.end)
        return whole_document(self._document(name, tenant).doc_id)

    def _of_span(self, span: GoldSpan, tenant: str) -> Place:
        entry = self._document(span.source, tenant)
        text = self.text(entry.doc_id)
        if span.start is not None and span.end is not None:
            if span.end > len(text) or not text[span.start : span.end].strip():
                raise Unresolved(
                    "the span is not in the document",
                    f"{span.start} to {span.end} of {len(text)} characters of {span.source}",
                )
            return Place(entry.doc_id, span.start, span.end)
        found = locate(span.quote, text)
        if not found:
            raise Unresolved("the quote is not in the document", _told(span))
        if len(found) > 1:
            # Judged against one of them, a search that finds the other would count as wrong.
            raise Unresolved("the quote is in the document more than once", _told(span))
        return Place(entry.doc_id, found[0].start, found[0].end)

    def _document(self, name: str, tenant: str) -> DocumentEntry:
        by_id = self._record.documents().get(name)
        entries = self._sources.get(name, [by_id] if by_id else [])
        if not entries:
            raise Unresolved("not in the index", f"{name!r}{nearest(name, list(self._sources))}")
        for owner in (tenant, SHARED):
            for entry in entries:
                if entry.tenant == owner:
                    return entry
        _check_visible(name, entries[0].tenant, tenant)
        return entries[0]


def _check_visible(name: str, owner: str, tenant: str) -> None:
    if owner not in (SHARED, tenant):
        asker = f"the tenant {tenant!r}" if tenant else "somebody without a tenant"
        raise Unresolved("the gold is another tenant's", f"{name!r}, asked by {asker}")


def _told(span: GoldSpan) -> str:
    quote = " ".join(span.quote.split())
    return f"{quote[:60]!r}{'...' if len(quote) > 60 else ''} in {span.source}"
