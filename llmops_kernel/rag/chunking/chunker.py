"""What every chunker offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Document, Passage


@runtime_checkable
class Chunker(Protocol):
    """Cuts documents into passages, the same document always into the same.

    Attributes:
        name: Its name, as a person gives it.
        spec: Everything that decides where it cuts, in one line: name, version, sizes. Stored with
            an index: chunks of different specs do not belong in one.
        size: Most tokens of a searched passage.
    """

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        ...

    @property
    def size(self) -> int:
        """Most tokens of a searched passage."""
        ...

    def split(self, document: Document) -> list[Passage]:
        """Return passages in the order of their starts.

        The searched ones hold every character of the text but spaces, and neither begin nor end
        with a space. A text of spaces has no passages.
        """
        ...
