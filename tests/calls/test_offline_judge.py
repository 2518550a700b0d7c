import pytest
from offline_desk import ask, record, typed

CONTEXT = (
    "Card replacement costs 5 EUR. Express delivery takes 1 day. Refunds are paid within 10 days. "
    "We do not offer mortgages outside Norway."
)


def judged(answer: str, question: str = "Is the answer supported by the context?") -> str:
    return ask(
        "You are a strict judge.\n"
        f"Context: {CONTEXT}\n"
        f"Answer: {answer}\n"
        f"{question} Answer yes or no."
    )


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("A replacement card costs 5 EUR.", "yes"),
        ("Refunds arrive within 10 days.", "yes"),
        ("A replacement card costs 15 EUR.", "no"),
        ("We offer mortgages outside Norway.", "no"),
        ("The chief executive is Bob Hansen.", "no"),
        ("Card replacement costs 5 EUR. Express delivery takes 7 days.", "no"),
    ],
)
def test_support(answer, wanted):
    assert judged(answer) == wanted


def test_asking_for_hallucinations_turns_the_verdict_round():
    question = "Does the answer contain hallucinations?"
    assert judged("A replacement card costs 15 EUR.", question) == "yes"
    assert judged("A replacement card costs 5 EUR.", question) == "no"


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [("Refunds are paid within 10 days.", "YES"), ("The app is blue.", "NO")],
)
def test_relevance(answer, wanted):
    prompt = (
        "Is the response relevant to the question? Reply YES or NO.\n"
        f"Question: How long do refunds take?\nResponse: {answer}"
    )
    assert ask(prompt) == wanted


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("It costs 5 EUR.", "correct"),
        ("It costs 50 EUR.", "incorrect"),
        ("It is blue.", "incorrect"),
    ],
)
def test_comparison_with_a_reference(answer, wanted):
    prompt = (
        "Grade the submission against the reference. Answer correct or incorrect.\n"
        "Question: What does a card cost?\nReference answer: It costs 5 EUR.\n"
        f"Submission: {answer}"
    )
    assert ask(prompt) == wanted


def test_questions_about_the_text():
    prompt = "Answer true or false.\nContext: {}\nQuestion: {}"
    assert ask(prompt.format(CONTEXT, "Are refunds paid within 10 days?")) == "true"
    assert ask(prompt.format(CONTEXT, "Do you offer mortgages outside Norway?")) == "false"
    assert ask(prompt.format(CONTEXT, "Is travel insurance included?")) == "false"


@pytest.mark.parametrize(
    ("answer", "low", "high"),
    [("Card replacement costs 5 EUR.", 5, 5), ("Card replacement costs 15 EUR.", 1, 2),
     ("The moon is made of cheese.", 1, 1)],
)  # fmt: skip
def test_scores_keep_to_their_scale(answer, low, high):
    prompt = (
        "Rate how faithful the answer is to the context on a scale from 1 to 5. Only the number.\n"
        f"Context: {CONTEXT}\nAnswer: {answer}"
    )
    assert low <= int(ask(prompt)) <= high


def test_rival_answers_are_compared_in_both_orders():
    good, bad = "Refunds are paid within 10 days.", "I like trains."

    def winner(first: str, second: str) -> str:
        return ask(
            f"Question: How long do refunds take?\nContext: {CONTEXT}\n"
            f"Response A: {first}\nResponse B: {second}\n"
            "Which response is better? Answer A, B or tie."
        )

    assert (winner(good, bad), winner(bad, good), winner(good, good)) == ("A", "B", "tie")


def test_chain_of_thought_quotes_the_evidence():
    prompt = (
        "Judge step by step whether the answer is supported by the context, "
        "then answer yes or no.\n"
        f"Context: {CONTEXT}\nAnswer: Card replacement costs 15 EUR."
    )
    reason, _, last = ask(prompt).rpartition("\n")
    assert last == "Answer: no"
    assert '"Card replacement costs 5 EUR."' in reason


def test_a_judge_with_examples_and_headed_parts():
    prompt = """Please tell if a given piece of information is supported by the context.
You need to answer with either YES or NO.
Some examples are provided below.

Information: Apple pie is generally double-crusted.
Context: It is generally double-crusted, with pastry both above and below the filling.
Answer: YES
Information: Apple pies taste bad.
Context: An apple pie is a fruit pie in which the principal filling is apples.
Answer: NO
Information: {claim}
Context: Refunds are paid within 10 days.
Answer: """
    assert ask(prompt.format(claim="Refunds take 10 days.")) == "YES"
    assert ask(prompt.format(claim="Refunds take 10 weeks.")) == "NO"


def test_claims_are_judged_one_by_one_in_typed_output():
    verdict = {"enum": ["supported", "contradicted", "not_mentioned"]}
    claim = record(claim={"type": "string"}, verdict=verdict, reason={"type": "string"})
    schema = record(
        claims={"type": "array", "items": claim},
        faithful={"type": "boolean"},
        score={"type": "integer", "minimum": 1, "maximum": 5},
    )
    out = typed(
        schema,
        "Split the answer in claims and judge whether the context supports each.\n"
        f"Context: {CONTEXT}\n"
        "Answer: Card replacement costs 15 EUR. Express delivery takes 1 day. Tea is served.",
    )
    assert [one["verdict"] for one in out["claims"]] == [
        "contradicted",
        "supported",
        "not_mentioned",
    ]
    assert out["claims"][0]["claim"] == "Card replacement costs 15 EUR."
    assert "5 EUR" in out["claims"][0]["reason"]
    assert out["faithful"] is False
    assert 1 <= out["score"] <= 3
