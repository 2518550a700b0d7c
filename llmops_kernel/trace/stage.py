"""The outermost stage: one span per call, from its start to the end of its stream."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import CallRefused, LLMOpsError

if TYPE_CHECKING:
    from llmops_kernel.calls import (
        CallContext,
        Handler,
        Outcome,
        Reply,
        ReplyStream,
        Request,
    )
    from llmops_kernel.trace.spans import SpanStatus
    from llmops_kernel.trace.tracer import Tracer

_STATUS: dict[str, SpanStatus] = {
    "complete": "ok",
    "cut": "ok",
    "truncated": "error",
    "cancelled": "cancelled",
}


class TraceStage:
    """Writes a span for each call; the stages inside see it as their parent."""

    def __init__(self, following: Handler, *, tracer: Tracer) -> None:
        self._next = following
        self._tracer = tracer

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Record, pass on, record the end. Never changes what passes."""
        facts: dict[str, Any] = {
            "model": request.model,
            "purpose": context.purpose,
            "cell_id": context.cell_id,
            "call_id": context.call_id,
            "fingerprint": request.fingerprint,
        }
        span_id = self._tracer.start(
            f"{request.kind} {request.model}",
            "llm" if request.kind == "chat" else "embeddings",
            trace_id=context.trace_id,
            parent_id=context.span_id,
            attributes=facts,
            input=_input(request) if self._tracer.capture else "",
        )
        try:
            reply = await self._next(request, context.with_(span_id=span_id))
        except BaseException as error:
            self._tracer.end(span_id, status_of(error), attributes={**facts, **_why(error)})
            raise

        def ended(outcome: Outcome) -> None:
            self._tracer.end(
                span_id,
                _STATUS[outcome.ending],
                attributes={**facts, **_figures(outcome)},
                output=_output(outcome.reply),
            )

        return await reply.observed(ended)


def _figures(outcome: Outcome) -> dict[str, Any]:
    reply, usage = outcome.reply, outcome.reply.usage
    figures: dict[str, Any] = {
        "model": reply.model,
        "provider": reply.provider,
        "input_tokens": usage.input_tokens if usage else 0,
        "output_tokens": usage.output_tokens if usage else 0,
        "estimated": usage.estimated if usage else True,
        "usd_nano": reply.cost_nano,
        "book": "simulated" if reply.simulated else "real",
        "cached": reply.cached,
        "finish_reason": reply.finish_reason if reply.kind == "chat" else None,
        "ending": outcome.ending,
    }
    if reply.latency_s is not None:
        figures["latency_s"] = round(reply.latency_s, 4)
    if reply.tier:
        figures["tier"] = reply.tier
    if outcome.error is not None:
        figures.update(_why(outcome.error))
    return figures


def status_of(error: BaseException) -> SpanStatus:
    """Return how a span ends that an error has ended."""
    if isinstance(error, CallRefused):
        return "refused"
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "cancelled"
    return "error"


def _why(error: BaseException) -> dict[str, Any]:
    text = error.sentence() if isinstance(error, LLMOpsError) else str(error)
    return {"error": type(error).__name__, "message": text[:500]}


def _input(request: Request) -> str:
    body = request.to_body()
    shown = {
        key: body[key] for key in ("messages", "input", "tools", "response_format") if key in body
    }
    return json.dumps(shown, ensure_ascii=False, default=str)


def _output(reply: Reply) -> str:
    if reply.kind == "embeddings":
        return f"{len(reply.choices)} vectors"
    messages = [choice.get("message") or {} for choice in reply.choices]
    if len(messages) == 1 and not messages[0].get("tool_calls") and messages[0].get("content"):
        return str(messages[0]["content"])
    return json.dumps(messages, ensure_ascii=False, default=str)
