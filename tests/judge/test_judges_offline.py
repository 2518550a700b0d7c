import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.judge.judges import BADGE, OfflineJudge
from llmops_kernel.judge.judges.offline import measured, measured_line
from llmops_kernel.judge.judges.signals import Evidence, claims_of, figures, is_refusal
from llmops_kernel.judge.metrics import metrics_of
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample

POLICY = (
    "Card replacement costs 5 EUR. It is free once a year for Plus customers. Express delivery "
    "takes 1 day and costs 15 EUR.",
    "Skerry Bank was founded by Ida Holm in Bergen on 12 May 2016. We do not offer mortgages to "
    "customers outside Norway. Refunds of up to 1,200.00 EUR are paid within 10 days.",
)


def score(metric, response, contexts=POLICY, question="What does it cost?"):
    sample = Sample("1", question, response, contexts)
    (found,) = run([sample], metrics_of([metric]), OfflineJudge()).scores
    return found


@pytest.mark.parametrize(
    ("response", "high"),
    [
        ("Replacing a card costs 5 EUR.", True),
        ("Refunds are paid within 10 days.", True),
        ("Express delivery takes 1 day.", True),
        ("Our branch in Oslo opens at nine on weekdays.", False),
        ("Gold customers travel with insurance for luggage.", False),
    ],
)
def test_lexical_support_follows_content(response, high):
    found = score("lexical_support", response)
    assert (found.value >= 0.6) == high
    assert found.verdicts[0].verdict == ("found" if high else "not_found")
    assert found.judge == "offline-heuristic@2"


def test_altered_figures_and_names_are_seen():
    assert score("entity_consistency", "Refunds take 10 days, up to 1200 EUR.").value == 1.0
    assert score("entity_consistency", "Refunds take 30 days.").value == 0.0
    found = score("entity_consistency", "The bank was founded by Ida Berg in 2016.")
    assert {v.text: v.verdict for v in found.verdicts} == {
        "2016": "found", "ida": "found", "berg": "not_found",
    }  # fmt: skip
    assert score("entity_consistency", "It was founded on 12 May 2016.").value == 1.0
    assert score("entity_consistency", "It was founded on 12 June 2016.").value < 1.0


def test_a_negation_is_flagged():
    found = score("lexical_support", "We offer mortgages to customers outside Norway.")
    assert found.detail["negation_mismatch"] == ["We offer mortgages to customers outside Norway."]
    found = score("lexical_support", "We do not offer mortgages to customers outside Norway.")
    assert "negation_mismatch" not in found.detail


def test_what_the_names_promise_and_no_more():
    # Entities swapped: the words are all there, and the heuristic says so. It is no faithfulness.
    found = score("lexical_support", "Express delivery costs 5 EUR and replacement 15 EUR.")
    assert found.value > 0.6


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("I do not know.", True),
        ("Sorry, I could not find that. Please ask a colleague.", True),
        ("The fee is not mentioned in the context.", True),
        ("I do not know the fee, but mortgages are offered in Norway.", True),
        ("I do not know the fee. Mortgages are offered in Norway.", False),
        ("I cannot say more than 5 EUR.", False),
        ("Refunds are paid.", False),
        ("", False),
    ],
)
def test_refusals(text, refusal):
    assert is_refusal(text) == refusal


def test_relevance_prefers_the_subject():
    near = score("embedding_relevance", "A new card is 5 EUR.", question="What is the card fee?")
    far = score("embedding_relevance", "I like old trains.", question="What is the card fee?")
    assert near.value > far.value + 0.2
    judge = OfflineJudge()
    assert judge.prefer("What is the card fee?", "A card is 5 EUR.", "I like trains.") == 1.0
    assert judge.prefer("What is the card fee?", "I like trains.", "A card is 5 EUR.") == 0.0
    assert judge.prefer("What?", "The same.", "The same.") == 0.5


@given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=4))
def test_any_text_has_a_share_between_0_and_1(response, contexts):
    evidence = Evidence(contexts)
    for claim in claims_of(response):
        assert 0 <= evidence.support(claim).recall <= 1


@given(st.integers(1, 10**9))
def test_numbers_have_one_form(number):
    assert figures(f"{number:,}") == figures(str(number)) == figures(f"{number:,}.00")


def test_copying_a_passage_is_full_support():
    assert score("lexical_support", POLICY[0]).value > 0.9
    assert score("entity_consistency", POLICY[1]).value == 1.0


def test_a_row_of_10_mb_is_named_and_a_long_one_is_quick():
    assert score("lexical_support", "x. " * 4_000_000).unscored == "too_long"
    long = ("The fee is 5 EUR and the card is blue. " * 20_000,)
    assert score("lexical_support", "The fee is 5 EUR.", long).value > 0.9


def test_the_measured_figures_are_shown_with_the_badge():
    figures_of = measured()["metrics"]["lexical_support"]["begin"]
    assert 0.5 < figures_of["balanced_accuracy"] < 1
    line = measured_line("lexical_support")
    assert line.startswith(BADGE)
    assert f"{figures_of['auc']:.2f}" in line
    assert "faithful" not in line


def test_two_runs_say_the_same():
    samples = [Sample(str(n), "What?", text, POLICY) for n, text in enumerate(POLICY * 3)]
    metrics = metrics_of(["lexical_support", "entity_consistency", "embedding_relevance"])
    first = run(samples, metrics, OfflineJudge(), concurrency=8)
    assert run(samples, metrics, OfflineJudge(), concurrency=1).scores == first.scores
    assert (first.calls, first.usd_nano) == (0, 0)


@pytest.mark.parametrize(
    "mark", ["[1]", "[1, 3]", "[^2]", "[1-3]", "[2][4]", "\u30103\u2020source\u3011"]
)
def test_marks_of_citations_are_no_figures(mark):
    metrics = metrics_of(["entity_consistency", "lexical_support"])
    passage = ("Card replacement costs 5 EUR.",)
    plain = Sample("1", "q", "Card replacement costs 5 EUR.", passage)
    cited = Sample("1", "q", f"Card replacement costs 5 EUR {mark}.", passage)
    one, other = (run([each], metrics, OfflineJudge()).scores for each in (plain, cited))
    assert [s.value for s in other] == [s.value for s in one]
    assert other[0].verdicts == one[0].verdicts
    # Brackets that are no marks stay figures.
    year = Sample("1", "q", "Card replacement costs 5 EUR [2024].", passage)
    assert run([year], metrics, OfflineJudge()).scores[0].value < 1
