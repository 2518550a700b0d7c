"""Compression: shorter, the same every time, and nothing lost that was protected."""

from __future__ import annotations

import pytest
from compress_desk import ABROAD, FEES, METAL, QUESTION, prompt

from llmops_kernel import UsageProblem
from llmops_kernel.prompts import AskSpec, build_request
from llmops_kernel.prompts.compress import (
    Compressor,
)
from llmops_kernel.prompts.compress.content import find_question, tokens_of

# ---- the whole ----------------------------------------------------------------------------------


def test_a_whole_prompt():
    made = Compressor(to=700, tables=True).compress(prompt(), QUESTION)
    assert made.after <= 700 < made.before
    assert made.after == tokens_of(made.messages)
    assert [each["role"] for each in made.messages] == [
        "system", "user", "assistant", "system", "user",
    ]  # fmt: skip
    assert made.messages[1:3] == tuple(prompt()[1:3])
    assert "Metal card | not offered | $49 once" in made.messages[3]["content"]
    assert made.messages[4]["content"].endswith(f"\n\nQuestion: {QUESTION}")
    assert sum(each.saved for each in made.steps) == made.saved
    assert made.notes == (
        "The stable prefix is below 1,024 tokens now, which providers' prompt caches ask for",
    )


def test_the_prefix_is_left_alone_where_that_is_asked_for():
    made = Compressor(to=1_500, prefix=()).compress(prompt(), QUESTION)
    assert made.messages[:3] == tuple(prompt()[:3])
    assert not made.notes


def test_what_is_protected_may_take_more_than_was_aimed_at():
    made = Compressor(to=50).compress(prompt(), QUESTION)
    assert made.after > 50
    assert "What is protected takes more tokens than were aimed at" in made.notes


def test_marks_are_honoured_and_taken_out():
    system = "<keep>Be   polite.</keep>\nBe   brief, please."
    made = Compressor().compress([{"role": "system", "content": system}], "", stable=1)
    assert made.messages[0]["content"] == "Be   polite.\nBe brief, please."


def test_a_question_in_other_words_leaves_the_last_message_alone():
    last = {"role": "user", "content": f"{METAL}  Tell me."}
    messages = [{"role": "system", "content": ABROAD}, last]
    made = Compressor(to=50).compress(messages, "What does a transfer cost?", stable=0)
    assert made.messages[-1] is last
    assert len(made.messages[0]["content"]) < len(ABROAD) / 2


def test_moved_rows_come_back_where_no_question_is_found():
    story = f"{METAL}\n\nI want express card delivery, so tell me its price."
    made = Compressor(tables=True).compress(
        [{"role": "system", "content": FEES}, {"role": "user", "content": story}]
    )
    assert "| Express card delivery | $18 | $18 |" in made.messages[1]["content"]


def test_other_messages_and_parts_stay():
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [{"id": "1  2"}]}
    messages = [
        calls,
        {"role": "user", "content": [{"type": "text", "text": "a  b\n\nwhat?"}, image]},
    ]
    made = Compressor().compress(messages, "what?")
    assert made.messages[0] is calls
    assert made.messages[1]["content"] == [{"type": "text", "text": "a b\n\nwhat?"}, image]


def test_the_question_in_a_long_prompt_is_found():
    long = "Some words of a story about a bank. " * 20
    assert find_question(f"{long}\n\nWhat does it cost?") == "What does it cost?"
    assert find_question(f"What does it cost?\n\n{long}") == "What does it cost?"
    assert find_question(long) == ""
    assert find_question("What  is a ledger?") == "What  is a ledger?"


@pytest.mark.parametrize("given", ["much", 0.5, -1, {"to": 3}])
def test_nonsense_is_refused(given):
    with pytest.raises(UsageProblem):
        Compressor.of(given)


def test_no_messages_are_refused():
    with pytest.raises(UsageProblem, match="nothing to compress"):
        Compressor().compress([])


# ---- in a question ------------------------------------------------------------------------------


def test_ask_sends_the_shorter_prompt():
    spec = AskSpec(
        model="sim/gpt-4o", prompt=QUESTION, context=f"{METAL}\n\n{ABROAD}", compress=400
    )
    request = build_request(spec)
    whole = build_request(AskSpec(model="sim/gpt-4o", prompt=QUESTION, context=spec.context))
    assert tokens_of(request.messages) <= 400 < tokens_of(whole.messages)
    assert request.messages[-1]["content"].endswith(QUESTION)


def test_ask_leaves_the_prompt_alone_by_default():
    spec = AskSpec(model="sim/gpt-4o", prompt="a  b\n\n\n\nc?")
    assert build_request(spec).messages[-1]["content"] == "a  b\n\n\n\nc?"
