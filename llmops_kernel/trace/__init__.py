"""The record of what happened: spans, written at their start and completed at their end.

`stage` puts a span around every call of the door; `tracer` writes and reads them. Sinks, monitors
and feedback read the same rows.
"""

from llmops_kernel.trace.here import OpenSpan, current_span, open_span
from llmops_kernel.trace.spans import Span, SpanKind, SpanNode, SpanStatus
from llmops_kernel.trace.stage import TraceStage
from llmops_kernel.trace.tracer import Tracer, new_id

__all__ = [
    "OpenSpan",
    "Span",
    "SpanKind",
    "SpanNode",
    "SpanStatus",
    "TraceStage",
    "Tracer",
    "current_span",
    "new_id",
    "open_span",
]
