"""Which requests may be served by similarity."""

import pytest

from llmops_kernel.cache.semantic.eligibility import eligible, eligible_text

NO_QUESTION = "it does not end in a question of the user"
MORE = "it holds more than text"
QUESTION = {"role": "user", "content": "How do I block a card?"}


@pytest.mark.parametrize(
    ("messages", "options", "reason"),
    [
        ([QUESTION], {"tools": [{"type": "function"}]}, "it has tools"),
        ([QUESTION], {"n": 2}, "it wants several answers"),
        ([QUESTION], {"temperature": 1.5}, "its temperature asks for variety"),
        ([QUESTION, {"role": "assistant", "content": "x"}, QUESTION], {}, "it has several turns"),
        ([QUESTION, QUESTION], {}, "it has several turns"),
        ([QUESTION, {"role": "tool", "content": "x", "tool_call_id": "1"}], {}, "it has tools"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], {}, "it has tools"),
        ([QUESTION, {"role": "system", "content": "x"}], {}, NO_QUESTION),
        ([{"role": "system", "content": "x"}], {}, NO_QUESTION),
        ([], {}, NO_QUESTION),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], {}, MORE),
        ([{"role": "user", "content": None}], {}, MORE),
        ([{"role": "user", "content": "  "}], {}, "it has no text"),
    ],
)  # fmt: skip
def test_requests_that_depend_on_more_than_their_question(messages, options, reason) -> None:
    assert eligible(messages, **options) == type(eligible([QUESTION]))(False, reason)


def test_a_single_question_may_be_served() -> None:
    assert eligible([{"role": "system", "content": "Be terse."}, QUESTION], temperature=0.7).ok
    parts = [{"type": "text", "text": "How do I block a card?"}]
    assert eligible([{"role": "user", "content": parts}]).ok


@pytest.mark.parametrize(
    "text",
    [
        "what is my balance", "What's my current balance?", "how much money do I have left",
        "what is the weather in Paris", "What is the exchange rate today?", "latest news on rates",
        "what did I spend this month", "My name is Anna, how do I pay?", "what time is it in Rome",
        "Is anna@example.com my address?", "Card 4111 1111 1111 1111 was stolen",
        "Pay to DE89 3704 0044 0532 0130 00", "call me at +49 170 1234567", "my ssn is 078-05-1120",
        "where is my order", "is the shop open now", "What\u2019s my PIN",
        "show me my transactions",
    ],
)  # fmt: skip
def test_personal_and_time_dependent_texts(text: str) -> None:
    found = eligible_text(text)
    assert not found.ok
    assert found.reason.startswith(("it is personal", "it depends on the time"))


@pytest.mark.parametrize(
    "text",
    [
        "How do I block my card?", "What does a current account cost?",
        "cancel order 113542617735902",
        "How long does it take all the time?", "Can I change my address in the app?",

        "why was my card payment declined", "How do I get my balance on paper?",
        "How many pots can I have on the Basic plan?",
    ],
)  # fmt: skip
def test_general_questions(text: str) -> None:
    assert eligible_text(text).ok
