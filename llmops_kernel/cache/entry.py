"""One recorded answer: to text and back, and as the reply to a repeated request."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.cache.replay import packed, stream_of, unpacked, whole
from llmops_kernel.calls import Reply, ReplyStream, Usage

if TYPE_CHECKING:
    from llmops_kernel.calls import Chunk, Outcome

# The member of the payload that holds the question; no field of an answer has this name.
_ASKED = "asked"
_FIELDS = ("id", "model", "created", "provider", "simulated", "kind", "latency_s")


@dataclass(frozen=True, slots=True)
class Asked:
    """The question an answer was given to, sealed with it.

    Attributes:
        text: The user's message, as typed.
        place: Digest of everything else that affected the answer.
    """

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished answer, as text: whoever is given it gets a copy of their own.

    Attributes:
        payload: The answer as JSON.
        saved_nano: What it cost, and so what giving it again saves, in nano-dollars of its book.
        book: ``real`` or ``simulated``.
    """

    payload: str
    saved_nano: int = 0
    book: str = "real"

    @classmethod
    def of(cls, outcome: Outcome, chunks: tuple[Chunk, ...] | None) -> Entry:
        """Return the entry of an answer that has ended.

        Args:
            outcome: The answer.
            chunks: The chunks it came in; None if it came whole.

        Raises:
            TypeError: The answer is no JSON.
            ValueError: The answer is no JSON.
        """
        reply = outcome.reply if chunks is None else whole(outcome.reply, chunks)
        data: dict[str, Any] = {name: getattr(reply, name) for name in _FIELDS}
        data["choices"] = list(reply.choices)
        data["extra"] = dict(reply.extra)
        data["usage"] = asdict(reply.usage) if reply.usage else None
        data["chunks"] = None if chunks is None else packed(chunks)
        payload = json.dumps(data, separators=(",", ":"), allow_nan=False)
        return cls(payload, reply.cost_nano, "simulated" if reply.simulated else "real")

    def with_asked(self, asked: Asked) -> Entry:
        """Return the entry with its question, so that near ones can be compared with it."""
        member = json.dumps({_ASKED: asdict(asked)}, separators=(",", ":"))
        return replace(self, payload=f"{self.payload[:-1]},{member[1:]}")

    def asked(self) -> Asked | None:
        """Return the question; None where it was not kept, or another version wrote it."""
        try:
            return Asked(**json.loads(self.payload)[_ASKED])
        except (KeyError, TypeError, ValueError):
            return None

    def reply(self) -> tuple[Reply, tuple[Chunk, ...] | None]:
        """Return the answer, free and marked as cached, and its chunks if it came in any.

        Raises:
            KeyError: Another version wrote the payload (or TypeError, or ValueError).
        """
        data = json.loads(self.payload)
        usage = data["usage"]
        if usage is not None:
            details = tuple((name, count) for name, count in usage.pop("details"))
            usage = Usage(**usage, details=details)
        fields = {name: data[name] for name in _FIELDS}
        if fields["latency_s"] is not None:
            fields["latency_s"] = 0.0
        reply = Reply(
            **fields,
            choices=tuple(data["choices"]),
            usage=usage,
            cached=True,
            cost_nano=0,
            extra=data["extra"],
        )
        return reply, None if data["chunks"] is None else unpacked(data["chunks"])

    async def serve(self, *, stream: bool, tier: str = "exact") -> Reply | ReplyStream:
        """Return the answer as the reply to a repeated request, marked with the tier it is from."""
        reply, chunks = self.reply()
        reply = reply.with_(tier=tier)
        if not stream:
            return reply
        replayed = ReplyStream(stream_of(reply, chunks), reply.with_(choices=()))

        def exact(outcome: Outcome) -> Reply:
            # The chunks say less of the tokens than the record (what was estimated, for one).
            return outcome.reply.with_(usage=reply.usage, tier=tier)

        return await replayed.observed(exact)
