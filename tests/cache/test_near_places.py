"""Where near-verbatim answers lie: every place keeps, finds, clears and lifts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from near_desk import AGAIN, FIRST, Make, ask, messages, near
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import caching
from llmops_kernel.cache.backend import Backend, Selection
from llmops_kernel.store import hit_rows, near_rows, open_store
from llmops_kernel.store.cache_rows import EntryRow, FlightRow
from llmops_kernel.store.lease import Lease
from llmops_kernel.store.near_rows import NearRow
from llmops_kernel.store.schema import MIGRATIONS, SCHEMA_VERSION

NOW = 1_900_000_000_000_000  # 2030
HOUR = 3_600_000_000


def test_a_sealed_question_cannot_be_moved(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session()
    ask(session, "Where is the branch?")
    ask(session, messages=messages("Lie.", FIRST))
    ask(session, "How do I close it?")
    with session.store.transaction() as tx:
        rows = tx.rows("SELECT DISTINCT place, entry_key FROM cache_near ORDER BY entry_key")
        lies = session.store.read("SELECT entry_key FROM cache_body WHERE payload LIKE '%block%'")
        (place,) = {place for place, key in rows if key != lies[0][0]}
        # The signs of another place are never those of this one; point everything at the lie.
        tx.run("DELETE FROM cache_near WHERE entry_key = ?", (lies[0][0],))
        tx.run("UPDATE cache_near SET entry_key = ? WHERE place = ?", (lies[0][0], place))
    assert not ask(session, "hi, where is the branch").cached
    assert not ask(session, AGAIN).cached


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE cache_body SET payload = REPLACE(payload, 'block', 'close')",
        "UPDATE cache_entry SET mac = ''",
        "UPDATE cache_entry SET tenant = 'other'",
        "UPDATE cache_body SET payload = '[]'",
    ],
)
def test_an_edited_row_is_never_served(session: Session, edit: str) -> None:
    ask(session)
    with session.store.transaction() as tx:
        tx.run(edit)
    assert not ask(session, AGAIN).cached
    assert not ask(session, "how do i close my card").cached


def test_every_place_keeps_and_clears_it(make_session: Make, place: dict[str, str]) -> None:
    session = make_session(store=place["store"], cache={"url": place["url"]})
    other = make_session(store=place["store"], cache={"url": place["url"]})
    with caching(tags=["faq"]):
        ask(session)
    session.store.flush()  # as the end of a cell does, and the session a moment after a call
    assert near(other, AGAIN)
    (hit,) = other.cache.audit(tenant="default").hits
    assert (hit.stored, hit.asked, hit.right) == (FIRST, AGAIN, None)
    assert session.cache.clear(tag="other") == 0
    assert other.cache.audit(tenant="default").total == 1
    assert session.cache.clear(tag="faq") == 1
    assert session.cache.audit(tenant="default").total == 0
    assert not ask(other, AGAIN).cached


def _row(key: str, at: int = NOW) -> EntryRow:
    return EntryRow(key, "bank", "stub/m", "nb", "real", "[]", at, at + HOUR, 5, "mac", "{}")


def test_places_find_the_same_form_first_then_the_newest(
    make_backend: Callable[..., Backend],
) -> None:
    backend, other = make_backend(), make_backend()
    for age, (key, signs) in enumerate(
        [("a", ("x", "f", "l")), ("b", ("y", "f", "m")), ("c", ("z", "g", "l")), ("d", ("w",))]
    ):
        at = NOW + age
        backend.put(_row(key, at), at, "", NearRow("p", signs))
    backend.put(_row("e"), NOW, "", NearRow("q", ("x", "f", "l")))
    backend.put(_row("g"), NOW)

    def found(*signs: str, where: str = "p", limit: int = 9) -> list[str]:
        return [row.entry_key for row in other.twins(NearRow(where, signs), NOW + 5, limit)]

    assert found("x", "f", "l")[0] == "a"
    assert sorted(found("x", "f", "l")) == ["a", "b", "c"]
    assert found("x", "f", "l", limit=1) == ["a"]
    assert found() == ["d", "c", "b", "a"]
    assert found(limit=2) == ["d", "c"]
    assert found("x", where="q") == ["e"]
    assert found("nothing") == []
    other.put(_row("a", NOW + 9), NOW + 9, "", NearRow("p", ("n",)))  # its old forms go
    assert sorted(found("x", "f", "l")) == ["b", "c"]
    assert found("n") == ["a"]
    backend.remove(_row("b", NOW + 1))
    assert found("y", "f", "m") == []
    assert other.find("c", NOW) == _row("c", NOW + 2)
    assert other.find("b", NOW) is None
    backend.clear(Selection())
    assert found() == []


def test_what_was_served_lately_stays(make_backend: Callable[..., Backend]) -> None:
    backend = make_backend(entries=20)
    for number in range(20):
        backend.put(_row(f"k{number}", NOW + number), NOW + number)
    backend.touch("k0", NOW + 100)
    backend.touch("missing", NOW + 100)
    backend.put(_row("new", NOW + 101), NOW + 101)
    assert backend.find("k0", NOW) is not None
    assert backend.find("k1", NOW) is None
    claim = FlightRow("c", Lease.mine(), NOW + HOUR)
    assert backend.enter("missing", claim, NOW + 102) == "claimed"


def test_a_record_of_version_3_is_lifted(store_url: str) -> None:
    store = open_store(store_url)
    with store.transaction() as tx:
        tx.run(
            "INSERT INTO cache_tag (tag, entry_key) VALUES ('faq', 'k')",
        )
        for table in ("near", "hit", "tier", "vector", "judged", "spend"):
            tx.run(f"DROP TABLE cache_{table}")
        tx.run("UPDATE meta SET value = '3' WHERE name = 'schema'")
    store.close()
    lifted = open_store(store_url)
    try:
        assert len(MIGRATIONS) == SCHEMA_VERSION - 1
        assert lifted.read("SELECT tag FROM cache_tag") == [("faq",)]
        with lifted.transaction() as tx:
            near_rows.put(tx, "k", NearRow("p", ("a", "b")), NOW)
            assert near_rows.keys(tx, NearRow("p", ("a", "b")), 5) == ["k"]
    finally:
        lifted.close()


def test_hits_of_version_4_are_kept(store_url: str) -> None:
    store = open_store(store_url)
    with store.transaction() as tx:
        for table in ("hit", "tier", "vector", "judged", "spend"):
            tx.run(f"DROP TABLE cache_{table}")
        tx.run(
            "CREATE TABLE cache_twin (twin_id INTEGER PRIMARY KEY, at BIGINT NOT NULL, "
            "call_id TEXT NOT NULL, entry_key TEXT NOT NULL, tenant TEXT NOT NULL, "
            "model TEXT NOT NULL, notebook TEXT NOT NULL, tags TEXT NOT NULL, "
            "stored TEXT NOT NULL, asked TEXT NOT NULL, reason TEXT NOT NULL, verdict BIGINT)"
        )
        for number, verdict in ((1, 1), (2, None)):
            values = (number, number, "c", "k", "bank", "m", "nb", "[]", "a", "b", "why", verdict)
            tx.run(f"INSERT INTO cache_twin VALUES ({', '.join('?' * 12)})", values)
        tx.run("UPDATE meta SET value = '4' WHERE name = 'schema'")
    store.close()
    lifted = open_store(store_url)
    try:
        found = [row for _, row in hit_rows.hits(lifted, "bank")]
        assert [(row.at, row.verdict, row.tier) for row in found] == [
            (2, None, "near_verbatim"),
            (1, 1, "near_verbatim"),
        ]
        (count,) = hit_rows.counts(lifted, "bank")
        assert (count.hits, count.judged, count.wrong, count.waiting) == (2, 1, 0, 0)
    finally:
        lifted.close()
