"""Where answers lie: what the record and a Redis server both offer.

Back ends are synchronous and safe in any thread; `arun` says how a loop waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmops_kernel.store.cache_rows import EntryRow, EventRow, FlightRow
    from llmops_kernel.store.near_rows import NearRow

_T = TypeVar("_T")


class CacheDown(Exception):
    """The place where the answers lie cannot be used now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which answers to delete: those that have all the values given; all without any.

    Attributes:
        model: The model's full name, ``provider/model``.
    """

    tenant: str | None = None
    tag: str | None = None
    model: str | None = None
    notebook: str | None = None


class Backend(Protocol):
    """A place for answers. Times are microseconds; every method may raise `CacheDown`."""

    def arun(self, work: Callable[..., _T], *arguments: Any) -> Awaitable[_T]:
        """Run one of the methods below from an event loop."""
        ...

    def enter(self, key: str, claim: FlightRow, at: int) -> EntryRow | Literal["claimed", "held"]:
        """Return the answer to a request, or take the request on.

        In one step: ``claimed`` means that there is no answer, and nobody else will ask for it
        until the claim is released or expires. ``held`` means that somebody else has taken it on
        and, as far as one can know, lives.
        """
        ...

    def put(self, row: EntryRow, at: int, claim_id: str = "", near: NearRow | None = None) -> int:
        """Keep an answer and give its claim back; return how many others had to go.

        ``near`` says where questions near its own find it.
        """
        ...

    def put_soon(
        self, row: EntryRow, at: int, claim_id: str, near: NearRow | None, evicted: EventRow
    ) -> bool:
        """Do what `put` does with the next transaction of this process; never fails it.

        ``evicted`` is written down, with their number, if others had to go. False, and nothing
        was done, where there is no such thing as the next transaction.
        """
        ...

    def release_soon(self, key: str, claim_id: str) -> bool:
        """Give a claim back with the next transaction of this process; False as for `put_soon`."""
        ...

    def find(self, key: str, at: int) -> EntryRow | None:
        """Return an answer without using it and without taking anything on."""
        ...

    def twins(self, near: NearRow, at: int, limit: int) -> list[EntryRow]:
        """Return answers to near questions: the same form first, then the newest.

        Without signs, to every question in the place.
        """
        ...

    def touch(self, key: str, at: int) -> None:
        """Note that an answer was used."""
        ...

    def release(self, key: str, claim_id: str) -> None:
        """Give a claim back."""
        ...

    def remove(self, row: EntryRow) -> bool:
        """Remove one row, unless another has taken its place."""
        ...

    def clear(self, selection: Selection) -> int:
        """Remove the selected answers; return how many."""
        ...

    def measure(self, at: int) -> tuple[int, int]:
        """Return how many answers may be served, and their bytes."""
        ...

    def close(self) -> None:
        """Give all claims back and let go of connections."""
        ...
