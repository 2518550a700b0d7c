"""The end of the path: a model in this process, or an upstream over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Reply, ReplyStream
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.stage import Handler


class Dispatcher:
    """Hands a call to the engine of its provider.

    Args:
        local: Engines that answer in this process, by provider.
        upstream: Everything else.
    """

    def __init__(self, *, local: Mapping[str, Handler], upstream: Handler) -> None:
        self._local = local
        self._upstream = upstream

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve the request."""
        assert context.target is not None, "the resolving stage comes before this one"
        engine = self._local.get(context.target.provider, self._upstream)
        return await engine(request, context)
