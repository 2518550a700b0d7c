import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.judges.jury import Jury
from llmops_kernel.judge.judges.offline import OfflineJudge
from llmops_kernel.judge.metrics import faithfulness_of, metric_names, metrics_of, rescore
from llmops_kernel.judge.metrics.agent import ToolCorrectness
from llmops_kernel.judge.metrics.context import average_precision
from llmops_kernel.judge.metrics.retrieval import IdRetrieval
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.judge.scores import Score, Verdict

SUPPORT = st.lists(
    st.sampled_from(["supported", "not_mentioned", "contradicted"]), min_size=1, max_size=30
)
FOUR = ["supported", "supported", "not_mentioned", "contradicted"]


@pytest.mark.parametrize(
    ("convention", "value"), [("ragas", 0.50), ("deepeval", 0.75), ("trulens", 0.625)]
)
def test_one_answer_has_a_value_in_each_convention(convention, value):
    assert faithfulness_of(FOUR, convention) == value


@given(SUPPORT)
def test_conventions_are_ordered_and_bounded(verdicts):
    ragas, trulens, deepeval = (
        faithfulness_of(verdicts, name) for name in ("ragas", "trulens", "deepeval")
    )
    assert 0 <= ragas <= trulens <= deepeval <= 1
    assert ragas * len(verdicts) == pytest.approx(verdicts.count("supported"))
    assert (1 - deepeval) * len(verdicts) == pytest.approx(verdicts.count("contradicted"))


@given(SUPPORT, st.sampled_from(["ragas", "deepeval", "trulens"]))
def test_a_stored_score_can_be_read_by_another_convention(verdicts, convention):
    stored = tuple(Verdict("x", each) for each in verdicts)
    score = Score("1", "faithfulness[ragas]", "j", faithfulness_of(stored), verdicts=stored)
    again = rescore(score, convention)
    assert again.metric == f"faithfulness[{convention}]"
    assert again.value == faithfulness_of(verdicts, convention)
    assert rescore(again, "ragas") == score


def test_no_claims_are_no_value_in_any_convention():
    assert [faithfulness_of([], name) for name in ("ragas", "deepeval", "trulens")] == [None] * 3
    score = Score("1", "faithfulness[ragas]", "j", unscored="abstained")
    assert rescore(score, "deepeval").value is None


def test_an_unknown_convention_names_the_nearest():
    with pytest.raises(UsageProblem, match="did you mean 'ragas'"):
        metrics_of(["faithfulness"])[0].__class__("raga")


@given(st.lists(st.booleans(), max_size=12))
def test_average_precision_rewards_early_passages(useful):
    value = average_precision(useful)
    assert 0 <= value <= 1
    assert value <= average_precision(sorted(useful, reverse=True))
    assert (value == 0) == (not any(useful))


def test_every_name_makes_the_metric_of_that_name():
    for name in metric_names():
        (metric,) = metrics_of([name])
        assert metric.name.partition("[")[0] == name.partition("[")[0]
        assert metric.judged == bool(metric.prompts)


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UsageProblem, match="did you mean 'faithfulness'"):
        metrics_of(["faithfullness"])


def ids(kind, found, gold, k=10):
    sample = Sample(
        "1", "?", "x", retrieved_context_ids=tuple(found), reference_context_ids=tuple(gold)
    )
    (score,) = run([sample], [IdRetrieval(kind, k)], OfflineJudge()).scores
    return score.value


@pytest.mark.parametrize(
    ("kind", "k", "value"),
    [("recall", 2, 0.5), ("recall", 10, 1.0), ("precision", 4, 0.5), ("hit", 1, 0.0),
     ("mrr", 10, 0.5), ("ndcg", 10, (1 / 1.584962500721156 + 1 / 2) / (1 + 1 / 1.584962500721156))],
)  # fmt: skip
def test_retrieval_by_id(kind, k, value):
    assert ids(kind, ["x", "a", "b", "y"], ["a", "b"], k) == pytest.approx(value)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12),
    st.sets(st.sampled_from("abcdefgh"), min_size=1),
    st.integers(1, 12),
)
def test_retrieval_measures_keep_their_bounds(found, gold, k):
    from llmops_kernel.judge.metrics import retrieval

    top = list(dict.fromkeys(found))[:k]
    for measure in (retrieval.recall, retrieval.precision, retrieval.hit,
                    retrieval.reciprocal_rank, retrieval.ndcg):  # fmt: skip
        assert 0 <= measure(top, frozenset(gold), k) <= 1
    best = sorted(top, key=lambda each: each not in gold)
    assert retrieval.ndcg(top, frozenset(gold), k) <= retrieval.ndcg(best, frozenset(gold), k)


@pytest.mark.parametrize(
    ("made", "wanted", "value"),
    [
        ([{"name": "a", "args": {"x": 1}}], [{"name": "a", "args": {"x": 1}}], 1.0),
        ([{"name": "a", "args": {"x": 2}}], [{"name": "a", "args": {"x": 1}}], 0.0),
        ([{"name": "a", "args": {"x": 2}}], ["a"], 1.0),
        ([{"name": "a"}, {"name": "b"}], ["a"], 2 / 3),
        ([], ["a"], 0.0),
        (
            [{"type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}}],
            [{"name": "a", "args": {"x": 1}}],
            1.0,
        ),
    ],
)
def test_tools_are_matched_in_any_shape(made, wanted, value):
    sample = Sample("1", "?", extra={"tool_calls": made, "reference_tool_calls": wanted})
    (score,) = run([sample], [ToolCorrectness()], OfflineJudge()).scores
    assert score.value == pytest.approx(value)


class Named(OfflineJudge):
    def __init__(self, name):
        self.id = name


@pytest.mark.parametrize(
    ("vote", "values", "value"),
    [("mean", [1.0, 0.0, 0.5], 0.5), ("median", [1.0, 0.9, 0.0], 0.9),
     ("majority", [1.0, 0.6, 0.0], 1.0), ("majority", [1.0, 0.0, None], 0.5),
     ("mean", [None, None, None], None)],
)  # fmt: skip
def test_a_jury_votes(vote, values, value):
    jury = Jury((Named("a"), Named("b"), Named("c")), vote)
    scores = [
        Score("1", "m", name, each, None if each is not None else "parse")
        for name, each in zip("abc", values, strict=True)
    ]
    combined = jury.combine(scores)
    assert combined.value == value
    assert combined.unscored == (None if value is not None else "parse")
    assert combined.detail["members"] == dict(zip("abc", values, strict=True))


def test_a_jury_never_adds_simulated_dollars_to_real_ones():
    jury = Jury((Named("a"), Named("b")))
    combined = jury.combine(
        [Score("1", "m", "a", 1.0, calls=1, usd_nano=5),
         Score("1", "m", "b", 0.0, calls=1, usd_nano=7, simulated=True)]
    )  # fmt: skip
    assert (combined.usd_nano, combined.simulated, combined.detail["split"]) == (5, False, True)


def test_a_jury_of_one_is_none():
    with pytest.raises(UsageProblem):
        Jury((Named("a"), Named("a")))
