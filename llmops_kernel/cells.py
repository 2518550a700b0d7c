"""Where in a notebook we are: the running cell, its trace and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls import CallContext
from llmops_kernel.trace import current_span, new_id, open_span

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llmops_kernel.calls import Outcome
    from llmops_kernel.settings import Settings
    from llmops_kernel.store import Store
    from llmops_kernel.trace import OpenSpan, Span, SpanKind, SpanNode, Tracer


@dataclass(frozen=True, slots=True)
class CellCost:
    """What one execution of a cell has cost.

    Attributes:
        real_nano: Nano-dollars of real money.
        simulated_nano: Nano-dollars of the simulated book; never added to real ones.
        virtual_seconds: Seconds the simulated models would have taken.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    real_nano: int = 0
    simulated_nano: int = 0
    virtual_seconds: float = 0.0


@dataclass
class CellRun:
    """One execution of a cell, or the life of a script.

    Attributes:
        cell_id: The notebook's id of the cell; "" in a script.
        cell_run: Unique per execution.
        trace_id: The trace of everything the cell calls; "" in a script, where each call has
            its own.
    """

    cell_id: str = ""
    cell_run: str = field(default_factory=new_id)
    trace_id: str = ""
    cost: CellCost = CellCost()
    _span_id: str = ""
    _lock: Lock = field(default_factory=Lock)

    def span(self, tracer: Tracer) -> str:
        """Return the cell's root span, which its first call begins."""
        if not self.trace_id:
            return ""
        with self._lock:
            if not self._span_id:
                self._span_id = tracer.start(
                    "cell", "cell", trace_id=self.trace_id, attributes={"cell_id": self.cell_id}
                )
            return self._span_id

    def add(self, outcome: Outcome) -> None:
        """Add a call to the cell's cost."""
        reply = outcome.reply
        simulated = reply.cost_nano if reply.simulated else 0
        with self._lock:
            old = self.cost
            self.cost = CellCost(
                old.calls + 1,
                old.input_tokens + (reply.usage.input_tokens if reply.usage else 0),
                old.output_tokens + (reply.usage.output_tokens if reply.usage else 0),
                old.real_nano + reply.cost_nano - simulated,
                old.simulated_nano + simulated,
                old.virtual_seconds + (reply.latency_s or 0.0),
            )

    def end(self, tracer: Tracer, *, ok: bool) -> CellCost:
        """Complete the root span, if there is one, and return the cost."""
        with self._lock:
            if self._span_id:
                tracer.end(
                    self._span_id,
                    "ok" if ok else "error",
                    attributes={"cell_id": self.cell_id, "calls": self.cost.calls},
                )
            return self.cost


class Whereabouts:
    """The part of a session that knows which cell runs, and which trace a call belongs to."""

    settings: Settings
    store: Store
    tracer: Tracer
    _cell: CellRun

    def context(self, **changes: Any) -> CallContext:
        """Return the context of a call made now: who, which cell, which trace."""
        cell, settings = self._cell, self.settings
        values: dict[str, Any] = {
            "call_id": new_id(),
            "user": settings.user,
            "project": settings.project,
            "notebook": settings.notebook,
            "cell_id": cell.cell_id,
            "cell_run": cell.cell_run,
            "run_id": settings.run_id,
            "tenant": settings.tenant,
            **changes,
        }
        span = None if values.get("trace_id") else current_span(self.tracer)
        if span is not None:
            values["trace_id"] = span.trace_id
            values.setdefault("span_id", span.span_id)
        elif not values.get("trace_id"):
            values["trace_id"] = cell.trace_id or new_id()
        if "span_id" not in values:
            values["span_id"] = cell.span(self.tracer)
        return CallContext(**values)

    def begin_cell(self, cell_id: str) -> None:
        """Say that a cell begins to run: its calls are counted and traced together."""
        self._cell = CellRun(cell_id, trace_id=new_id())

    def end_cell(self, ok: bool = True) -> CellCost:
        """Say that the cell ended; return what it cost. Late calls still count to it."""
        cost = self._cell.end(self.tracer, ok=ok)
        self.store.flush()
        return cost

    def cell_cost(self) -> CellCost:
        """Return what the running cell, or the script so far, has cost."""
        return self._cell.cost

    def span(
        self,
        name: str,
        kind: SpanKind = "tool",
        *,
        input: str = "",  # noqa: A002 - the field's name everywhere
    ) -> AbstractContextManager[OpenSpan]:
        """Open a span of the trace around a ``with`` block; calls made within belong to it.

        ``with session.span("lookup", input=key) as span: span.note(found)``
        """
        here = self.context()
        return open_span(
            self.tracer,
            name,
            kind,
            trace_id=here.trace_id,
            parent_id=here.span_id,
            input=input,
        )

    def trace(self, trace_id: str | None = None) -> SpanNode | None:
        """Return a trace as a tree; the last one without an id."""
        return self.tracer.trace(trace_id)

    def traces(self, limit: int = 20) -> list[Span]:
        """Return the roots of the newest traces, newest first."""
        return self.tracer.roots(limit)
