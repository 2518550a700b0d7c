"""Who calls, from where and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from llmops_kernel.calls.catalog import Target

Purpose = Literal["ask", "rag", "judge", "agent", "embed", "external"]


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who calls, from where and why; stages add what they learn.

    Attributes:
        call_id: Unique per call; retries of one call share it.
        cell_id: The notebook cell's id; "" outside notebooks.
        cell_run: Unique per *execution* of a cell (or of a script); the loop breaker's unit.
        depth: How many model calls or agents are above this one.
        trace_id: The trace this call's spans belong to.
        span_id: The span that encloses this call.
        target: Where the call goes, once resolved.
        max_usd_nano: A cap for this call alone, in nano-dollars.
        attempt: 1 for the first try, counted up by retries.
    """

    call_id: str
    user: str = ""
    project: str = ""
    notebook: str = ""
    cell_id: str = ""
    cell_run: str = ""
    run_id: str = ""
    tenant: str = "default"
    purpose: Purpose = "ask"
    depth: int = 0
    trace_id: str = ""
    span_id: str = ""
    target: Target | None = None
    max_usd_nano: int | None = None
    attempt: int = 1

    def with_(self, **changes: Any) -> CallContext:
        """Return a changed copy."""
        return replace(self, **changes)
