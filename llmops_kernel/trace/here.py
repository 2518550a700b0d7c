"""The span we are in: what is called within a ``with`` block belongs to it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import CallRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.trace.spans import SpanKind, SpanStatus
    from llmops_kernel.trace.tracer import Tracer


@dataclass(slots=True)
class OpenSpan:
    """A span that runs.

    Attributes:
        trace_id: Its trace.
        span_id: Its id.
        facts: What it will be recorded with.
        output: What came out of it.
    """

    trace_id: str
    span_id: str
    facts: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    def note(self, output: Any = None, **facts: Any) -> None:
        """Say what came out of it (text, or data kept as JSON), and further facts about it."""
        if output is not None:
            self.output = output if isinstance(output, str) else _json(output)
        self.facts.update(facts)


# Which tracer's, because sessions can be nested and keep their records apart.
_here: ContextVar[tuple[Tracer, OpenSpan] | None] = ContextVar("llmops_span", default=None)


def current_span(tracer: Tracer) -> OpenSpan | None:
    """Return the innermost span of a tracer that this code runs in."""
    found = _here.get()
    return found[1] if found is not None and found[0] is tracer else None


@contextmanager
def open_span(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    *,
    trace_id: str,
    parent_id: str,
    input: str = "",  # noqa: A002 - the field's name everywhere
) -> Iterator[OpenSpan]:
    """Open a span around a block; an exception ends it as failed and goes on."""
    span_id = tracer.start(name, kind, trace_id=trace_id, parent_id=parent_id, input=input)
    opened = OpenSpan(trace_id, span_id)
    token = _here.set((tracer, opened))
    try:
        yield opened
    except BaseException as error:
        status: SpanStatus = "refused" if isinstance(error, CallRefused) else "error"
        facts = {**opened.facts, "error": type(error).__name__}
        tracer.end(span_id, status, attributes=facts, output=opened.output)
        raise
    finally:
        _here.reset(token)
    tracer.end(span_id, attributes=opened.facts, output=opened.output)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str)
