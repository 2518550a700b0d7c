"""The sources below an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmops_kernel.display.markdown import safe_markdown
from llmops_kernel.display.mime import View
from llmops_kernel.display.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


class SourceLike(Protocol):
    """What is shown of a source."""

    @property
    def number(self) -> int:
        """What it is cited as."""

    @property
    def document(self) -> str:
        """The document."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def heading(self) -> str:
        """Headings above the passage."""

    @property
    def page(self) -> int | None:
        """Page, or None."""

    @property
    def start(self) -> int:
        """First character."""

    @property
    def end(self) -> int:
        """One past the last character."""

    @property
    def score(self) -> float:
        """What it was ordered by."""

    @property
    def chunk_id(self) -> str:
        """The chunk."""


class SourcedLike(Protocol):
    """An answer with sources."""

    @property
    def citations(self) -> Sequence[SourceLike]:
        """The sources it rests on."""

    @property
    def sources(self) -> Sequence[SourceLike]:
        """All passages the model was given."""

    @property
    def unsupported(self) -> Sequence[str]:
        """Statements no passage bears out."""

    @property
    def found(self) -> bool:
        """Whether the documents answer the question."""


def sources_view(view: View, answer: SourcedLike) -> View:
    """Return an answer's mime bundle with its sources added.

    Cited documents are listed below text and Markdown; ids, spans and scores go to the metadata.
    """
    plain, rich = view.data["text/plain"], view.data["text/markdown"]
    lines = [f"[{source.number}] {_place(source)}" for source in answer.citations]
    if lines:
        plain += "\n\n" + "\n".join(lines)
        rich += "\n\n" + "  \n".join(safe_markdown(_literal(line)) for line in lines)
    if answer.unsupported:
        note = f"No passage bears this out: {one_line(answer.unsupported[0], 120)}"
        if len(answer.unsupported) > 1:
            note += f" (and {len(answer.unsupported) - 1} more)"
        plain += f"\n\n{note}"
        rich += f"\n\n*{safe_markdown(_literal(note))}*"
    facts = {
        **view.facts,
        "found": answer.found,
        "sources": [
            {
                "number": source.number,
                "document": source.document,
                "chunk_id": source.chunk_id,
                "span": [source.start, source.end],
                "score": round(source.score, 4),
            }
            for source in answer.sources
        ],
    }
    return View({"text/plain": plain, "text/markdown": rich}, facts)


def _place(source: SourceLike) -> str:
    place = source.document
    if source.page is not None:
        place += f", page {source.page}"
    if source.heading:
        place += f", {source.heading}"
    return one_line(place, 160)


def _literal(line: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|~" else char for char in line)
