"""Questions in other manners, asked of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cache_desk import body

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest, Reply

Make = Callable[..., Session]
FIRST = "How do I block my card?"
AGAIN = "hi, how can i block my crad pls"


def ask(session: Session, text: str = FIRST, **fields: Any) -> Reply:
    context = fields.pop("context", {})
    return session.call(ChatRequest.from_body(body(text, **fields)), **context)


def near(session: Session, text: str, **fields: Any) -> bool:
    """Whether a request is answered by a near one."""
    return ask(session, text, **fields).tier == "near_verbatim"


def messages(system: str | None, text: Any, **last: Any) -> list[dict[str, Any]]:
    told = [] if system is None else [{"role": "system", "content": system}]
    return [*told, {"role": "user", "content": text, **last}]
