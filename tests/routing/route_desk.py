"""Routes for the tests: rules and cascades, requests to them, and the spans they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest
from llmops_kernel.trace import SpanNode

Make = Callable[..., Session]
CASCADE = {"kind": "cascade", "models": ["small", "large"], "checks": ["refusal", "length:5"]}
RULES = {
    "kind": "rules",
    "model": "large",
    "rules": [{"model": "small", "max_tokens": 20, "tools": False}],
}
REFUSAL = "I'm sorry, I cannot help with that."
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def body(model: str, text: str = "What is it?", **fields: Any) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    return ChatRequest.from_body({"model": model, "messages": messages, **fields})


def route_span(session: Session) -> SpanNode:
    session.store.flush()
    top = session.trace()
    assert top is not None
    assert top.span.name.startswith("route ")
    return top


def streamed(session: Session, request: ChatRequest) -> tuple[str, list[Any]]:
    chunks = list(session.stream(request))
    text = "".join(
        (choice.get("delta") or {}).get("content") or ""
        for each in chunks
        for choice in each.get("choices") or ()
    )
    return text, chunks


def route_span_before(session: Session) -> SpanNode:
    session.store.flush()
    found = [each for each in session.traces() if each.name.startswith("route ")]
    top = session.trace(found[0].trace_id)
    assert top is not None
    return top


def worst_of(session: Session, request: ChatRequest) -> int:
    """Return the largest worst case of a leg alone."""
    from llmops_kernel.calls.tokens import bound_tokens

    target = session.catalog.resolve("large")
    return target.price.worst(bound_tokens(request.with_(model="large"), target.name), 3)
