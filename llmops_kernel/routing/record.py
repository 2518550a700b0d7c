"""What routes have done: read from their spans and added up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.store import span_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmops_kernel.store import Store

    # Nano-dollars of so many input and output tokens on a model, and their book; None where the
    # model is not known.
    Pricing = Callable[[str, int, int], tuple[int, str] | None]

_PREFIX = "route "
_SERVED, _PASSED, _FAILED = "served", "passed over", "failed"


@dataclass(frozen=True, slots=True)
class Trip:
    """One call that went through a route.

    Attributes:
        keys: Ids of its span, its trace and what encloses it: where a verdict may be written.
        legs: The models it asked, in order, as `Leg` records them.
        status: How it ended (``ok``, ``error``, ``refused``, ...).
    """

    route: str
    kind: str
    keys: tuple[str, ...]
    legs: tuple[Mapping[str, Any], ...]
    status: str

    @property
    def served(self) -> Mapping[str, Any] | None:
        """The leg whose answer was served; None where none was."""
        last = self.legs[-1] if self.legs else None
        return last if last is not None and last.get("state") == _SERVED else None


@dataclass(frozen=True)
class Share:
    """What one model of a route did.

    Attributes:
        model: Its name in the route.
        served: Calls it answered.
        passed_over: Answers of it that a check kept back.
        failed: Calls that its provider failed.
        usd_nano: What all of them were charged, by book.
        quality: Mean verdict on the answers it gave (0 to 1); None where none was judged.
        judged: How many were.
    """

    model: str
    served: int
    passed_over: int
    failed: int
    usd_nano: Mapping[str, int]
    quality: float | None = None
    judged: int = 0


@dataclass(frozen=True)
class RouteUse:
    """What a route has done.

    Attributes:
        calls: Calls that went through it.
        answered: Those that were served an answer.
        refused: Those that a cap, a stop or the breaker ended.
        cached: Those that were served from the cache.
        escalated: Those for which a check sent the call on.
        fell_back: Those for which a provider failed and another model was asked.
        may_be_billed: Legs that failed and that the provider may have billed all the same.
        models: What each of its models did.
        large: The dearest of its models: what everything is compared with.
        usd_nano: What all of it was charged, by book.
        large_nano: What the same tokens would have cost on the dearest model, by book. Answers
            from the cache are left out on both sides.
    """

    route: str
    kind: str
    calls: int
    answered: int
    refused: int
    cached: int
    escalated: int
    fell_back: int
    may_be_billed: int
    models: tuple[Share, ...]
    large: str
    usd_nano: Mapping[str, int] = field(default_factory=dict)
    large_nano: Mapping[str, int] = field(default_factory=dict)

    @property
    def share_small(self) -> float | None:
        """Share of the answers that did not come from the dearest model."""
        if not self.answered:
            return None
        large = sum(each.served for each in self.models if each.model == self.large)
        return 1.0 - large / self.answered

    @property
    def saved_nano(self) -> dict[str, int]:
        """Nano-dollars saved against everything on the dearest model, by book; below 0 lost."""
        return {book: nano - self.usd_nano.get(book, 0) for book, nano in self.large_nano.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {**asdict(self), "share_small": self.share_small, "saved_nano": self.saved_nano}


def trips(store: Store, limit: int = 10_000) -> list[Trip]:
    """Return the newest calls through routes, newest first.

    Raises:
        StoreError: The record cannot be read.
    """
    found = []
    for row in span_rows.named(store, _PREFIX, limit):
        span_id, trace_id, parent_id, _, _, _, _, status, attributes, *_ = row
        facts = json.loads(attributes)
        if isinstance(facts.get("route"), str) and "router" in facts:
            legs = tuple(leg for leg in facts.get("legs") or () if isinstance(leg, dict))
            keys = tuple(key for key in (span_id, parent_id, trace_id) if key)
            found.append(Trip(facts["route"], str(facts["router"]), keys, legs, status))
    return found


def used(
    found: Iterable[Trip],
    pricing: Pricing,
    *,
    route: str | None = None,
    members: Callable[[str], Sequence[str]] = lambda _: (),
    verdicts: Mapping[str, float] | None = None,
) -> list[RouteUse]:
    """Return what each route has done, by name.

    Args:
        found: The calls.
        pricing: What tokens cost on a model.
        route: Only this route.
        members: The models that a route has now, by its name; those it asked are added.
        verdicts: Verdicts on answers, by span or trace.
    """
    by_name: dict[str, list[Trip]] = {}
    for trip in found:
        if route in (None, trip.route):
            by_name.setdefault(trip.route, []).append(trip)
    return [
        _use(name, each, pricing, members(name), verdicts or {})
        for name, each in sorted(by_name.items())
    ]


def _use(
    name: str,
    found: Sequence[Trip],
    pricing: Pricing,
    members: Sequence[str],
    verdicts: Mapping[str, float],
) -> RouteUse:
    asked = dict.fromkeys([*members, *(leg["model"] for trip in found for leg in trip.legs)])
    large = max(asked, key=lambda model: _rate(pricing, model), default="")
    served = [trip for trip in found if trip.served is not None]
    spent: dict[str, int] = {}
    instead: dict[str, int] = {}
    for trip in found:
        for leg in trip.legs:
            _add(spent, str(leg.get("book", "real")), leg.get("usd_nano") or 0)
        leg = trip.served or {}
        if not leg or leg.get("cached"):
            continue
        if leg["model"] == large:
            _add(instead, str(leg.get("book", "real")), leg.get("usd_nano") or 0)
            continue
        price = pricing(large, leg.get("input_tokens", 0), leg.get("output_tokens", 0))
        if price is not None:
            _add(instead, price[1], price[0])
    return RouteUse(
        route=name,
        kind=found[0].kind,
        calls=len(found),
        answered=len(served),
        refused=sum(trip.status == "refused" for trip in found),
        cached=sum(bool((trip.served or {}).get("cached")) for trip in served),
        escalated=sum(_any(trip, _PASSED) for trip in found),
        fell_back=sum(_any(trip, _FAILED) and len(trip.legs) > 1 for trip in found),
        may_be_billed=sum(bool(leg.get("billed")) for trip in found for leg in trip.legs),
        models=tuple(_share(model, found, verdicts) for model in asked),
        large=large,
        usd_nano=spent,
        large_nano=instead,
    )


def _share(model: str, found: Sequence[Trip], verdicts: Mapping[str, float]) -> Share:
    legs = [leg for trip in found for leg in trip.legs if leg["model"] == model]
    spent: dict[str, int] = {}
    for leg in legs:
        _add(spent, str(leg.get("book", "real")), leg.get("usd_nano") or 0)
    states = [leg.get("state") for leg in legs]
    said = [
        next(verdicts[key] for key in trip.keys if key in verdicts)
        for trip in found
        if (trip.served or {}).get("model") == model and any(key in verdicts for key in trip.keys)
    ]
    return Share(
        model,
        states.count(_SERVED),
        states.count(_PASSED),
        states.count(_FAILED),
        spent,
        sum(said) / len(said) if said else None,
        len(said),
    )


def _rate(pricing: Pricing, model: str) -> int:
    """Return a number to order models by price with."""
    price = pricing(model, 1_000, 1_000)
    return -1 if price is None else price[0]


def _any(trip: Trip, state: str) -> bool:
    return any(leg.get("state") == state for leg in trip.legs)


def _add(sums: dict[str, int], book: str, nano: int) -> None:
    sums[book] = sums.get(book, 0) + nano
