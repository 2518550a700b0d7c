"""Spans, as they are read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

SpanKind = Literal["cell", "ask", "llm", "embeddings", "tool", "retrieval", "judge", "run"]
SpanStatus = Literal["running", "ok", "error", "refused", "cancelled", "interrupted"]


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace.

    Attributes:
        kind: What sort of step it is.
        started: Start (UTC).
        ended: End (UTC); None while it runs or when its process died.
        status: ``interrupted`` for a span whose process died before its end.
        attributes: JSON-like facts: ``model``, ``input_tokens``, ``output_tokens``, ``usd_nano``,
            ``book``, ``cached``, ``tier`` (of the cache), ``estimated``, ``error``, ``latency_s``
            (virtual), ...
        input: What went in (text or JSON), "" when content is not captured.
        output: What came out.
    """

    span_id: str
    trace_id: str
    parent_id: str
    name: str
    kind: SpanKind
    started: datetime
    ended: datetime | None
    status: SpanStatus
    attributes: dict[str, Any] = field(default_factory=dict)
    input: str = ""
    output: str = ""

    @property
    def seconds(self) -> float | None:
        """Duration; None while running."""
        return (self.ended - self.started).total_seconds() if self.ended else None


@dataclass(frozen=True, slots=True)
class SpanNode:
    """A span with its children, in order of start."""

    span: Span
    children: tuple[SpanNode, ...] = ()
