"""What comes back: a whole reply, or one that is still arriving."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.calls.messages import message_text
from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

Chunk = dict[str, Any]
Ending = Literal["complete", "truncated", "cancelled", "cut"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended, told to observers once.

    Attributes:
        reply: What arrived: the whole reply, or for a stream that ended early its assembled part.
        ending: ``complete``; ``truncated`` (upstream broke off); ``cancelled`` (the caller left);
            ``cut`` (we stopped it at its hold).
        error: What broke the stream off, if anything did.
    """

    reply: Reply
    ending: Ending = "complete"
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply.

    Attributes:
        choices: OpenAI's choice objects (for embeddings: the ``data`` items).
        usage: Tokens; None when the provider sent none or nonsense, until the budget counts.
        simulated: True when no real model answered (``sim/...``, ``offline/...``).
        latency_s: Seconds on a virtual clock for simulated models; None for real ones.
        cost_nano: What the call was settled at, in nano-dollars of its book.
        extra: Other fields of the provider's body.
        tier: Which tier of the cache answered; "" when a model did.
    """

    id: str
    model: str
    created: int
    choices: tuple[Mapping[str, Any], ...]
    usage: Usage | None = None
    provider: str = ""
    simulated: bool = False
    cached: bool = False
    latency_s: float | None = None
    cost_nano: int = 0
    kind: Literal["chat", "embeddings"] = "chat"
    extra: Mapping[str, Any] = field(default_factory=dict)
    tier: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """The first choice's text, or ""."""
        if not self.choices:
            return ""
        content = (self.choices[0].get("message") or {}).get("content")
        return content if isinstance(content, str) else ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The first choice's tool calls."""
        if not self.choices:
            return []
        return list((self.choices[0].get("message") or {}).get("tool_calls") or ())

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.choices[0].get("finish_reason") if self.choices else None

    def output_text(self) -> str:
        """Everything the model wrote, in all choices: text, reasoning, refusals, tool calls."""
        if self.kind == "embeddings":
            return ""
        return "\n".join(message_text(choice.get("message") or {}) for choice in self.choices)

    def body(self) -> dict[str, Any]:
        """Return OpenAI's response body, with our figures under ``llmops``."""
        usage = self.usage or Usage()
        notes = {
            "simulated": self.simulated,
            "cached": self.cached,
            "usd_nano": self.cost_nano,
            "estimated": usage.estimated,
        }
        if self.kind == "embeddings":
            counts = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
            data = list(self.choices)
            return {"object": "list", "data": data, "model": self.model, "usage": counts,
                    "llmops": notes}  # fmt: skip
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": list(self.choices),
            "usage": usage.body(),
            **self.extra,
            "llmops": notes,
        }

    async def observed(
        self,
        on_end: Callable[[Outcome], Any],
        on_chunk: Callable[[Chunk], bool] | None = None,  # noqa: ARG002 - as for a stream
    ) -> Reply:
        """Tell an observer how the call ended, at once. See `ReplyStream.observed`."""
        changed = on_end(Outcome(self))
        if hasattr(changed, "__await__"):
            changed = await changed
        return changed if isinstance(changed, Reply) else self

    def with_(self, **changes: Any) -> Reply:
        """Return a changed copy."""
        return replace(self, **changes)


class ReplyStream:
    """A reply that is still arriving: an async iterator of OpenAI chunk objects.

    Iterate it to the end, or call `aclose`; observers are told exactly once either way. After the
    end, `final` holds the assembled reply, with the figures the observers filled in.

    Args:
        chunks: The upstream's chunks. May raise to say that the stream broke off.
        head: What is known before the first chunk (model, provider, simulated, latency).
    """

    def __init__(self, chunks: AsyncIterator[Chunk], head: Reply) -> None:
        from llmops_kernel.calls.assemble import Assembler

        self._chunks = chunks
        self._assembler = Assembler(head)
        self._observers: list[tuple[Callable[[Outcome], Any], Callable[[Chunk], bool] | None]] = []
        self._done = False
        self.head = head
        self.final: Reply | None = None

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        if self._done:
            raise StopAsyncIteration
        try:
            chunk = await self._chunks.__anext__()
        except StopAsyncIteration:
            await self._end("complete" if self._assembler.finished else "truncated", None)
            raise
        except BaseException as error:
            cancelled = not isinstance(error, Exception)  # CancelledError, GeneratorExit
            await self._end("cancelled" if cancelled else "truncated", error)
            raise
        self._assembler.add(chunk)
        keep_going = [watch(chunk) for _, watch in self._observers if watch is not None]
        if not all(keep_going):
            await self._end("cut", None)
        return chunk

    async def observed(
        self,
        on_end: Callable[[Outcome], Any],
        on_chunk: Callable[[Chunk], bool] | None = None,
    ) -> ReplyStream:
        """Add an observer and return the stream.

        Args:
            on_end: Called (and awaited, if it returns an awaitable) once with the outcome, inner
                observers first. May return a changed reply, which the next ones see.
            on_chunk: Called with every chunk; False cuts the stream after it.
        """
        self._observers.append((on_end, on_chunk))
        return self

    async def aclose(self) -> None:
        """Leave the stream early; observers learn that the caller cancelled."""
        if not self._done:
            finished = self._assembler.finished
            await self._end("complete" if finished else "cancelled", None)

    async def collect(self) -> Reply:
        """Read to the end and return the whole reply."""
        async for _ in self:
            pass
        assert self.final is not None
        return self.final

    async def _end(self, ending: Ending, error: BaseException | None) -> None:
        self._done = True
        reply = self._assembler.reply()
        close = getattr(self._chunks, "aclose", None)
        if close is not None and error is None:
            await close()
        for on_end, _ in self._observers:
            changed = on_end(Outcome(reply, ending, error))
            if hasattr(changed, "__await__"):
                changed = await changed
            if isinstance(changed, Reply):
                reply = changed
        self.final = reply
