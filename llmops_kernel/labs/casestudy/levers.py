"""What can be done about the bill, and how a session is set up for it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.labs.casestudy.shapley import coalitions
from llmops_kernel.settings import Cap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from llmops_kernel.labs.casestudy.own import KnownQuestions
    from llmops_kernel.prompts.compress import Compressor

CACHE, MARGIN, ROUTING = "exact and near-verbatim hits", "margin-tier hits", "routing"
COMPRESSION, PREFIX = "compression", "provider prompt caching"
LEVERS = (CACHE, MARGIN, ROUTING, COMPRESSION, PREFIX)
# Stands beside the levers: its rent is paid by the day, whatever it saves of the bill.
OWN = "a model of one's own"

LARGE, SMALL = "sim/gpt-4o", "sim/gpt-4o-mini"
ROUTE, FRONT = "desk", "front"


@dataclass(frozen=True)
class Means:
    """What the levers are made of.

    Attributes:
        compressor: Makes prompts shorter.
        route: Settings of the route (`RouteSettings`); None where there is no route yet.
        large: The model everything goes to without a route.
        own: What a model of one's own knows; it must be served while a day is played with it.
    """

    compressor: Compressor
    route: Any = None
    large: str = LARGE
    own: KnownQuestions | None = None


def checked(levers: Iterable[str]) -> frozenset[str]:
    """Return levers as a set.

    Raises:
        UsageProblem: There is no such lever.
    """
    chosen = frozenset(levers)
    for lever in sorted(chosen):
        if lever not in (*LEVERS, OWN):
            raise UsageProblem(f"There is no lever {lever!r}{nearest(lever, (*LEVERS, OWN))}")
    return chosen


def plays_needed(levers: Iterable[str] = LEVERS) -> list[frozenset[str]]:
    """Return the sets of levers that a day must be played with, the margin tier's apart.

    A provider's prompt cache changes no answer and no decision, only what tokens cost, so it is
    priced on the calls of a play and needs none of its own.
    """
    return list(coalitions([each for each in levers if each not in (PREFIX, MARGIN)]))


def play_of(levers: frozenset[str], played: Collection[frozenset[str]]) -> frozenset[str]:
    """Return the play that tells what a set of levers is worth.

    The margin tier stands behind the cache; where it was played with all levers and served nothing
    (its evidence did not suffice), what it adds to fewer levers is nothing as well, and the play
    without it counts.
    """
    wanted = levers - {PREFIX}
    return wanted if wanted in played else wanted - {MARGIN}


def settings_of(levers: frozenset[str], means: Means) -> dict[str, Any]:
    """Return the settings of a session in which some levers are pulled."""
    cached = CACHE in levers
    cache: dict[str, Any] = {"mode": "exact" if cached else "off", "simulated": True}
    if MARGIN in levers:
        cache["semantic"] = "margin"
    settings: dict[str, Any] = {
        "cache": cache,
        # A day goes by in seconds here: what is spent in a minute says nothing.
        "breaker": {
            "usd_per_minute": 0, "calls_per_cell": 0, "calls_per_run": 0, "identical": 0,
        },
        "caps": (Cap(scope="user", window="total", usd=Decimal(10_000)),),
    }  # fmt: skip
    routes: dict[str, Any] = {}
    if ROUTING in levers and means.route is not None:
        routes[ROUTE] = means.route
    if OWN in levers and means.own is not None:
        routes[FRONT] = means.own.route(model_of(levers - {OWN}, means))
    return settings | ({"routes": routes} if routes else {})


def model_of(levers: frozenset[str], means: Means) -> str:
    """Return the model that the assistant asks."""
    if OWN in levers and means.own is not None:
        return f"route/{FRONT}"
    return f"route/{ROUTE}" if ROUTING in levers and means.route is not None else means.large
