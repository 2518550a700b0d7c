"""Where in a notebook we are: the running cell, its trace and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from llmops_kernel.trace import new_id

if TYPE_CHECKING:
    from llmops_kernel.calls import Outcome
    from llmops_kernel.trace import Tracer


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
