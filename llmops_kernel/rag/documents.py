"""Documents and chunks, as readers, chunkers, stores and retrieval hand them on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

Value = str | int | float | bool
Metadata = Mapping[str, Value]

# A file's name that says nothing: "0042.txt", "a-17.md".
_NUMBER_NAME = re.compile(r"(?:[^\W\d_]{0,2}[\d\W_])+[^\W\d_]{0,4}")
# The tenant of documents that everybody may see.
SHARED = ""


@dataclass(frozen=True)
class Document:
    """One readable document.

    Attributes:
        source: Where it came from (a path or URL, as a person would write it). With the tenant,
            its identity in an index: the next version of the file has the same source.
        text: Its whole text; chunks and citations are spans of it, in characters.
        title: Its title, or the file's name.
        tenant: Who may see it; "" for everybody.
        metadata: Flat facts to filter by (``version``, ``language``, front matter, ...).
        pages: For paged formats: (number, offset in ``text`` where the page begins), ascending.
        media: "markdown", "html", "pdf", "text", "csv", "docx" or "notebook".
    """

    source: str
    text: str
    title: str = ""
    tenant: str = SHARED
    metadata: Metadata = field(default_factory=dict)
    pages: tuple[tuple[int, int], ...] = ()
    media: str = "text"

    @cached_property
    def doc_id(self) -> str:
        """Identity within an index (hex, 16 characters): tenant and source, not the content."""
        return _hash(self.tenant, self.source)[:16]

    @cached_property
    def digest(self) -> str:
        """Hash of everything that would change the chunks (hex, 32 characters)."""
        facts = json.dumps(dict(self.metadata), sort_keys=True, ensure_ascii=False)
        pages = json.dumps(self.pages)
        return _hash(self.text, self.title, facts, pages, self.media)[:32]

    def page_at(self, offset: int) -> int | None:
        """Return the number of the page that holds a character; None without pages."""
        found = None
        for number, start in self.pages:
            if start > offset:
                break
            found = number
        return found


@dataclass(frozen=True, slots=True)
class Passage:
    """What a chunker cuts: a span of a document's text.

    Attributes:
        start: First character.
        end: One past the last character.
        heading: Headings above it, outermost first, joined by " > ".
        parent: Position, in the chunker's result, of the larger passage this one merges into;
            None for a passage of its own. Parents themselves are not searched.
        leaf: Whether it is searched; False for passages that are only parents.
    """

    start: int
    end: int
    heading: str = ""
    parent: int | None = None
    leaf: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage with its identity, ready to embed, store and cite.

    Attributes:
        chunk_id: Hash of document, place and text (hex, 24 characters): the same passage of an
            unchanged document keeps its id, so caches and judgements that name it stay right.
        doc_id: The document's id.
        source: The document's source.
        title: The document's title.
        tenant: The document's tenant.
        text: ``document.text[start:end]``.
        start: First character in the document.
        end: One past the last character.
        heading: Headings above it.
        page: Page it begins on; None without pages.
        parent_id: The chunk it merges into; "" for none.
        leaf: Whether it is searched.
        metadata: The document's metadata.
    """

    chunk_id: str
    doc_id: str
    source: str
    title: str
    tenant: str
    text: str
    start: int
    end: int
    heading: str = ""
    page: int | None = None
    parent_id: str = ""
    leaf: bool = True
    metadata: Metadata = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Value]:
        """What filters see: the metadata, and the chunk's own facts over them."""
        own: dict[str, Value] = {
            "doc_id": self.doc_id,
            "source": self.source,
            "title": self.title,
            "heading": self.heading,
            "tenant": self.tenant,
        }
        if self.page is not None:
            own["page"] = self.page
        return {**self.metadata, **own}

    @property
    def embedded_text(self) -> str:
        """What is embedded: the text below its title and headings, which name its subject."""
        title = "" if _NUMBER_NAME.fullmatch(self.title) else self.title
        above = " > ".join(part for part in (title, self.heading) if part)
        return f"{above}\n{self.text}" if above else self.text


def make_chunks(document: Document, passages: list[Passage]) -> list[Chunk]:
    """Give the passages of a document their identities, in the same order."""
    ids = [
        _hash(document.doc_id, str(p.start), str(p.end), document.text[p.start : p.end])[:24]
        for p in passages
    ]
    return [
        Chunk(
            chunk_id=own,
            doc_id=document.doc_id,
            source=document.source,
            title=document.title,
            tenant=document.tenant,
            text=document.text[p.start : p.end],
            start=p.start,
            end=p.end,
            heading=p.heading,
            page=document.page_at(p.start),
            parent_id=ids[p.parent] if p.parent is not None else "",
            leaf=p.leaf,
            metadata=document.metadata,
        )
        for own, p in zip(ids, passages, strict=True)
    ]


def text_of(chunks: Iterable[Chunk], *, space: str = "\n") -> str:
    """Put a document's text together from its chunks.

    Args:
        chunks: All chunks of the document.
        space: What stands for a single character between two chunks, which nobody kept; longer
            gaps are newlines.
    """
    text = ""
    for chunk in sorted(chunks, key=lambda each: each.start):
        if chunk.end > len(text):
            gap = chunk.start - len(text)
            text += space if gap == 1 else "\n" * gap
            text += chunk.text[len(text) - chunk.start :]
    return text


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
