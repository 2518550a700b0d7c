"""The paths of the endpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web

from llmops_kernel.calls import wire
from llmops_kernel.calls.endpoint import problems
from llmops_kernel.calls.endpoint.problems import JSON, RequestError
from llmops_kernel.calls.endpoint.responses_events import ResponseEvents
from llmops_kernel.calls.endpoint.responses_reply import ResponseShape
from llmops_kernel.calls.endpoint.responses_request import read_responses
from llmops_kernel.calls.endpoint.streaming import ChatEvents, send_stream
from llmops_kernel.calls.reply import Reply, ReplyStream
from llmops_kernel.calls.request import ChatRequest, EmbeddingRequest
from llmops_kernel.errors import BadRequest, LLMOpsError, UnknownModel, nearest

if TYPE_CHECKING:
    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.endpoint.access import Gate
    from llmops_kernel.calls.endpoint.door import Door

_NANO = 1_000_000_000
_log = logging.getLogger(__name__)


class App:
    """Answers HTTP requests by calls through the door.

    Args:
        door: What serves the calls.
        gate: Who may come in.
        max_bytes: Size a request body may have, unpacked.
    """

    def __init__(self, door: Door, gate: Gate, max_bytes: int) -> None:
        self._door = door
        self._gate = gate
        self._max_bytes = max_bytes
        self._calls = {
            "/chat/completions": self._chat,
            "/responses": self._responses,
            "/embeddings": self._embeddings,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure becomes an OpenAI-shaped response."""
        try:
            return await self._route(request)
        except RequestError as error:
            return error.answer()
        except LLMOpsError as error:
            return problems.answer(error)
        except web.RequestPayloadError:
            broken = RequestError(
                "The request body cannot be read", status=400, code="invalid_request"
            )
            return broken.answer()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the server
            _log.exception("A call at the endpoint failed")
            return problems.answer(problems.internal(error))

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        self._gate.check_host(request.headers)
        path = request.path.removeprefix("/v1").rstrip("/")
        if path == "/healthz":
            return web.Response(body=b'{"status":"ok"}', headers={"Content-Type": JSON})
        names = self._gate.admit(request.headers)
        call = self._calls.get(path)
        known = call is not None or path == "/models" or path.startswith("/models/")
        if not known:
            raise RequestError(
                "Calls to this path cannot be metered and so are refused; served are POST "
                "/v1/chat/completions, /v1/responses, /v1/embeddings and GET /v1/models",
                status=404,
                code="not_metered",
            )
        allowed = "POST" if call else "GET"
        if request.method != allowed:
            raise RequestError(
                f"This path takes {allowed} requests",
                status=405,
                code="method_not_allowed",
                headers={"Allow": allowed},
            )
        if call is None:
            return self._models(path.removeprefix("/models").removeprefix("/"))
        body = await self._json(request)
        return await call(request, body, self._door.context(purpose="external", **names))

    async def _chat(
        self, request: web.BaseRequest, body: Any, context: CallContext
    ) -> web.StreamResponse:
        chat = ChatRequest.from_body(body)
        reply = await self._door.acall(chat, context)
        if isinstance(reply, Reply):
            return _whole(reply.body(), reply, context)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and bool(options.get("include_usage"))
        return await send_stream(request, reply, ChatEvents(asked), _stream_facts(reply, context))

    async def _responses(
        self, request: web.BaseRequest, body: Any, context: CallContext
    ) -> web.StreamResponse:
        asked = read_responses(body)
        reply = await self._door.acall(asked.chat, context)
        shape = ResponseShape(asked.echo)
        if isinstance(reply, Reply):
            return _whole(shape.whole(reply), reply, context)
        return await send_stream(
            request, reply, ResponseEvents(shape), _stream_facts(reply, context)
        )

    async def _embeddings(
        self, _: web.BaseRequest, body: Any, context: CallContext
    ) -> web.StreamResponse:
        reply = await self._door.acall(EmbeddingRequest.from_body(body), context)
        assert isinstance(reply, Reply), "embeddings do not stream"
        return _whole(reply.body(), reply, context)

    def _models(self, name: str) -> web.Response:
        names = self._door.models()
        if not name:
            listed = {"object": "list", "data": [_model(name) for name in names]}
            return web.Response(body=wire.encode(listed), headers={"Content-Type": JSON})
        if name not in names:
            raise UnknownModel(f"The model is not offered{nearest(name, names)}", detail=name)
        return web.Response(body=wire.encode(_model(name)), headers={"Content-Type": JSON})

    async def _json(self, request: web.BaseRequest) -> Any:
        raw = None
        if (request.content_length or 0) <= self._max_bytes:
            if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
                request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            raw = await wire.read_bounded(request.content, self._max_bytes)
        if raw is None:
            raise RequestError(
                f"The request body has more than {self._max_bytes} bytes",
                status=413,
                code="request_too_large",
                close=True,
            )
        try:
            return wire.decode(raw)
        except ValueError:
            raise BadRequest("The request body is not valid JSON") from None


def _whole(body: Any, reply: Reply, context: CallContext) -> web.Response:
    facts = _facts(reply, context)
    facts["Content-Type"] = JSON
    facts["x-llmops-usd"] = f"{reply.cost_nano // _NANO}.{reply.cost_nano % _NANO:09d}"
    return web.Response(body=wire.encode(body), headers=facts)


def _stream_facts(stream: ReplyStream, context: CallContext) -> dict[str, str]:
    return _facts(stream.head, context)


def _facts(reply: Reply, context: CallContext) -> dict[str, str]:
    """Return what is known before the body as headers."""
    facts = {
        "x-request-id": context.call_id,
        "x-llmops-book": "simulated" if reply.simulated else "real",
        "x-llmops-cached": "true" if reply.cached else "false",
    }
    if context.trace_id:
        facts["x-llmops-trace-id"] = context.trace_id
    return facts


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llmops"}
