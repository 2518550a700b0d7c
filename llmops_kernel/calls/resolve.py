"""The stage that finds out where a call goes and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.calls.catalog import Catalog
    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Reply, ReplyStream
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.stage import Handler


class ResolveStage:
    """Writes the target of the requested model into the context."""

    def __init__(self, following: Handler, *, catalog: Catalog) -> None:
        self._next = following
        self._catalog = catalog

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Resolve, pass on. Raises `UnknownModel` or `UnknownPrice`."""
        target = self._catalog.resolve(request.model)
        return await self._next(request, context.with_(target=target))
