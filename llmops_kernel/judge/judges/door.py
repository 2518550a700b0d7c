"""A session's models as judges: every call goes through the door, for the purpose ``judge``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.reply import ReplyStream
from llmops_kernel.judge.judges.model import ModelJudge

if TYPE_CHECKING:
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.calls.request import ChatRequest
    from llmops_kernel.judge.judges.protocol import Call
    from llmops_kernel.session import Session

# Reasoning models take no temperature.
_UNTEMPERED = re.compile(r"(?:.*/)?(?:o\d|gpt-5)")


def door(session: Session, **context: Any) -> Call:
    """Return what sends a judge's request through a session; await it on the session's loop.

    A run of a judge has its own cap, estimate and stop, so that the loop breaker's limit for the
    calls of one cell does not count it; its limit for a run does.
    """

    async def call(request: ChatRequest) -> Reply:
        where = session.context(**{"purpose": "judge", "cell_id": "", **context})
        reply = await session.acall(request, where)
        return await reply.collect() if isinstance(reply, ReplyStream) else reply

    return call


def judge_of(session: Session, model: str | None = None, **options: Any) -> ModelJudge:
    """Return a model of a session as a judge.

    Args:
        session: Whose door, caps and prices count.
        model: The model's name or alias (default: the session's).
        options: As `ModelJudge` takes them; ``context`` is for `door`.

    Raises:
        UnknownModel: The model is not known.
        UnknownPrice: Its price is not known.
    """
    name = model or session.settings.model
    target = session.catalog.resolve(name)
    context = options.pop("context", {})
    if _UNTEMPERED.match(target.model):
        options.setdefault("temperature", None)
    return ModelJudge(
        door(session, **context),
        name,
        target=target,
        loop=session._loop,  # noqa: SLF001 - its connections belong to that loop
        **options,
    )
