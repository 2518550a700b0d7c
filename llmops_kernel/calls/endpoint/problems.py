"""Errors as OpenAI-shaped HTTP responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from llmops_kernel.calls.wire import encode
from llmops_kernel.errors import AuthMissing, LLMOpsError, ProviderError, ProviderTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"


class RequestError(Exception):
    """A request that is turned away before it becomes a call: an affair of HTTP alone."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.close = close

    def answer(self) -> web.Response:
        """Return the response."""
        error = {
            "message": f"{self}. [llmops:{self.code}]",
            "type": "invalid_request_error",
            "param": None,
            "code": self.code,
        }
        response = _json({"error": error}, self.status, self.headers)
        if self.close:  # the rest of the request is not read
            response.force_close()
        return response


def answer(error: LLMOpsError) -> web.Response:
    """Return the response for an error of the path.

    Clients are told not to repeat what we refused and what may have been billed; only what the
    provider never took on may be tried again.
    """
    headers: dict[str, str] = {}
    if not isinstance(error, ProviderError) or error.dispatched:
        headers["x-should-retry"] = "false"
    if not isinstance(error, ProviderError):
        return _json(error.body(), error.status, headers)
    if error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:.3f}".rstrip("0").rstrip(".")
    upstream = error.upstream_status or 0
    if not 400 <= upstream < 500 or isinstance(error, AuthMissing | ProviderTimeout):
        return _json(error.body(), error.status, headers)
    # The provider's own words about the caller's request.
    return _json(error.upstream_body or error.body(), upstream, headers)


def internal(error: Exception) -> LLMOpsError:
    """Return what callers are told of a fault of ours: its kind, and nothing of its content."""
    return LLMOpsError(
        "The endpoint failed on this call",
        detail=type(error).__name__,
        hint="The kernel's log has the details",
    )


def _json(body: Any, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=encode(body), status=status, headers={"Content-Type": JSON, **headers})
