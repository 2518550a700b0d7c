"""A day of traffic: reproducible, as declared, and behind the tenants' walls."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs import bank
from llmops_kernel.labs.traffic import (
    Rates,
    Request,
    draw_day,
    summarize,
    summary_table,
)

BY_ID = {each.id: each for each in bank.questions()}
DAY = draw_day(1_000, seed=7)


def letters(text: str) -> Counter[str]:
    return Counter(each for each in text.lower() if each.isalnum())


def test_the_same_seed_gives_the_same_day() -> None:
    assert draw_day(1_000, seed=7) == DAY
    assert draw_day(1_000, seed=8) != DAY
    assert draw_day(999, seed=7) != DAY[:999]


def test_another_process_draws_the_same_day() -> None:
    code = (
        "from llmops_kernel.labs.traffic import draw_day; import hashlib;"
        "print(hashlib.sha256(repr(draw_day(200, seed=3)).encode()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop().strip()) == 64


def test_the_shares_are_as_declared() -> None:
    drawn = Counter(each.drawn_as for each in DAY)
    for name, share in Rates().shares.items():
        assert drawn[name] == pytest.approx(share * len(DAY), abs=1), name
    for each in DAY:
        if each.drawn_as in {"paraphrase", "near_miss", "unanswerable", "injection"}:
            assert each.kind == each.drawn_as
        elif each.drawn_as == "plain":
            assert each.kind in {"answerable", "indirect"}
        elif each.drawn_as == "tenant":
            assert each.tenant


def test_repeats_are_word_for_word_and_nothing_else_is() -> None:
    earlier: dict[str, list[Request]] = defaultdict(list)
    for each in DAY:
        before = earlier[each.text]
        if each.drawn_as == "again":
            assert any(other.user == each.user for other in before)
        elif each.drawn_as == "repeat":
            assert before
            assert any(other.user != each.user for other in before)
        else:
            assert not before
        before.append(each)


def test_what_is_typed_anew_says_the_same() -> None:
    anew = [each for each in DAY if each.text != BY_ID[each.question_id].question]
    assert len(anew) > 100
    for each in anew:
        written = BY_ID[each.question_id].question
        assert not letters(written) - letters(each.text) or (
            sum((letters(written) - letters(each.text)).values()) <= 2
        ), (written, each.text)
        assert [c for c in each.text if c.isdigit()] == [c for c in written if c.isdigit()]


def test_requests_carry_the_labels_of_their_question() -> None:
    for each in DAY:
        question = BY_ID[each.question_id]
        assert (each.kind, each.group) == (question.kind, question.group)


def test_nobody_asks_through_a_wall() -> None:
    tenants: dict[str, set[str]] = defaultdict(set)
    for each in DAY:
        assert each.tenant == BY_ID[each.question_id].tenant
        tenants[each.user].add(each.tenant)
    assert all(len(own) == 1 for own in tenants.values())
    assert {each.tenant for each in DAY} == {"", *bank.TENANTS}


def test_the_day_has_a_shape() -> None:
    times = [each.time for each in DAY]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 86_400
    hours = Counter(int(time // 3600) for time in times)
    night = sum(hours[hour] for hour in range(1, 5))
    evening = sum(hours[hour] for hour in range(16, 20))
    assert evening > 6 * night


def test_some_questions_are_popular() -> None:
    plain = draw_day(3_000, rates=Rates(again=0, repeat=0, paraphrase=0, popularity=1.0))
    even = draw_day(3_000, rates=Rates(again=0, repeat=0, paraphrase=0, popularity=0.0))

    def top(day: list[Request]) -> int:
        counts = Counter(each.question_id for each in day if each.kind == "answerable")
        return sum(count for _, count in counts.most_common(10))

    assert top(plain) > 3 * top(even)


def test_customers_come_back() -> None:
    users = Counter(each.user for each in DAY)
    assert 100 < len(users) < 600
    assert users.most_common(1)[0][1] >= 5
    assert all(each.startswith("M-") for each in users)


def test_the_summary_counts_what_is_there() -> None:
    rows = {row.what: row for row in summarize(DAY)}
    assert rows["asked before, word for word"].requests == len(DAY) - len(
        {(each.tenant, each.text) for each in DAY}
    )
    assert sum(row.requests for what, row in rows.items() if what.startswith("drawn")) == 1_000
    assert sum(row.requests for what, row in rows.items() if what.startswith("kind")) == 1_000
    assert rows["customers"].requests == len({each.user for each in DAY})
    assert math.isclose(
        sum(row.declared or 0 for what, row in rows.items() if what.startswith("drawn")), 1
    )
    table = summary_table(DAY)
    assert "word for word" in table
    assert "20.0%" in table


@given(
    size=st.integers(1, 120),
    seed=st.integers(0, 10_000),
    shares=st.lists(st.floats(0, 0.14), min_size=7, max_size=7),
)
@settings(deadline=None, max_examples=40)
def test_any_rates_give_a_day_of_that_size(size: int, seed: int, shares: list[float]) -> None:
    names = list(Rates().shares)
    rates = Rates(**dict(zip(names, shares, strict=True)))
    day = draw_day(size, seed=seed, rates=rates)
    assert len(day) == size
    drawn = Counter(each.drawn_as for each in day)
    for name, share in rates.shares.items():
        if name in {"again", "repeat"}:  # some have nothing to repeat
            assert drawn[name] <= share * size + 1
        else:
            assert abs(drawn[name] - share * size) <= 1
    seen: set[str] = set()
    for each in day:
        assert (each.text in seen) == (each.drawn_as in {"again", "repeat"})
        seen.add(each.text)


@pytest.mark.parametrize(
    "wrong",
    [{"repeat": -0.1}, {"repeat": 1.2}, {"popularity": float("nan")},
     {"paraphrase": 0.9, "tenant": 0.2}],
)  # fmt: skip
def test_rates_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageProblem):
        Rates(**wrong)


def test_a_day_without_requests_or_questions_is_refused() -> None:
    with pytest.raises(UsageProblem):
        draw_day(0)
    with pytest.raises(UsageProblem, match="no question"):
        draw_day(10, questions=bank.questions(["near_miss"]))


def test_a_day_of_repeats_begins_with_a_question() -> None:
    day = draw_day(20, rates=Rates(again=1, repeat=0, paraphrase=0, near_miss=0, tenant=0,
                                   unanswerable=0, injection=0))  # fmt: skip
    assert [each.drawn_as for each in day] == ["plain", *["again"] * 19]
    assert len({each.text for each in day}) == 1
