"""What the magics return: plain data that knows how to show itself.

A result is one object for `_`, `Out` and ``--out``: its data for code, its text and HTML for
people, its figures in output metadata. ``stable`` results leave out whatever differs between two
runs of the same notebook (times, durations, ids), so that saved outputs can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.display import (
    View,
    budget_view,
    checks_view,
    count,
    dollars,
    history_view,
    nano_dollars,
    seconds,
    status_view,
    table,
    trace_view,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime
    from decimal import Decimal

    from llmops_kernel.budget.status import CapStatus, LedgerEvent
    from llmops_kernel.display.status import CheckLike
    from llmops_kernel.trace.spans import Span, SpanNode


class Shown:
    """The display protocol, for anything that can build its `View`."""

    def view(self) -> View:
        """Build what is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.view().text

    __str__ = __repr__

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, str], dict[str, Any]]:
        return self.view()._repr_mimebundle_(include, exclude)


@dataclass(frozen=True, repr=False)
class Page(Shown):
    """Names and values (``%llmops status``, ``version``, ``endpoint``); read like a mapping."""

    facts: Mapping[str, Any]
    caption: str

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def view(self) -> View:
        """Build the table of names and values."""
        return status_view(self.facts, caption=self.caption)


@dataclass(frozen=True, repr=False)
class Doctor(Shown):
    """The checks of ``%llmops doctor``."""

    checks: tuple[CheckLike, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.state != "fail" for check in self.checks)

    def view(self) -> View:
        """Build the list of checks."""
        return checks_view(self.checks)


@dataclass(frozen=True, repr=False)
class Budget(Shown):
    """The caps, one for each book, with what is spent of them.

    Attributes:
        stopped: The reason spending was stopped with; None when it was not.
    """

    caps: tuple[CapStatus, ...]
    stopped: str | None = None
    stable: bool = False

    def __iter__(self) -> Iterator[CapStatus]:
        return iter(self.caps)

    def __len__(self) -> int:
        return len(self.caps)

    def view(self) -> View:
        """Build the table of caps."""
        full = budget_view(self.caps, stopped=self.stopped)
        if not self.stable:
            return full
        columns = ("Cap", "Book", "Limit", "Spent", "Held", "Remaining")
        rows = [
            (
                f"{each.cap.scope}, {_per(each.cap.window)}",
                each.book,
                dollars(each.limit),
                dollars(each.spent),
                dollars(each.held),
                dollars(each.remaining),
            )
            for each in self.caps
        ]
        if self.stopped is None:
            caption = "Budget"
        else:
            caption = f"Budget (all spending is stopped: {self.stopped or 'no reason given'})"
        return _replace(full, columns, rows, caption)


@dataclass(frozen=True, repr=False)
class History(Shown):
    """The ledger's newest events, newest first."""

    events: tuple[LedgerEvent, ...]
    stable: bool = False

    def __iter__(self) -> Iterator[LedgerEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def view(self) -> View:
        """Build the table of events."""
        full = history_view(self.events)
        if not self.stable:
            return full
        rows = [
            (
                event.kind,
                event.book,
                nano_dollars(event.held_nano, signed=True) if event.held_nano else None,
                nano_dollars(event.spent_nano, signed=True) if event.spent_nano else None,
                event.model,
            )
            for event in self.events
        ]
        return _replace(full, ("Event", "Book", "Held", "Spent", "Model"), rows, "Ledger")


@dataclass(frozen=True, repr=False)
class Trace(Shown):
    """One trace as a tree.

    Attributes:
        root: The root span with its children; None when nothing was traced yet.
        text_only: Show no HTML.
    """

    root: SpanNode | None
    text_only: bool = False
    stable: bool = False

    def view(self) -> View:
        """Build the tree."""
        full = trace_view(self.root, stable=self.stable)
        return View({"text/plain": full.text}, full.facts) if self.text_only else full


@dataclass(frozen=True, repr=False)
class TraceList(Shown):
    """The newest traces, by their root spans."""

    spans: tuple[Span, ...]
    stable: bool = False

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def view(self) -> View:
        """Build the table of traces."""
        if self.stable:
            columns: tuple[str, ...] = ("Name", "Kind", "Status")
            rows: list[tuple[object, ...]] = [(s.name, s.kind, s.status) for s in self.spans]
        else:
            columns = ("Trace", "Name", "Kind", "Status", "Started (UTC)", "Took")
            rows = [
                (s.trace_id, s.name, s.kind, s.status, _moment(s.started), seconds(s.seconds))
                for s in self.spans
            ]
        html, plain = table(columns, rows, "Traces")
        facts = {"traces": [s.trace_id for s in self.spans]}
        return View({"text/html": html, "text/plain": plain}, facts)


@dataclass(frozen=True, repr=False)
class Estimate(Shown):
    """The worst case of a call that was not sent.

    Attributes:
        model: Full name of the model.
        input_tokens: Upper bound of the tokens of the prompt.
        output_tokens: Upper bound of the tokens of the answer.
        usd: Upper bound of the cost, in dollars.
        simulated: Whether these are simulated dollars.
    """

    model: str
    input_tokens: int
    output_tokens: int
    usd: Decimal
    simulated: bool

    def view(self) -> View:
        """Build the table of figures."""
        cost = dollars(self.usd) + (" simulated" if self.simulated else "")
        rows = [
            ("Model", self.model),
            ("Input tokens, at most", count(self.input_tokens)),
            ("Output tokens, at most", count(self.output_tokens)),
            ("Cost, at most", cost),
        ]
        html, plain = table(("Nothing was sent", "Worst case"), rows, "Dry run")
        facts = {
            "model": self.model,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "usd": f"{self.usd:f}",
            "simulated": self.simulated,
            "dry_run": True,
        }
        return View({"text/html": html, "text/plain": plain}, facts)


def _replace(
    full: View, columns: tuple[str, ...], rows: list[tuple[Any, ...]], caption: str
) -> View:
    html, plain = table(columns, rows, caption)
    return View({"text/html": html, "text/plain": plain}, full.facts)


def _per(window: str) -> str:
    return "in total" if window == "total" else f"per {window}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
