"""A judge that only answers prose must not take all the money; what is left can go on later."""

import json

import pytest
from stub_judge import StubJudge, sensible

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.journal import Journal, read_journal
from llmops_kernel.judge.judges import Jury, judge_of
from llmops_kernel.judge.metrics import Criteria, metrics_of
from llmops_kernel.judge.runner import estimate, run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.session import Session

METRICS = metrics_of(["answer_relevance"])


def answers(count):
    return [Sample(f"s{n}", "What is it?", f"Answer number {n}.") for n in range(count)]


def reasons(result):
    return [score.unscored for score in result.scores]


def test_prose_alone_ends_a_run_and_the_journal_lets_it_go_on(tmp_path):
    journal, samples = tmp_path / "j", answers(60)
    with StubJudge() as stub, Session(**stub.settings()) as session:
        judge = judge_of(session)
        first = run(samples[:10], METRICS, judge, journal=journal, concurrency=4)
        assert first.stopped == ""
        stub.say = lambda _: "I like this answer very much."
        broken = run(samples, METRICS, judge, journal=journal, concurrency=4, give_up_after=5)
        # Five failed, each with its repair, and three at most were on their way.
        assert 10 <= broken.calls <= 16
        assert "5 answers in a row by stub/judge to answer_relevance" in broken.stopped
        assert reasons(broken)[:10] == [None] * 10
        assert set(reasons(broken)[10:]) == {"parse", "error"}
        assert all("given up" in s.reason for s in broken.scores if s.unscored == "error")
        # Later, with the judge mended, only what is not known is asked: also what it failed at.
        stub.say = sensible
        left = estimate(samples, METRICS, judge, journal=journal)
        assert (left.calls, left.known) == (50, 10)
        sent = len(stub.bodies)
        again = run(samples, METRICS, judge, journal=journal)
        assert (len(stub.bodies) - sent, again.resumed) == (50, 10)  # no prose from the cache
        assert reasons(again) == [None] * 60


def test_a_run_goes_on_where_prose_comes_now_and_then(tmp_path):
    asked = iter(range(1000))

    def say(body):  # every third sample fails, and its repair too
        fails = len(body["messages"]) > 2 or next(asked) % 3 == 0
        return "prose" if fails else sensible(body)

    with StubJudge(say) as stub, Session(**stub.settings()) as session:
        result = run(
            answers(30), METRICS, judge_of(session), journal=tmp_path / "j", give_up_after=3,
            concurrency=1,
        )  # fmt: skip
    assert result.stopped == ""
    assert (reasons(result).count("parse"), reasons(result).count(None)) == (10, 20)
    assert len(read_journal(tmp_path / "j")) == 30


def test_one_metric_that_is_never_read_ends_the_run_beside_one_that_is():
    def say(body):
        return sensible(body) if "rating" in json.dumps(body["response_format"]) else "prose"

    metrics = [*METRICS, *metrics_of(["faithfulness"])]
    samples = [Sample(f"s{n}", "?", f"Answer {n}.", ("x",)) for n in range(40)]
    with StubJudge(say) as stub, Session(**stub.settings()) as session:
        result = run(samples, metrics, judge_of(session), give_up_after=4, concurrency=2)
    assert "to faithfulness" in result.stopped
    assert result.calls < 30


def test_a_member_of_a_jury_can_be_given_up():
    def say(body):
        return "prose" if body["model"] == "other" else sensible(body)

    with StubJudge(say) as stub:
        settings = stub.settings()
        settings["prices"]["stub/other"] = {"input": 1, "output": 10}
        with Session(**settings) as session:
            jury = Jury((judge_of(session, "stub/judge"), judge_of(session, "stub/other")))
            result = run(answers(40), METRICS, jury, give_up_after=4, concurrency=2)
    assert "by stub/other" in result.stopped
    assert reasons(result)[:3] == [None] * 3  # of the other member


def test_nobody_is_given_up_where_that_is_wanted():
    with StubJudge(lambda _: "prose") as stub, Session(**stub.settings()) as session:
        result = run(answers(25), METRICS, judge_of(session), give_up_after=0)
        assert (result.stopped, set(reasons(result))) == ("", {"parse"})
        with pytest.raises(UsageProblem, match="below 0"):
            run(answers(1), METRICS, judge_of(session), give_up_after=-1)


def test_the_default_gives_up(tmp_path):
    with StubJudge(lambda _: "prose") as stub, Session(**stub.settings()) as session:
        result = run(answers(80), METRICS, judge_of(session), concurrency=1)
    assert result.calls == 40
    assert reasons(result).count("parse") == 20


def test_what_is_taken_back_stays_taken_back(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.put("a", [1])
        journal.put("b", [2])
        journal.forget("a")
        journal.forget("never there")
        assert ("a" in journal, len(journal)) == (False, 1)
    assert read_journal(tmp_path / "j") == {"b": [2]}
    with Journal(tmp_path / "j") as journal:
        assert (journal.data("a"), journal.notes) == (None, [])
        journal.put("a", [3])
    assert read_journal(tmp_path / "j") == {"a": [3], "b": [2]}


def test_reading_a_journal_neither_makes_nor_mends_it(tmp_path):
    assert read_journal(tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    with Journal(tmp_path / "j") as journal:
        journal.put("a", [1])
    torn = (tmp_path / "j").read_bytes() + b'{"v": 1, "key": "b", "da'
    (tmp_path / "j").write_bytes(torn)
    assert read_journal(tmp_path / "j") == {"a": [1]}
    assert (tmp_path / "j").read_bytes() == torn


def test_an_estimate_of_criteria_counts_their_steps_once(tmp_path):
    journal, metrics = tmp_path / "j", [Criteria("Short.", "short")]
    with StubJudge() as stub, Session(**stub.settings()) as session:
        judge = judge_of(session)
        expected = estimate(answers(8), metrics, judge, journal=journal)
        assert (expected.calls, expected.known, journal.exists()) == (9, 0, False)
        assert run(answers(3), metrics, judge, journal=journal).calls == 4
        left = estimate(answers(8), metrics, judge, journal=journal)
        assert (left.calls, left.known) == (5, 3)
        assert run(answers(8), metrics, judge, journal=journal).calls == 5
        done = estimate(answers(8), metrics, judge, journal=journal)
        assert (done.calls, done.usd_nano, done.known) == (0, 0, 8)


def test_a_large_resumed_run_is_estimated_by_what_is_left(tmp_path):
    samples = answers(1_000)
    with StubJudge() as stub, Session(**stub.settings()) as session:
        judge = judge_of(session)
        whole = estimate(samples, METRICS, judge)
        run(samples[:100], METRICS, judge, journal=tmp_path / "j")
        left = estimate(samples, METRICS, judge, journal=tmp_path / "j")
        with Journal(tmp_path / "j") as journal:
            assert estimate(samples, METRICS, judge, journal=journal) == left
    assert (whole.calls, left.calls, left.known) == (1_000, 900, 100)
    assert left.usd_nano == pytest.approx(whole.usd_nano * 0.9, rel=0.01)
