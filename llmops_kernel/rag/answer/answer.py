"""What a person gets for a question to their documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.sources import sources_view
from llmops_kernel.prompts.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Collection

NOT_IN_DOCUMENTS = "The documents do not say."


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the model was given.

    Attributes:
        number: What it is cited as.
        chunk_id: The chunk.
        document: The document's source.
        title: The document's title.
        heading: Headings above it.
        page: Page it begins on; None without pages.
        start: First character in the document.
        end: One past the last character.
        score: What it was ordered by; comparable within one search only.
        text: The passage.
        cited: Whether the answer rests on it: a statement cites it and it bears the statement out.
    """

    number: int
    chunk_id: str
    document: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    score: float
    text: str
    cited: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """Where it is in its document, in characters."""
        return (self.start, self.end)


@dataclass(frozen=True, repr=False)
class RagAnswer(Answer):
    """An `Answer` with the passages it rests on.

    Attributes:
        sources: The passages the model was given, best first.
        found: Whether the documents answer the question.
        unsupported: Statements of the answer that no passage bears out.
        draft: What the model wrote, where it is not what is shown.
        index: The index.
    """

    sources: tuple[Source, ...] = ()
    found: bool = True
    unsupported: tuple[str, ...] = ()
    draft: str = ""
    index: str = ""

    @property
    def citations(self) -> tuple[Source, ...]:
        """The sources that the answer rests on."""
        return tuple(source for source in self.sources if source.cited)

    def __repr__(self) -> str:
        return f"Rag{super().__repr__()}"

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return Markdown and text with the sources below, and the figures as metadata."""
        return sources_view(self, footer=self.footer)._repr_mimebundle_(include, exclude)
