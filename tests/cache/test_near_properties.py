"""Whatever was asked before: a hit stays in its place, another number is another question."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from near_desk import FIRST, Make, ask, messages
from stub_upstream import StubUpstream

from llmops_kernel import Session

# ---- properties -----------------------------------------------------------------------------

_QUESTION = st.sampled_from(
    [FIRST, "Where is the branch?", "What does a transfer of 100 euros to Spain cost?"]
)
_MANNERS = st.sampled_from(["{}", "hi, {}", "hello {} please", "{} thanks!", "Hey, {}"])
_PLACE = st.fixed_dictionaries(
    {
        "system": st.sampled_from([None, "Be brief.", "Be brief", "be brief."]),
        "context": st.sampled_from(["", "The fee is 1 dollar.", "The fee is 2 dollars."]),
        "tenant": st.sampled_from(["a", "b", "A"]),
        "max_tokens": st.sampled_from([None, 5]),
    }
)


@given(st.lists(st.tuples(_PLACE, _QUESTION, _MANNERS), min_size=2, max_size=8))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hit_stays_in_its_place(
    make_session: Make,
    upstream: StubUpstream,
    asked: list[tuple[dict[str, Any], str, str]],
) -> None:
    """Whatever was asked before: a hit has tenant, system text and context of its first asker."""
    session = make_session()
    session.cache.clear()
    seen: set[str] = set()
    for place, question, manners in asked:
        system = "\n".join(t for t in (place["system"], place["context"]) if t) or None
        fields: dict[str, Any] = {
            "messages": messages(system, manners.format(question)),
            "context": {"tenant": place["tenant"]},
        }
        if place["max_tokens"]:
            fields["max_tokens"] = place["max_tokens"]
        mine = json.dumps([system, place["tenant"], place["max_tokens"], question])
        reply = ask(session, **fields)
        assert reply.cached == (mine in seen)
        seen.add(mine)
    session.close()


@given(st.integers(0, 10**6), st.integers(0, 10**6), _MANNERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_number_is_always_another_question(
    session: Session, one: int, other: int, manners: str
) -> None:
    assume(one != other)
    session.cache.clear()
    ask(session, f"What does a transfer of {one} euros cost?")
    asked = manners.format(f"what does a transfer of {other} euros cost?")
    assert not ask(session, asked).cached
