"""Verifiers in the path of a call: the built-in one and a person's, each with its own evidence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cache_desk import body
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import caching
from llmops_kernel.cache.explain import Explanation
from llmops_kernel.cache.semantic import strict_trees
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.cli import _cache as verbs
from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics.cache_results import AuditPage, CachePage, Explained

Make = Callable[..., Session]
FIRST = "How do I set up a standing order?"
THEN = "How do I set up a standing order then?"  # not of one form with it; the verifier is sure
OTHER = "How do I cancel a standing order?"
LOST = "My card is lost, how do I block it?"
WORDED = "How do I block it if my card is lost?"


class Overlap:
    """A verifier as a person plugs one in: the share of words that two texts have in common."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.threads: set[str] = set()
        self.fails = False

    def probability(self, cached: str, query: str) -> float:
        self.asked.append((cached, query))
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise RuntimeError("no memory left")
        ours, theirs = set(cached.lower().split()), set(query.lower().split())
        return len(ours & theirs) / len(ours | theirs)


def _ask(session: Session, text: str, **fields: Any) -> Reply:
    reply = session.call(ChatRequest.from_body(body(text, **fields)))
    session.cache.finish()
    return reply


def _explained(session: Session, text: str) -> Explanation:
    request = ChatRequest.from_body(body(text))
    target = session.catalog.resolve(request.model)
    return session.cache.explain(request, target, session.context())


@pytest.fixture
def session(make_session: Make) -> Session:
    return make_session(cache={"strict": True, "audit_share": 1.0})


def _plug(session: Session, verifier: Overlap, name: str = "overlap", **bounds: Any) -> Overlap:
    session.cache.use_verifier(
        verifier, name, **{"least_probability": 0.5, "least_cosine": 0.5, **bounds}
    )
    return verifier


def test_it_is_off_until_it_is_asked_for(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session()
    _ask(session, FIRST)
    assert not _ask(session, THEN).cached
    assert session.cache._margin is None  # nothing was embedded
    verbs.switched(session, on=True, strict=True, simulated=False)
    session.cache.clear()
    _ask(session, FIRST)
    assert _ask(session, THEN).tier == "strict"
    verbs.switched(session, on=False, strict=True, simulated=False)
    assert session.cache.settings.mode == "exact"
    assert not _ask(session, THEN).cached
    assert verbs.stats_of(session)[1]["Strict"] == "off"


def test_what_the_built_in_verifier_is_sure_of_is_served_and_named(
    session: Session, upstream: StubUpstream
) -> None:
    first = _ask(session, FIRST)
    again = _ask(session, THEN)
    assert again == first.with_(cached=True, cost_nano=0)
    assert again.tier == "strict"
    assert not _ask(session, OTHER).cached
    assert len(upstream.requests) == 2
    assert session.cache.stats().tiers == {"strict": 1}
    assert session.traces(2)[1].attributes["tier"] == "strict"
    said = _explained(session, THEN)
    assert (said.tier, said.question, said.reason) == ("strict", FIRST, "the verifier is sure")
    refused = _explained(session, "How do I change a standing order?")
    assert refused.tier == ""
    assert "; the strict tier: prepositions differ" in refused.reason
    assert 0 < refused.figures["cosine"] < 1
    assert "Hits, strict" in CachePage(*verbs.stats_of(session)).view().data["text/plain"]
    assert "strict" in Explained(THEN, said).view().data["text/plain"]
    # What it was served is not kept under it: no chain of small differences.
    assert session.cache.stats().entries == 2


def test_its_hits_are_drawn_judged_and_bounded_by_themselves(
    session: Session, upstream: StubUpstream
) -> None:
    _ask(session, FIRST)
    _ask(session, f"{FIRST} Thanks!")
    _ask(session, THEN)
    audit = session.cache.audit(tenant="default")
    assert [(hit.tier, hit.drawn, hit.right) for hit in audit.hits] == [
        ("strict", True, None), ("near_verbatim", True, None),
    ]  # fmt: skip
    page = AuditPage(verbs.audited(session, 20, wrong=[audit.hits[0].number])).view()
    assert "Errors per hit, strict: 1 of 1 judged" in page.data["text/plain"]
    assert "the strict tier: it has switched itself off" in _explained(session, THEN).reason
    assert not _ask(session, THEN).cached
    assert _ask(session, f"{FIRST} Thank you!").tier == "near_verbatim"
    (told,) = session.cache.broken("default")
    assert "strict tier has switched itself off" in told
    assert "%cache tune --restart strict" in told
    assert verbs.tuned(session, restart=["strict"]).off == ()
    session.cache.clear()
    _ask(session, FIRST)
    assert _ask(session, THEN).tier == "strict"


def test_a_block_and_a_judge_ask_no_verifier(session: Session, upstream: StubUpstream) -> None:
    verifier = _plug(session, Overlap())
    _ask(session, FIRST)
    with caching(strict=False):
        assert not _ask(session, THEN).cached
    request = ChatRequest.from_body(body("How do I set up a standing order, then?"))
    assert not session.call(request, purpose="judge").cached
    assert not _ask(session, "How do I set up a standing order for me now?").cached
    assert verifier.asked == []


def test_a_persons_verifier_is_a_tier_of_its_own(
    make_session: Make, upstream: StubUpstream
) -> None:
    session = make_session(cache={"audit_share": 1.0})
    verifier = _plug(session, Overlap())
    _ask(session, LOST)
    _ask(session, "What does it cost to send 100 euros?")
    reply = _ask(session, WORDED)
    assert (reply.tier, reply.cached) == ("overlap", True)
    assert verifier.asked == [(LOST, WORDED)]
    assert verifier.threads == {"llmops-margin_0"}
    assert session.cache.stats().tiers == {"overlap": 1}
    (hit,) = session.cache.audit(tenant="default").hits
    assert (hit.tier, hit.stored, hit.asked) == ("overlap", LOST, WORDED)
    # Whatever it says, numbers must agree.
    assert not _ask(session, "What does it cost to send 900 euros?").cached
    assert len(verifier.asked) == 1
    stats, switches, _ = verbs.stats_of(session)
    assert (switches["Strict"], switches["Verifier"]) == ("off", "overlap")
    assert "Hits, overlap" in CachePage(stats, switches).view().data["text/plain"]
    session.cache.judge(hit.number, right=False, tenant="default")
    assert not _ask(session, "How do I block it if the card is lost?").cached
    assert verbs.tuned(session, restart=["overlap"]).off == ()
    session.cache.use_verifier(None)
    asked = len(verifier.asked)
    assert not _ask(session, "How do I block it now if my card is lost?").cached
    assert len(verifier.asked) == asked


def test_it_is_asked_after_the_built_in_one_and_its_bounds_hold(
    session: Session, upstream: StubUpstream
) -> None:
    verifier = _plug(session, Overlap())
    _ask(session, FIRST)
    assert _ask(session, THEN).tier == "strict"
    assert verifier.asked == []
    said = _explained(session, "How do I change a standing order?")
    assert (said.tier, verifier.asked) == (
        "overlap", [(FIRST, "How do I change a standing order?")],
    )  # fmt: skip
    _plug(session, verifier, "overlap", least_probability=1.0)
    assert "the overlap tier: the verifier is not sure" in _explained(session, OTHER).reason
    _plug(session, verifier, "strictly_near", least_cosine=0.999)
    asked = len(verifier.asked)
    reason = _explained(session, OTHER).reason
    assert "the strictly-near tier: no question near enough was answered" in reason
    assert len(verifier.asked) == asked


def test_a_verifier_that_fails_costs_no_call(
    make_session: Make, upstream: StubUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = make_session()
    verifier = _plug(session, Overlap())
    verifier.fails = True
    _ask(session, LOST)
    assert not _ask(session, WORDED).cached
    assert verifier.asked
    assert (
        "the overlap tier: the verifier failed"
        in _explained(session, "How do I block it if the card is lost?").reason
    )
    assert "no memory left" in caplog.text


@pytest.mark.parametrize(
    ("verifier", "name", "bounds"),
    [
        (object(), "mine", {}),
        (Overlap(), "strict", {}),
        (Overlap(), "near_verbatim", {}),
        (Overlap(), "Mine", {}),
        (Overlap(), "", {}),
        (Overlap(), "mine", {"least_cosine": 1.5}),
        (Overlap(), "mine", {"least_probability": float("nan")}),
    ],
)
def test_what_is_no_verifier_is_refused(
    session: Session, verifier: Any, name: str, bounds: dict[str, float]
) -> None:
    with pytest.raises(UsageProblem):
        session.cache.use_verifier(verifier, name, **bounds)
    assert session.cache.verifiers.own is None


def test_trees_that_cannot_be_read_cost_no_call_and_no_other_tier(
    session: Session, upstream: StubUpstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    broken = tmp_path / "strict.npz"
    broken.write_bytes(b"no trees")
    monkeypatch.setattr(strict_trees, "builtin_trees", lambda: strict_trees.Trees.load(broken))
    _plug(session, Overlap())
    _ask(session, LOST)
    assert _ask(session, WORDED).tier == "overlap"
    assert (
        "the strict tier: The strict verifier cannot be read" in _explained(session, OTHER).reason
    )
    assert caplog.text.count("with vectors cannot be used now") == 1


def test_tenants_models_and_system_texts_never_meet(
    session: Session, upstream: StubUpstream
) -> None:
    _ask(session, FIRST)
    request = ChatRequest.from_body(body(THEN))
    assert not session.call(request, tenant="other").cached
    system = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": THEN}]
    assert not session.call(ChatRequest.from_body({**body(THEN), "messages": system})).cached
    assert not _ask(session, "How do I set up my standing order then?").cached  # personal


def test_an_answer_that_is_gone_is_served_to_nobody(
    session: Session, upstream: StubUpstream
) -> None:
    _ask(session, FIRST)
    session.store.flush()
    with session.store.transaction() as tx:
        tx.run("UPDATE cache_body SET payload = REPLACE(payload, 'choices', 'Choices')")
    assert not _ask(session, THEN).cached
    session.cache.clear()
    assert not _ask(session, FIRST).cached


def test_many_at_once_pay_once_each(session: Session, upstream: StubUpstream) -> None:
    _ask(session, FIRST)

    async def all_of_them() -> list[Any]:
        request = ChatRequest.from_body(body(THEN))
        return await asyncio.gather(*(session.acall(request) for _ in range(8)))

    replies = session._loop.run(all_of_them())
    assert {reply.tier for reply in replies} == {"strict"}
    assert len(upstream.requests) == 1
