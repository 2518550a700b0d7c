"""Streams through the whole stage of the cache, before a model that answers with a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cache.stage import CacheStage
from llmops_kernel.calls import CallContext, Reply
from llmops_kernel.calls import Request as Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _semantic_speed import Filled
    from _streams import Request


def by_production(
    made: Filled, requests: Sequence[Request], tenant: str
) -> tuple[list[int | None], list[str]]:
    """Ask a stream of the production path, as a tenant of its own.

    Returns:
        Whose answer each request was given (None: the model's), and by which tier.
    """
    asked = iter(range(len(requests)))
    number = 0

    async def model(_: Call, __: CallContext) -> Reply:
        message = {"role": "assistant", "content": str(number)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Reply(f"made-{tenant}-{number}", "stub-1", 0, (choice,), provider="stub")

    stage = CacheStage(
        model, cache=made.cache, catalog=made.session.catalog, ledger=made.session.ledger
    )

    async def all_of_them() -> tuple[list[int | None], list[str]]:
        nonlocal number
        served: list[int | None] = []
        tiers: list[str] = []
        for number in asked:
            context = made.session.context(tenant=tenant)
            reply = await stage(made.request(requests[number].asked.text), context)
            assert isinstance(reply, Reply)
            served.append(int(reply.text) if reply.cached else None)
            tiers.append(reply.tier)
        return served, tiers

    return made.loop.run_until_complete(all_of_them())
