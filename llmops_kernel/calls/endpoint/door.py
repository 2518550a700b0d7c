"""What the endpoint needs of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Reply, ReplyStream
    from llmops_kernel.calls.request import Request


class Door(Protocol):
    """Serves requests, and knows where and for whom."""

    async def acall(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve a request on the event loop; raises `LLMOpsError`."""
        ...

    def context(self, **changes: Any) -> CallContext:
        """Return the context of a call made now, with changed fields."""
        ...

    def models(self) -> list[str]:
        """Return the model names to offer."""
        ...
