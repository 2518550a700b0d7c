"""Any OpenAI-compatible server, as the end of the path of a call."""

from __future__ import annotations

import asyncio
import io
import os
from typing import TYPE_CHECKING, Any

from llmops_kernel._version import __version__
from llmops_kernel.calls import failures, wire
from llmops_kernel.calls.chunks import SSEChunks
from llmops_kernel.calls.reply import Reply, ReplyStream
from llmops_kernel.errors import AuthMissing, ProviderError, UnknownModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Chunk
    from llmops_kernel.calls.request import Request

_PATHS = {"chat": "/chat/completions", "embeddings": "/embeddings"}
_ERROR_BYTES = 256 * 2**10
# aiohttp wants larger bodies as a file.
_LARGE = 2**20
# Connections of loops that are gone (a forked child, a stopped loop); see `_abandon`.
_ORPHANS: list[Any] = []


class HTTPUpstream:
    """Sends requests to the target of the context, over one pool of connections.

    Streams come back when their first chunk is there, so that an error before it is an exception
    of the call and can be retried. The usage chunk is asked for in every stream and passed on;
    hiding it from callers who did not ask is the endpoint's part.

    Args:
        keys: Gives the key of a target, or None when there is none.
        variables: Gives the value of a variable that a header names (``$NAME``).
        connect_s: Seconds a connection may take to open.
        max_bytes: Size a whole reply or a whole stream may have, unpacked.
        connections: Connections open at a time; further calls wait for one.
        trust_env: Whether ``HTTP_PROXY`` and ``.netrc`` are obeyed.
    """

    def __init__(
        self,
        keys: Callable[[Target], str | None],
        *,
        variables: Callable[[str], str | None] = os.environ.get,
        connect_s: float = 10.0,
        max_bytes: int = 64 * 2**20,
        connections: int = 256,
        trust_env: bool = False,
    ) -> None:
        self._keys = keys
        self._variables = variables
        self._connect_s = connect_s
        self._max_bytes = max_bytes
        self._connections = connections
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Send a request to ``context.target``.

        Raises:
            ProviderError: The call failed; ``dispatched`` says whether it may be billed.
        """
        target = context.target
        if target is None or not target.base_url:
            raise UnknownModel("No provider was chosen for the model", detail=request.model)
        headers, secrets = self._headers(target)
        headers["Accept"] = "text/event-stream" if request.stream else "application/json"
        data: Any = wire.encode(_body(request, target))
        if len(data) > _LARGE:
            data = io.BytesIO(data)
        session = self._open()
        try:
            response = await session.post(
                target.base_url + _PATHS[request.kind],
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout(target),
            )
        except Exception as error:  # noqa: BLE001 - mapped, and nothing of the request is chained
            raise failures.from_exception(error, target) from None
        try:
            if not 200 <= response.status < 300:
                raise await self._failure(response, target, secrets)
            if request.stream:
                return await self._stream(response, target)
            return await self._whole(response, request.kind, target)
        except BaseException:
            response.close()
            raise

    async def close(self) -> None:
        """Close the connections; call it on the loop the calls were made on."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()
            # TLS and pipe transports say goodbye in callbacks of their own.
            await asyncio.sleep(0)
        elif session is not None:
            _abandon(session)

    def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            import aiohttp

            if self._session is not None:
                _abandon(self._session)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"llmops-kernel/{__version__}",
                },
                trust_env=self._trust_env,
            )
            self._loop = loop
        return self._session

    def _timeout(self, target: Target) -> aiohttp.ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(
            total=None, sock_connect=self._connect_s, sock_read=target.timeout_s
        )

    def _headers(self, target: Target) -> tuple[dict[str, str], list[str]]:
        """Return the headers of a call, and the secrets in them."""
        headers: dict[str, str] = {}
        secrets: list[str] = []
        key = (self._keys(target) or "").strip()
        if key:
            headers["Authorization"] = f"Bearer {key}"
            secrets.append(key)
        elif target.key_env:
            raise failures.key_missing(target)
        for name, value in target.headers.items():
            if value.startswith("$"):
                variable = value[1:]
                value = (self._variables(variable) or "").strip()
                if not value:
                    raise failures.key_missing(target, variable)
                secrets.append(value)
            headers[name] = value
        if any(char in value for value in headers.values() for char in "\r\n\0"):
            raise AuthMissing(
                "The key or a header of the provider has a line break",
                dispatched=False,
                detail=target.provider,
                hint="Set it again, on one line",
            )
        return headers, secrets

    async def _failure(
        self, response: aiohttp.ClientResponse, target: Target, secrets: list[str]
    ) -> ProviderError:
        try:
            raw = await wire.read_bounded(response.content, _ERROR_BYTES) or b""
        except Exception:  # noqa: BLE001 - the status is known, and says enough
            raw = b""
        for secret in secrets:  # some servers quote what they were sent
            raw = raw.replace(secret.encode(), b"***")
        return failures.from_status(response.status, response.headers, raw, target)

    async def _whole(self, response: aiohttp.ClientResponse, kind: str, target: Target) -> Reply:
        try:
            raw = await wire.read_bounded(response.content, self._max_bytes)
        except Exception as error:  # noqa: BLE001 - mapped
            raise failures.from_exception(error, target) from None
        if raw is None:
            raise wire.too_large()
        try:
            body = wire.decode(raw)
        except ValueError:
            raise wire.not_a_completion() from None
        read = wire.chat_reply if kind == "chat" else wire.embedding_reply
        return read(body, target)

    async def _stream(self, response: aiohttp.ClientResponse, target: Target) -> ReplyStream:
        head = Reply(
            id="",
            model=target.model,
            created=0,
            choices=(),
            provider=target.provider,
            simulated=target.simulated,
        )
        if response.content_type == "application/json":  # the server does not stream
            whole = await self._whole(response, "chat", target)
            return ReplyStream(_once(wire.as_chunk(whole)), head)
        chunks = SSEChunks(response, target, self._max_bytes)
        await chunks.peek()
        return ReplyStream(chunks, head)


def _abandon(session: aiohttp.ClientSession) -> None:
    """Let go of a session whose loop is gone, without closing anything.

    In a forked child the sockets are the parent's as well: closing them through the loop would
    take them out of the parent's selector. So they stay open, unused, until the process ends.
    """
    connector = session.connector
    session.detach()
    if connector is not None:
        connector._closed = True  # noqa: SLF001 - or its destructor would close the sockets
        _ORPHANS.append(connector)


async def _once(chunk: Chunk) -> AsyncIterator[Chunk]:
    yield chunk


def _body(request: Request, target: Target) -> dict[str, Any]:
    body = request.to_body()
    body["model"] = target.model
    if request.kind == "chat":
        # The caller's own name for the bound stays; ours is the one the provider knows.
        if getattr(request, "limit_field", None) is None and "max_tokens" in body:
            body[target.limit_field] = body.pop("max_tokens")
        if request.stream:
            asked = body.get("stream_options")
            options = asked if isinstance(asked, dict) else {}
            body["stream_options"] = {**options, "include_usage": True}
    return body
