"""What people see of the margin tier: explain, tune, audit, stats, and how they switch it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cache_desk import USD, body
from margin_desk import EAGER, WORDINGS, TopicUpstream, lessons

from llmops_kernel import Session
from llmops_kernel.cache.explain import Explanation
from llmops_kernel.cache.semantic.tuning import restarted, tuning_of
from llmops_kernel.calls import ChatRequest
from llmops_kernel.cli import _cache as verbs
from llmops_kernel.display import cache_audit_view
from llmops_kernel.display.cache_tune import cache_tune_view
from llmops_kernel.errors import UsageProblem

UPSTREAM = TopicUpstream
NEW = WORDINGS["block"][8]


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session(cache=EAGER, prices={"stub/stub-1": USD})


def _ask(session: Session, text: str) -> str:
    return session.call(ChatRequest.from_body(body(text))).tier


def _explain(session: Session, text: str) -> Explanation:
    request = ChatRequest.from_body(body(text))
    return session.cache.explain(request, session.catalog.resolve(request.model), session.context())


def _teach(session: Session, count: int = 8) -> None:
    for text in lessons(count):
        _ask(session, text)
    session.cache.margin.finish()


def test_explain_names_tier_reason_and_figures(session: Session, upstream: TopicUpstream) -> None:
    _ask(session, "How do I block my card?")
    early = _explain(session, NEW)
    assert early.tier == ""
    assert early.reason.endswith("the margin tier: not enough evidence")
    assert early.figures == {}
    _teach(session)
    before = len(upstream.requests)
    found = _explain(session, NEW)
    assert (found.tier, found.reason) == ("margin", "clearly nearest to the wordings of one answer")
    assert found.figures["score"] >= found.figures["threshold"]
    assert found.question in WORDINGS["block"]
    vetoed = _explain(session, "How can I put a freeze on my 2 cards?")
    assert vetoed.tier == ""
    assert vetoed.reason.endswith("numbers differ")
    assert vetoed.figures["lead"] > 0
    far = _explain(session, "Which recipe do you like for soup?")
    assert far.reason.endswith("no answer leads clearly enough")
    assert len(upstream.requests) == before


def test_tune_shows_evidence_and_what_is_missing(session: Session, upstream: TopicUpstream) -> None:
    assert tuning_of(session.cache, "default").partitions == ()
    _teach(session, 2)
    (report,) = verbs.tuned(session).partitions
    assert (report.texts, report.groups, report.mature) == (8, 4, 0)
    assert report.state == "not enough evidence"
    assert "more judged lookups" in report.missing
    assert "3 wordings of an answer" in report.missing
    assert (report.threshold, report.audits.hits) == (None, 0)
    _teach(session)
    (report,) = verbs.tuned(session).partitions
    assert (report.state, report.missing, report.groups, report.mature) == ("on", "", 4, 4)
    assert report.threshold is not None
    assert 0 < (report.share or 0) <= 1
    assert 16 <= report.evidence.hits <= report.usable <= report.lookups
    assert report.evidence.errors == report.usable - report.right == 0
    assert tuning_of(session.cache, "other").partitions == ()
    (strict,) = verbs.tuned(session, 0.01).partitions  # what another target would mean
    assert strict.state == "no threshold keeps to the target"
    assert verbs.tuned(session).target == 0.2
    with pytest.raises(UsageProblem):
        verbs.tuned(session, 2.0)


def test_the_views_tell_it(session: Session, upstream: TopicUpstream) -> None:
    empty = cache_tune_view(tuning_of(session.cache, "default"))
    assert "No partition has learnt anything yet" in empty.text
    _teach(session)
    tuning = verbs.tuned(session)
    seen = cache_tune_view(tuning)
    (facts,) = seen.facts["partitions"]
    assert facts["evidence"]["verdict"] == "met"
    assert tuning.partitions[0].name in seen.text
    assert _ask(session, NEW) == "margin"
    audit = cache_audit_view(session.cache.audit(tenant="default"))
    by_tier = {tier["tier"]: tier for tier in audit.facts["tiers"]}
    assert by_tier["margin"]["verdict"] == "not enough evidence"
    assert by_tier["margin"]["waiting"] == by_tier["margin"]["hits"] >= 1
    assert "Errors per hit, margin: none was judged yet" in audit.text
    hit = session.cache.audit(tenant="default").hits[0]
    verbs.audited(session, 5, wrong=[hit.number])
    audit = cache_audit_view(session.cache.audit(tenant="default"))
    assert "switched off" in audit.text
    broken = cache_tune_view(verbs.tuned(session))
    assert "The margin tier has switched itself off" in broken.text
    _, switches, warnings = verbs.stats_of(session)
    assert switches["Margin"] == "on"
    assert any("margin tier has switched itself off" in said for said in warnings)


def test_restart_takes_a_tier_or_a_partition(session: Session, upstream: TopicUpstream) -> None:
    _teach(session)
    name = verbs.tuned(session).partitions[0].name
    (after,) = verbs.tuned(session, restart=[name]).partitions
    assert (after.state, after.lookups) == ("not enough evidence", 0)
    assert restarted(session.cache, "default", "margin") == 1
    assert restarted(session.cache, "default", "near-verbatim") == 0
    for wrong in ("nothing", ""):
        with pytest.raises(UsageProblem):
            restarted(session.cache, "other", wrong)


def test_switches(session: Session, upstream: TopicUpstream) -> None:
    def now() -> tuple[str, bool, str]:
        settings = session.cache.settings
        return settings.mode, settings.near, settings.semantic

    verbs.switched(session, on=False, semantic=True, simulated=False)
    assert now() == ("exact", True, "off")
    verbs.switched(session, on=False, near=True, simulated=False)
    assert now() == ("exact", False, "off")
    verbs.switched(session, on=False, simulated=False)
    assert now() == ("off", False, "off")
    verbs.switched(session, on=True, semantic=True, near=True, simulated=True)
    assert now() == ("exact", True, "margin")
    assert session.cache.settings.simulated
