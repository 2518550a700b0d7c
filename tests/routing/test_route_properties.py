"""Whatever the request: a decision never leaves the route, and costs are never lost."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_kernel import Session
from llmops_kernel.calls import CallContext, ChatRequest, Outcome, Reply
from llmops_kernel.calls.tokens import count_request
from llmops_kernel.embed import builtin
from llmops_kernel.errors import LLMOpsError, ProviderError
from llmops_kernel.routing.cascade import Cascade
from llmops_kernel.routing.checks import checks_of
from llmops_kernel.routing.fallback import Fallback
from llmops_kernel.routing.features import form
from llmops_kernel.routing.intent import Intent
from llmops_kernel.routing.learned import Learned
from llmops_kernel.routing.router import Decision, OneLeg, Router
from llmops_kernel.routing.rules import Rules
from llmops_kernel.routing.saved import Saved, Weights
from llmops_kernel.routing.stage import RouteStage
from llmops_kernel.settings import RouteSettings

_FEATURES = builtin().dim + len(form(""))


def weights(outputs: int, seed: int) -> Weights:
    draw = np.random.default_rng(seed)
    return Weights(
        np.zeros(_FEATURES),
        np.ones(_FEATURES),
        draw.normal(size=(outputs, _FEATURES)),
        draw.normal(size=outputs),
    )


def routers() -> list[Router]:
    rules = RouteSettings(
        kind="rules",
        model="default",
        rules=({"model": "a", "max_tokens": 20}, {"model": "b", "tools": True}),  # type: ignore[arg-type]
    )
    made = {"small": "small", "large": "large", "embedder": builtin().id}
    return [
        Rules(rules, count_request),
        Cascade(("a", "b", "c"), checks_of(["finished", "refusal", "json", "length:3"])),
        Fallback(("a", "b", "c")),
        Learned(Saved("learned", **made, weights=weights(3, 0), calibration=(1.0, 0.0),  # type: ignore[arg-type]
                      threshold=0.5), builtin),
        Intent(Saved("intent", **made, weights=weights(2, 1), calibration=(1.0,), threshold=0.6,  # type: ignore[arg-type]
                     labels=("x", "y"), chosen=("x",)), builtin),
    ]  # fmt: skip


TEXTS = st.text(max_size=60)
PARTS = st.one_of(
    TEXTS,
    st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
            st.just({"type": "image_url", "image_url": {"url": "x"}}),
            st.just({"type": "other"}),
        ),
        max_size=3,
    ),
)
MESSAGES = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant", "tool", "developer"]),
        PARTS,
    ),
    min_size=1,
    max_size=4,
)
REQUESTS = st.builds(
    lambda messages, tools, wanted: ChatRequest.from_body(
        {"model": "route/x", "messages": messages, "tools": tools, "response_format": wanted}
    ),
    MESSAGES,
    st.sampled_from([[], [{"type": "function", "function": {"name": "f"}}]]),
    st.sampled_from([None, {"type": "json_object"}, {"type": "text"}]),
)
OUTCOMES = st.builds(
    lambda text, finish, ending: Outcome(
        Reply("id", "m", 0, ({"message": {"content": text}, "finish_reason": finish},)), ending
    ),
    st.one_of(st.none(), TEXTS),
    st.sampled_from(["stop", "length", "content_filter", None]),
    st.sampled_from(["complete", "truncated", "cut"]),
)
ERRORS = st.builds(
    lambda status: ProviderError("failed", upstream_status=status),
    st.one_of(st.none(), st.integers(300, 599)),
)


@pytest.mark.parametrize("router", routers(), ids=lambda each: each.kind)
@settings(max_examples=60, deadline=None)
@given(request=REQUESTS, outcome=OUTCOMES, error=ERRORS)
def test_a_decision_never_leaves_the_route(
    router: Router, request: ChatRequest, outcome: Outcome, error: ProviderError
) -> None:
    decision = router.decide(request, CallContext("id"))
    steps = 0
    while True:
        assert decision.model in router.models
        assert decision.reason
        assert decision.confidence is None or 0.0 <= decision.confidence <= 1.0
        steps += 1
        assert steps <= len(router.models)  # it comes to an end
        after = [router.failed(error, decision)]
        if router.reviews(decision.model):
            after.append(router.review(request, outcome, decision))
        found = [each for each in after if each is not None]
        if not found:
            break
        assert all(each.model != decision.model for each in found)
        decision = found[-1]


MODELS = ["sim/gpt-4o-mini", "sim/gpt-4.1", "sim/gpt-4o", "offline/extractive"]


class _Stray(OneLeg):
    """A router that names a model which is not its own."""

    kind = "stray"
    models = ("small",)

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:
        return Decision("elsewhere", "because")


def test_the_stage_holds_a_router_to_its_models(tmp_path: Any) -> None:
    with Session(store=f"sqlite:///{tmp_path / 'r.db'}") as session:
        asked = []

        async def following(request: Any, context: Any) -> Any:
            asked.append(request.model)

        class Routes:
            def named(self, model: str) -> str | None:
                return "x" if model == "route/x" else None

            def get(self, name: str) -> Router:
                return _Stray()

        stage = RouteStage(
            following,
            routes=Routes(),  # type: ignore[arg-type]
            tracer=session.tracer,
            booked=session._booked,
            passed_over=lambda outcome: None,
        )
        request = ChatRequest("route/x", ({"role": "user", "content": "?"},))
        with pytest.raises(LLMOpsError, match="not one of its own"):
            asyncio.run(stage(request, CallContext("id", trace_id="t")))
        assert asked == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    models=st.lists(st.sampled_from(MODELS), min_size=2, max_size=4, unique=True),
    least=st.sampled_from([0, 50, 200, 100_000]),
    stream=st.booleans(),
)
def test_the_reply_and_the_ledger_agree(
    tmp_path: Any, models: list[str], least: int, stream: bool
) -> None:
    routes = {"c": {"kind": "cascade", "models": models, "checks": [f"length:{least}"]}}
    with Session(store=f"sqlite:///{tmp_path / 'record.db'}", routes=routes) as session:
        before = _spent(session)
        session.begin_cell("one")
        request = ChatRequest("route/c", ({"role": "user", "content": "Hello"},), stream=stream)
        if stream:
            assert list(session.stream(request))
        else:
            reply = session.call(request)
            assert reply.cost_nano == _spent(session) - before
        cost = session.end_cell()
        assert cost.simulated_nano == _spent(session) - before
        asked = models if least == 100_000 else models[: cost.calls]
        assert cost.calls == len(asked)


def _spent(session: Session) -> int:
    session.store.flush()
    return sum(event.spent_nano for event in session.history(10_000))
