"""How the parts of a session become the path of a call; the order is the policy of the house."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget import ActiveCap, BreakerStage, BudgetStage, OutputLimits
from llmops_kernel.cache import CacheStage, Door, ExactCache, LateEmbedder
from llmops_kernel.calls import build_path
from llmops_kernel.calls.catalog import Catalog
from llmops_kernel.calls.counting import TokenCounting
from llmops_kernel.calls.dispatch import Dispatcher
from llmops_kernel.calls.offline import OfflineEngine
from llmops_kernel.calls.resolve import ResolveStage
from llmops_kernel.calls.retry import RetryStage
from llmops_kernel.calls.tokens import count_request
from llmops_kernel.errors import MissingExtra
from llmops_kernel.routing import Routes, RouteStage
from llmops_kernel.serve.door import LocalDoor
from llmops_kernel.settings import Cap, ProviderSettings
from llmops_kernel.surroundings import OUTER_KEY, surroundings
from llmops_kernel.trace import TraceStage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmops_kernel.calls import Handler
    from llmops_kernel.calls.keys import Keys
    from llmops_kernel.calls.reply import Outcome
    from llmops_kernel.calls.upstream import HTTPUpstream
    from llmops_kernel.serve.local import LocalServers
    from llmops_kernel.session import Session
    from llmops_kernel.settings import CacheSettings, Settings


def make_path(
    session: Session,
    upstream: HTTPUpstream,
    *,
    booked: Callable[[str], Awaitable[int]],
    passed_over: Callable[[Outcome], None],
) -> Handler:
    """Put the stages in order, outermost first.

    A route stands before everything else, so that each of its legs is a call of its own. The cache
    stands before whatever costs money, the budget right before what leaves this machine.

    Args:
        session: Whose parts they are.
        upstream: What is answered by nobody in this process.
        booked: What the ledger has charged for a call, in nano-dollars.
        passed_over: Told of the answers that a route did not serve.
    """
    settings, ledger = session.settings, session.ledger
    limits = OutputLimits(settings.default_max_tokens, settings.min_tokens)
    stages: list[Callable[[Handler], Handler]] = [
        partial(
            RouteStage,
            routes=session.routes,
            tracer=session.tracer,
            booked=booked,
            passed_over=passed_over,
        ),
        partial(TraceStage, tracer=session.tracer),
        partial(
            CacheStage,
            cache=session.cache,
            catalog=session.catalog,
            ledger=ledger,
            outer_key=OUTER_KEY,
        ),
        partial(BreakerStage, breaker=session.breaker),
        partial(ResolveStage, catalog=session.catalog),
        partial(RetryStage, retries=settings.retries),
        partial(BudgetStage, ledger=ledger, counting=TokenCounting(), limits=limits),
    ]
    engine = OfflineEngine()
    local: dict[str, Handler] = {
        "offline": engine,
        "sim": engine,
        "local": LocalDoor(session.servers, upstream),
    }
    return build_path(stages, Dispatcher(local=local, upstream=upstream))


def make_cache(session: Session, variable: Callable[[str], str | None]) -> ExactCache:
    """Make the cache; ``variable`` returns a variable's value, for the team's secret."""
    name = session.settings.embedder
    return ExactCache(
        _recorded(session.settings),
        session.store,
        session.ledger.lease,
        variable=variable,
        redact=session.secrets.redact,
        embedder=LateEmbedder(name, lambda: retrieval().embedder_of(session, name)),
        door=Door(session.acall, session.catalog, session.settings.default_max_tokens),
    )


def _recorded(settings: Settings) -> CacheSettings:
    """Return the cache's settings, without what would record texts that are not to be."""
    asked = settings.cache
    if settings.capture:
        return asked
    if "cache" not in settings.model_fields_set:
        return asked.model_copy(update={"mode": "off"})
    off = {"near": False, "semantic": "off"}
    unsaid = off.keys() - asked.model_fields_set
    return asked.model_copy(update={name: off[name] for name in unsaid})


def make_catalog(
    settings: Settings,
    keys: Keys,
    routes: Routes,
    servers: LocalServers,
    outer: tuple[str, str] | None,
) -> Catalog:
    """Make the catalog; ``outer`` is the door of the kernel that this process is a child of."""
    upstream = surroundings.upstream(os.environ)
    if outer is not None:
        # A child of a kernel: that kernel's door meters, so here its calls are free.
        door = ProviderSettings(base_url=outer[0], key_env=OUTER_KEY, free=True)
        providers = {**settings.providers, "openai": door}
        settings, upstream = settings.with_(providers=providers), outer[0]
    return Catalog(
        settings,
        has_key=keys.has,
        upstream_url=upstream,
        routes=routes.names,
        # A child of a kernel calls that kernel's servers through its door, which meters.
        served=servers.target if outer is None else None,
        servers=servers.names if outer is None else tuple,
    )


def make_routes(settings: Settings) -> Routes:
    """Make the routes."""
    return Routes(settings, count=count_request, support=_support)


def active_caps(settings: Settings, *, given: bool) -> list[ActiveCap]:
    """Return the caps with where they come from; ``given`` means in code."""
    source = (
        "argument" if given else "settings" if "caps" in settings.model_fields_set else "default"
    )
    active = [ActiveCap(cap, source) for cap in settings.caps]  # type: ignore[arg-type]
    if settings.run_budget_usd is not None:
        cap = Cap(scope="run", window="total", usd=settings.run_budget_usd)
        active.append(ActiveCap(cap, "run"))
    return active


def retrieval() -> Any:
    """Return the module of retrieval, whose packages are optional (raises `MissingExtra`)."""
    try:
        return import_module("llmops_kernel.retrieval")
    except ModuleNotFoundError as error:
        raise MissingExtra("rag", error.name or "numpy") from error


def _support(answer: str, passages: Sequence[str]) -> float | None:
    """Return the share of an answer's content that passages hold; None if it claims nothing."""
    from llmops_kernel.judge.judges import signals

    claims = signals.claims_of(answer)
    if not claims or signals.is_refusal(answer):
        return None
    evidence = signals.Evidence(passages)
    found = [evidence.support(claim) for claim in claims]
    weight = sum(each.weight for each in found)
    return min(sum(each.recall * each.weight for each in found) / weight, 1.0) if weight else None
