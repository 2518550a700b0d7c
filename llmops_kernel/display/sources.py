"""The sources below an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmops_kernel.display.answer import AnswerLike, answer_view, footer_line
from llmops_kernel.display.markdown import literal, safe_markdown
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


class SourcedAnswer(AnswerLike, Protocol):
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


def sources_view(answer: SourcedAnswer, *, footer: bool = False) -> View:
    """Return an answer's mime bundle with its sources between text and footer.

    Cited documents are listed; ids, spans and scores of all go to the metadata.
    """
    view = answer_view(answer)
    plain, rich = view.data["text/plain"], view.data["text/markdown"]
    lines = [f"[{source.number}] {_place(source)}" for source in answer.citations]
    if lines:
        plain += "\n\n" + "\n".join(lines)
        rich += "\n\n" + "  \n".join(safe_markdown(literal(line)) for line in lines)
    if answer.unsupported:
        note = f"No passage bears this out: {one_line(answer.unsupported[0], 120)}"
        if len(answer.unsupported) > 1:
            note += f" (and {len(answer.unsupported) - 1} more)"
        plain += f"\n\n{note}"
        rich += f"\n\n*{safe_markdown(literal(note))}*"
    if footer:
        line = footer_line(answer)
        plain += f"\n\n{line}"
        rich += f"\n\n{safe_markdown(literal(line))}"
    cited = {source.number for source in answer.citations}
    facts = {
        **view.facts,
        "found": answer.found,
        "sources": [
            {
                "number": source.number,
                "document": source.document,
                "chunk_id": source.chunk_id,
                "heading": source.heading,
                "page": source.page,
                "span": [source.start, source.end],
                "cited": source.number in cited,
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
