"""Writes spans and reads them back."""

from __future__ import annotations

import json
import os
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.store import Lease, ledger_rows, span_rows
from llmops_kernel.trace.spans import Span, SpanNode

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.store import Store
    from llmops_kernel.trace.spans import SpanKind, SpanStatus

_MICRO = 1_000_000
# What a span keeps of an input or output; the rest is counted, not stored.
_MAX_TEXT = 20_000


class Tracer:
    """The spans of one process.

    A span's row is queued at its start and written at the latest with the next reservation, so a
    killed process leaves an ``interrupted`` span for every call that could have cost money.

    Args:
        store: The durable record.
        lease: This process, by which others see whether it lives.
        run_id: The run all spans belong to.
        capture: Whether inputs and outputs are kept.
        redact: Takes secrets out of a text.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        *,
        run_id: str = "",
        capture: bool = True,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.lease = lease
        self.run_id = run_id
        self.capture = capture
        self._redact = redact
        self._clock = clock
        self._known = False
        self._open: dict[str, str] = {}  # trace of each span that runs

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        trace_id: str,
        parent_id: str = "",
        attributes: dict[str, Any] | None = None,
        input: str = "",  # noqa: A002 - the field's name everywhere
        span_id: str = "",
    ) -> str:
        """Begin a span and return its id."""
        span_id = span_id or new_id()
        at = int(self._clock() * _MICRO)
        if not self._known:
            # Others read the lease to see whether the span's process still lives.
            self._known = True
            with self.store.transaction() as tx:
                ledger_rows.put_lease(tx, self.lease, at)
        self._open[span_id] = trace_id
        self.store.defer(
            span_rows.START,
            (
                span_id,
                trace_id,
                parent_id,
                self.lease.lease_id,
                name,
                kind,
                at,
                self.run_id,
                self._json(attributes),
                self._text(input),
            ),
        )
        return span_id

    def end(
        self,
        span_id: str,
        status: SpanStatus = "ok",
        *,
        attributes: dict[str, Any] | None = None,
        output: str = "",
    ) -> None:
        """Complete a span; ``attributes`` replace those it began with."""
        at = int(self._clock() * _MICRO)
        trace_id = self._open.pop(span_id, None)
        if trace_id is not None:  # a span ends once
            values = (at, status, self._json(attributes), self._text(output), trace_id, span_id)
            self.store.defer(span_rows.END, values)

    def trace(self, trace_id: str | None = None) -> SpanNode | None:
        """Return a trace as a tree; the last one without an id; None when there is none."""
        if trace_id is None:
            newest = self.roots(1)
            if not newest:
                return None
            trace_id = newest[0].trace_id
        return _tree([_span(row) for row in span_rows.spans_of(self.store, trace_id)])

    def roots(self, limit: int = 20) -> list[Span]:
        """Return the root spans of the newest traces, newest first."""
        return [_span(row) for row in span_rows.roots(self.store, limit)]

    def _json(self, attributes: dict[str, Any] | None) -> str:
        return self._redact(json.dumps(attributes, default=str)) if attributes else "{}"

    def _text(self, text: str) -> str:
        if not self.capture or not text:
            return ""
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}… ({len(text) - _MAX_TEXT} more characters)"
        return self._redact(_storable(text))


def _storable(text: str) -> str:
    """Return a text without halves of surrogate pairs and NUL, which stores refuse."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


# Ids need to differ, not to be unguessable: a generator of our own, seeded by the system, spares a
# system call for each. A forked child must not repeat its parent's.
_random = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return a new id of 32 hexadecimal characters (OpenTelemetry's trace id).

    It begins with the time, as version 7 of UUIDs does: rows that are written one after the other
    then lie side by side, and a transaction touches few pages.
    """
    return f"{time.time_ns() // 1_000_000:012x}{_random.getrandbits(80):020x}"


def _span(row: tuple[Any, ...]) -> Span:
    (span_id, trace_id, parent_id, name, kind, started, ended, status, attributes, into, out, _) = (
        row
    )
    return Span(
        span_id=span_id,
        trace_id=trace_id,
        parent_id=parent_id,
        name=name,
        kind=kind,
        started=datetime.fromtimestamp(started / _MICRO, UTC),
        ended=datetime.fromtimestamp(ended / _MICRO, UTC) if ended is not None else None,
        status=status,
        attributes=json.loads(attributes),
        input=into,
        output=out,
    )


def _tree(spans: list[Span]) -> SpanNode | None:
    if not spans:
        return None
    children: dict[str, list[Span]] = {}
    known = {span.span_id for span in spans}
    for span in spans:
        # A parent that was never written (its process died first) must not hide its children.
        parent = span.parent_id if span.parent_id in known else ""
        children.setdefault(parent, []).append(span)

    def node(span: Span) -> SpanNode:
        return SpanNode(span, tuple(node(child) for child in children.get(span.span_id, ())))

    tops = children.get("", [])
    first = node(tops[0])
    if len(tops) == 1:
        return first
    return SpanNode(first.span, (*first.children, *(node(span) for span in tops[1:])))
