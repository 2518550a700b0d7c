import asyncio
import threading

import pytest
from stub_judge import StubJudge

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.judges import Jury, ModelJudge, OfflineJudge, judge_of
from llmops_kernel.judge.metrics import Faithfulness, metrics_of
from llmops_kernel.judge.metrics.base import Metric
from llmops_kernel.judge.results import load_scores, save
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.session import Session

C = ("Card replacement costs 5 EUR. Express delivery takes 1 day.", "Refunds take 10 days.")
RELEVANCE = metrics_of(["answer_relevance"])


def answers(count):
    return [Sample(f"s{n}", "What is it?", f"Answer number {n}.") for n in range(count)]


def test_the_offline_model_judges_claims_end_to_end():
    answer = "A replacement card costs 5 EUR. Express delivery takes 7 days. Tea is served."
    sample = Sample("a", "What does a replacement card cost?", answer, C)
    with Session(model="sim/gpt-4o-mini") as session:
        judge = judge_of(session)
        result = run([sample], metrics_of(["faithfulness", "triad"]), judge)
    assert judge.simulated
    assert result.simulated
    assert result.usd_nano > 0
    for score in (result.scores[0], result.scores[1]):
        assert [each.verdict for each in score.verdicts] == [
            "supported", "contradicted", "not_mentioned",
        ]  # fmt: skip
        assert score.value == pytest.approx(1 / 3)


def test_scores_come_in_order_whatever_order_calls_end_in():
    samples = answers(40)
    with StubJudge(delay=0.01) as stub, Session(**stub.settings()) as session:
        metrics = metrics_of(["toxicity", "answer_relevance"])
        result = run(samples, metrics, judge_of(session), concurrency=8, repeats=2)
        assert stub.most_at_once == 8
        seeds = {body.get("seed") for body in stub.bodies}
    wanted = [(s.id, m, r) for s in samples for m in ("toxicity", "answer_relevance")
              for r in (0, 1)]  # fmt: skip
    got = [(score.sample_id, score.metric, score.detail["repeat"]) for score in result.scores]
    assert got == wanted
    assert seeds == {None, 1}


def test_the_cap_ends_a_run_and_is_never_passed():
    # A call's worst case is about 0.0206 dollars, and each costs 0.0002.
    with StubJudge() as stub, Session(**stub.settings()) as session:
        result = run(answers(300), RELEVANCE, judge_of(session), max_usd="0.03", concurrency=16)
    left = [score.unscored for score in result.scores]
    assert set(left) == {None, "budget"}
    assert result.usd_nano <= 30_000_000
    assert left.index("budget") == left.count(None)  # the first samples are the scored ones
    assert "cap of $0.03" in result.stopped
    assert len(stub.bodies) == result.calls == left.count(None)


def test_the_ledger_ends_a_run_too():
    caps = [{"scope": "user", "window": "day", "usd": "0.03"}]
    with StubJudge() as stub, Session(**stub.settings(caps=caps)) as session:
        result = run(answers(200), RELEVANCE, judge_of(session), concurrency=1)
    left = [score.unscored for score in result.scores]
    assert left[0] is None
    assert left[-1] == "budget"
    assert result.stopped
    assert len(stub.bodies) == left.count(None)


def test_stopping_spending_ends_a_run():
    with StubJudge() as stub, Session(**stub.settings()) as session:
        session.stop_spending("enough")
        result = run(answers(5), RELEVANCE, judge_of(session))
        assert stub.bodies == []
    assert {score.unscored for score in result.scores} == {"budget"}


def test_a_rate_limit_spreads_calls():
    with StubJudge() as stub, Session(**stub.settings()) as session:
        result = run(answers(6), RELEVANCE, judge_of(session), rate_per_minute=1200)
    assert result.seconds >= 5 * 0.05
    assert len(stub.bodies) == 6


def test_progress_counts_to_the_end():
    seen = []
    with StubJudge() as stub, Session(**stub.settings()) as session:
        run(answers(5), RELEVANCE, judge_of(session), progress=lambda *told: seen.append(told))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5]
    assert seen[-1][1:] == (5, 5 * 200_000)


def test_calls_are_made_for_the_purpose_of_judging():
    with StubJudge() as stub, Session(**stub.settings()) as session:
        run(answers(1), RELEVANCE, judge_of(session))
        (root,) = session.traces()
        assert root.attributes["purpose"] == "judge"
    assert len(stub.bodies) == 1


def test_more_calls_than_a_cell_may_make_are_no_loop():
    breaker = {"calls_per_cell": 3}
    with StubJudge() as stub, Session(**stub.settings(breaker=breaker)) as session:
        session.begin_cell("cell-1")
        result = run(answers(10), RELEVANCE, judge_of(session))
        session.end_cell()
    assert {score.unscored for score in result.scores} == {None}
    assert len(stub.bodies) == 10


class Stumbles(Metric):
    @property
    def name(self):
        return "stumbles"

    async def measure(self, sample, ask):
        return self.found(1 / len(sample.tags))


def test_a_metric_that_stumbles_over_a_sample_goes_on():
    samples = [Sample("a", "?", "x"), Sample("b", "?", "x", tags=("t", "u"))]
    first, second = run(samples, [Stumbles()], OfflineJudge()).scores
    assert (first.unscored, second.value) == ("error", 0.5)
    assert "ZeroDivisionError" in first.reason


def test_a_run_inside_a_running_loop_works():
    async def cell():
        with StubJudge() as stub, Session(**stub.settings()) as session:
            return run(answers(3), RELEVANCE, judge_of(session))

    assert len(asyncio.run(cell()).scores) == 3


def test_a_judge_of_ones_own_callable_needs_no_session():
    from llmops_kernel.calls.reply import Reply

    async def call(request):
        message = {"role": "assistant", "content": '{"rating": 3, "reason": "x"}'}
        return Reply("1", request.model, 1, ({"index": 0, "message": message},))

    result = run(answers(3), RELEVANCE, ModelJudge(call, "mine"))
    assert [score.value for score in result.scores] == [1.0] * 3
    assert not any(thread.name == "llmops-judge" for thread in threading.enumerate())


def test_the_offline_judge_refuses_what_it_is_not():
    with pytest.raises(UsageProblem, match="cannot judge faithfulness") as caught:
        run([], [Faithfulness()], OfflineJudge())
    assert "lexical_support" in caught.value.detail


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"repeats": 0}, {"rate_per_minute": 0}])
def test_wrong_arguments(wrong):
    with pytest.raises(UsageProblem):
        run([], [], OfflineJudge(), **wrong)


def test_no_samples_are_no_scores():
    assert run([], RELEVANCE, ModelJudge(None, "x")).scores == ()


def test_judges_of_two_sessions_are_no_jury():
    with Session(model="sim/gpt-4o") as one, Session(model="sim/gpt-4o-mini") as other:
        with pytest.raises(UsageProblem, match="different sessions"):
            run([], [], Jury((judge_of(one), judge_of(other))))


def test_scores_can_be_saved_and_read(tmp_path):
    sample = Sample("a", "What is the fee?", "The fee is 5 EUR.", C)
    result = run([sample], metrics_of(["lexical_support", "faithfulness"][:1]), OfflineJudge())
    save(tmp_path / "scores.json", result, judge="offline")
    scores, facts = load_scores(tmp_path / "scores.json")
    assert tuple(scores) == result.scores
    assert facts["judge"] == "offline"
    (tmp_path / "other.json").write_text('{"format": "x"}')
    with pytest.raises(UsageProblem):
        load_scores(tmp_path / "other.json")
