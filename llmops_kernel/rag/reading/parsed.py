"""What a format's parser takes and returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Value


@dataclass(frozen=True, slots=True)
class Raw:
    """A document as it was stored or sent.

    Attributes:
        data: Its bytes.
        name: Its file name.
        charset: The encoding that a server says it has; None for a file.
    """

    data: bytes
    name: str = ""
    charset: str | None = None


@dataclass(slots=True)
class Parsed:
    """A document before it has a source.

    Attributes:
        text: Its text, lines ended by a line feed alone.
        media: As in `Document.media`.
        title: Its own title; "" when it has none.
        metadata: Flat facts that it tells about itself.
        pages: As in `Document.pages`.
    """

    text: str
    media: str
    title: str = ""
    metadata: dict[str, Value] = field(default_factory=dict)
    pages: tuple[tuple[int, int], ...] = ()
