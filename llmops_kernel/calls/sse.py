"""Server-sent events, read from bytes that arrive in any pieces."""

from __future__ import annotations

from typing import NamedTuple

from llmops_kernel.errors import ProviderError

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event.

    Attributes:
        name: The event's type; "" when it was not named.
        data: Its data lines, joined by line feeds.
    """

    name: str
    data: str


class SSEDecoder:
    """Cuts a byte stream into events, by the rules of the HTML standard.

    Pieces may end anywhere, also within a character or between CR and LF. Other than the
    standard, `close` hands out an event whose final blank line is missing: some servers leave it
    out after ``data: [DONE]``.

    Args:
        max_event: Bytes one event may have; more is an error, so that memory stays bounded.
    """

    def __init__(self, max_event: int = 16 * 2**20) -> None:
        self._max = max_event
        self._rest: list[bytes] = []  # pieces of an unfinished line
        self._rest_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = ""
        self._begun = False

    def feed(self, piece: bytes) -> list[Event]:
        """Take in bytes and return the events they complete.

        Raises:
            ProviderError: An event is larger than it may be.
        """
        if not self._begun and piece:
            self._begun = True
            piece = piece.removeprefix(_BOM)
        ends = piece[-1:] == b"\n"
        if not ends and b"\n" not in piece and b"\r" not in piece and not self._ends_in_cr():
            self._keep(piece)
            return []
        if self._rest:
            piece = b"".join((*self._rest, piece))
            self._rest.clear()
            self._rest_size = 0
        lines = piece.splitlines(keepends=True)
        if not ends:
            # The last line is unfinished; so is one that ends in CR, as an LF may follow.
            self._keep(lines.pop())
        events: list[Event] = []
        for line in lines:
            self._take(line.rstrip(b"\r\n"), events)
        return events

    def close(self) -> list[Event]:
        """Return what is left when the stream has ended (at most one event)."""
        events: list[Event] = []
        if self._rest:
            for line in b"".join(self._rest).splitlines():
                self._take(line, events)
            self._rest.clear()
        self._take(b"", events)
        return events

    def _ends_in_cr(self) -> bool:
        return bool(self._rest) and self._rest[-1][-1:] == b"\r"

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._rest.append(piece)
            self._rest_size += len(piece)
            self._check()

    def _check(self) -> None:
        if self._rest_size + self._data_size > self._max:
            raise ProviderError("The provider sent an event that is too large")

    def _take(self, line: bytes, events: list[Event]) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._data_size += len(value) + 1
            self._check()
        elif not line:
            if self._data:
                text = b"\n".join(self._data).decode("utf-8", "replace")
                events.append(Event(self._name, text))
                self._data.clear()
                self._data_size = 0
            self._name = ""
        elif line == b"data":
            self._data.append(b"")
            self._data_size += 1
        elif line.startswith(b"event:"):
            self._name = line[6:].strip().decode("utf-8", "replace")
        # Anything else is a comment (a leading colon) or a field we have no use for.
