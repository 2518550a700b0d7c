"""The path of a call: stages around a dispatcher.

A stage is a small class that takes the next handler and is itself one. Each stage lives in the
room of its subject (``budget/stage.py``, ``trace/stage.py``, ...); the order is data, and is put
together in one place, ``session.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Reply, ReplyStream
    from llmops_kernel.calls.request import Request


class Handler(Protocol):
    """Serves a request. A `ReplyStream` comes back when (and only when) ``request.stream``."""

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve the request.

        Raises:
            LLMOpsError: The call was refused or failed.
        """
        ...


def build_path(stages: Sequence[Callable[[Handler], Handler]], end: Handler) -> Handler:
    """Wrap ``end`` in the stages, the first one outermost."""
    handler = end
    for stage in reversed(stages):
        handler = stage(handler)
    return handler
