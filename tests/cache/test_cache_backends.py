"""What every place for answers must do: SQLite, PostgreSQL and Redis alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from llmops_kernel.cache.backend import Backend, Selection
from llmops_kernel.store import Lease
from llmops_kernel.store.cache_rows import EntryRow, FlightRow

NOW = 1_900_000_000_000_000  # 2030: Redis lets nothing of this expire while the test runs
HOUR = 3_600_000_000
SECOND = 1_000_000

Make = Callable[..., Backend]


def _row(key: str = "k", **changes: object) -> EntryRow:
    row = EntryRow(key, "bank", "stub/m", "nb", "real", '["faq"]', NOW, NOW + HOUR, 5, "mac", "{}")
    return row._replace(**changes)


def _claim(name: str = "c1", lease: Lease | None = None, seconds: float = 60) -> FlightRow:
    return FlightRow(name, lease or Lease.mine(), NOW + int(seconds * SECOND))


def test_an_answer_is_there_until_it_expires(make_backend: Make) -> None:
    one, other = make_backend(), make_backend()
    assert one.enter("k", _claim(), NOW) == "claimed"
    assert one.put(_row(), NOW, "c1") == 0
    assert one.measure(NOW) == (1, _row().size)
    assert one.remove(_row())
    assert other.enter("k", _claim("c3"), NOW) == "claimed"  # the first claim went with the answer
    other.put(_row(), NOW, "c3")
    assert other.enter("k", _claim("c2"), NOW) == _row()
    assert other.enter("k", _claim("c2"), NOW + HOUR - 1) == _row()
    assert one.measure(NOW) == (1, _row().size)
    assert one.measure(NOW + HOUR) == (0, 0)
    assert other.enter("k", _claim("c2"), NOW + HOUR) == "claimed"


def test_a_later_answer_takes_the_place_of_the_first(make_backend: Make) -> None:
    backend = make_backend()
    backend.put(_row(), NOW)
    again = _row(payload='{"more":1}', tags='["other"]', mac="mac2")
    backend.put(again, NOW)
    assert backend.enter("k", _claim(), NOW) == again
    assert backend.measure(NOW) == (1, again.size)
    assert backend.clear(Selection(tag="faq")) == 0
    assert backend.clear(Selection(tag="other")) == 1


def test_one_of_many_takes_a_request_on(make_backend: Make) -> None:
    backends = [make_backend() for _ in range(4)]
    found: list[object] = []
    start = threading.Barrier(4)

    def enter(number: int) -> None:
        start.wait()
        backend, claim = backends[number], _claim(f"c{number}")
        found.extend((turn, backend.enter(f"k{turn}", claim, NOW)) for turn in range(10))

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for turn in range(10):
        said = [what for at, what in found if at == turn]  # type: ignore[misc]
        assert sorted(said) == ["claimed", "held", "held", "held"]  # type: ignore[type-var]


def test_a_claim_ends_by_release_by_time_and_by_death(make_backend: Make) -> None:
    backend, other = make_backend(), make_backend()
    assert backend.enter("k", _claim("c1"), NOW) == "claimed"
    assert other.enter("k", _claim("c2"), NOW) == "held"
    other.release("k", "c2")  # not its own
    assert other.enter("k", _claim("c2"), NOW) == "held"
    backend.release("k", "c1")
    dead = replace(Lease.mine(), pid=2**22 + 1, pid_start="0")
    assert backend.enter("k", _claim("c3", dead), NOW) == "claimed"
    assert other.enter("k", _claim("c4"), NOW) == "claimed"
    backend.release("k", "c3")  # comes late, and takes nothing from the next
    assert backend.enter("k", _claim("c5"), NOW) == "held"


def test_a_claim_of_another_machine_ends_by_time(make_backend: Make) -> None:
    import time

    backend = make_backend()
    away = replace(Lease.mine(), machine="elsewhere")
    assert backend.enter("k", _claim("c1", away, seconds=0.2), NOW) == "claimed"
    assert backend.enter("k", _claim("c2"), NOW) == "held"
    time.sleep(0.3)  # Redis counts for itself
    assert backend.enter("k", _claim("c2", seconds=60), NOW + SECOND) == "claimed"


def test_closing_gives_claims_back(make_backend: Make) -> None:
    lease = Lease.mine()
    backend, other = make_backend(lease), make_backend()
    assert backend.enter("k", _claim("c1", lease), NOW) == "claimed"
    assert other.enter("k", _claim("c2"), NOW) == "held"
    backend.close()
    assert other.enter("k", _claim("c2"), NOW) == "claimed"


def test_what_was_not_used_for_longest_goes_first(make_backend: Make) -> None:
    backend = make_backend(entries=3)
    for number, key in enumerate("abc"):
        assert backend.put(_row(key), NOW + number * SECOND) == 0
    assert backend.enter("a", _claim(), NOW + 10 * SECOND) == _row("a")
    assert backend.put(_row("d"), NOW + 11 * SECOND) == 1
    left = [key for key in "abcd" if backend.enter(key, _claim(key), NOW + HOUR - 1) == _row(key)]
    assert left == ["a", "c", "d"]


def test_the_bytes_are_bounded_and_the_expired_go_first(make_backend: Make) -> None:
    big = _row("big", payload="x" * 5_000, expires=NOW + SECOND)
    backend = make_backend(size=12_000)
    backend.put(big, NOW)
    for number in range(40):
        backend.put(_row(f"k{number:02}", payload="y" * 900), NOW + (number + 2) * SECOND)
        entries, size = backend.measure(NOW + (number + 2) * SECOND)
        assert size <= 12_000
    assert entries >= 8
    assert backend.enter("k39", _claim(), NOW + 60 * SECOND) != "claimed"
    assert backend.enter("k00", _claim(), NOW + 60 * SECOND) == "claimed"


def test_answers_are_deleted_by_tenant_tag_model_and_notebook(make_backend: Make) -> None:
    backend = make_backend()

    def fill() -> None:
        backend.put(_row("a"), NOW)
        backend.put(_row("b", tenant="shop"), NOW)
        backend.put(_row("c", model="stub/n", tags='["faq","x"]'), NOW)
        backend.put(_row("d", notebook="other", tags="[]"), NOW)

    for selection, expected in (
        (Selection(tenant="shop"), {"b"}),
        (Selection(tag="x"), {"c"}),
        (Selection(tag="faq"), {"a", "b", "c"}),
        (Selection(model="stub/n"), {"c"}),
        (Selection(notebook="nb", tenant="bank"), {"a", "c"}),
        (Selection(tag="fa"), set()),
        (Selection(tenant="nobody"), set()),
        (Selection(), {"a", "b", "c", "d"}),
    ):
        fill()
        assert backend.clear(selection) == len(expected), selection
        left = {key for key in "abcd" if isinstance(backend.enter(key, _claim(key), NOW), EntryRow)}
        for key in "abcd":
            backend.release(key, key)
        assert left == set("abcd") - expected, selection
    assert backend.measure(NOW) == (0, 0)


def test_a_bad_row_is_removed_unless_it_was_replaced(make_backend: Make) -> None:
    backend = make_backend()
    backend.put(_row(mac="bad"), NOW)
    backend.put(_row(mac="good"), NOW)
    assert not backend.remove(_row(mac="bad"))
    assert backend.enter("k", _claim(), NOW) == _row(mac="good")
    assert backend.remove(_row(mac="good"))
    assert not backend.remove(_row(mac="good"))


def test_clearing_while_others_read_and_write(make_backend: Make) -> None:
    """Readers find an answer whole or not at all, and nothing is left half removed."""
    backends = [make_backend() for _ in range(3)]
    stop = threading.Event()
    wrong: list[object] = []

    def work(backend: Backend) -> None:
        number = 0
        while not stop.is_set():
            key = f"k{number % 7}"
            number += 1
            try:
                found = backend.enter(key, _claim(f"{id(backend)}-{number}"), NOW)
                if found == "claimed":
                    backend.put(_row(key, payload=key * 200), NOW)
                    backend.release(key, f"{id(backend)}-{number}")
                elif found != "held" and found != _row(key, payload=key * 200):
                    wrong.append(found)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(backend,)) for backend in backends[:2]]
    for thread in threads:
        thread.start()
    for _ in range(30):
        backends[2].clear(Selection())
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    backends[2].clear(Selection())
    assert backends[2].measure(NOW) == (0, 0)


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '["a", "b"]', "[1,2,3,4,5,6,7,8,9,10]"])
def test_foreign_values_in_redis_are_rows_that_fit_no_seal(redis_url: str, text: str) -> None:
    import redis

    from llmops_kernel.cache.backend import Limits
    from llmops_kernel.cache.redis_server import RedisBackend
    from llmops_kernel.cache.seal import Seal

    backend = RedisBackend(redis_url, Limits(10, 10**6))
    backend.put(_row(), NOW)
    with redis.Redis.from_url(redis_url) as client:
        client.set("{llmops-cache}:e:k", text)
    found = backend.enter("k", _claim(), NOW)
    assert isinstance(found, EntryRow)
    assert not Seal(b"s" * 32).fits(found)
    assert backend.clear(Selection(tenant="bank")) == 0
    assert backend.remove(found)
    assert backend.measure(NOW) == (0, 0)
    backend.close()
