"""What ``%rag`` returns: data for code, views for people. ``%%rag`` returns a `RagAnswer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from llmops_kernel.display import (
    View,
    index_list_view,
    index_stats_view,
    ingest_view,
    search_view,
)
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.rag.index import IndexStats
    from llmops_kernel.rag.ingesting import Failure, IngestReport
    from llmops_kernel.rag.library import IndexSummary
    from llmops_kernel.rag.retrieve import Found


@dataclass(frozen=True, repr=False)
class IndexList(Shown):
    """All indexes, by name."""

    indexes: tuple[IndexSummary, ...]

    def __iter__(self) -> Iterator[IndexSummary]:
        return iter(self.indexes)

    def __len__(self) -> int:
        return len(self.indexes)

    def view(self) -> View:
        """Build the table of indexes."""
        return index_list_view(self.indexes)


@dataclass(frozen=True, repr=False)
class IndexPage(Shown):
    """What is in an index.

    Attributes:
        stats: Counts, parts, and the sizes of the chunks.
        failed: Documents that could not be read again when it was built anew.
    """

    stats: IndexStats
    failed: tuple[Failure, ...] = ()
    stable: bool = False

    def view(self) -> View:
        """Build the page of the index."""
        return index_stats_view(self.stats, failed=self.failed, stable=self.stable)


@dataclass(frozen=True, repr=False)
class Ingested(Shown):
    """What an ingest did."""

    report: IngestReport

    @property
    def ok(self) -> bool:
        """Whether every document could be read."""
        return self.report.ok

    @property
    def failed(self) -> tuple[Failure, ...]:
        """The documents that could not be read, each with its reason."""
        return tuple(self.report.failed)

    def view(self) -> View:
        """Build the report."""
        return ingest_view(self.report)


@dataclass(frozen=True, repr=False)
class SearchResult(Shown):
    """The chunks that fit a question, best first; a sequence of `Found`."""

    question: str
    index: str
    found: tuple[Found, ...]

    @overload
    def __getitem__(self, place: int) -> Found: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Found, ...]: ...

    def __getitem__(self, place: int | slice) -> Found | tuple[Found, ...]:
        return self.found[place]

    def __iter__(self) -> Iterator[Found]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def view(self) -> View:
        """Build the list of what was found."""
        return search_view(self.found, question=self.question, index=self.index)
