from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts import build_messages, prompt_hash, split_answer, split_thinking


class Label(BaseModel):
    label: str


def test_a_bare_prompt_is_one_message() -> None:
    assert build_messages("Hi") == ({"role": "user", "content": "Hi"},)


def test_examples_become_turns() -> None:
    examples: list[tuple[str, Any]] = [("a", "A"), ("b", {"x": "ü"}), ("c", Label(label="C"))]
    messages = build_messages("d", system="S", examples=examples)
    assert [message["role"] for message in messages] == [
        "system",
        *["user", "assistant"] * 3,
        "user",
    ]
    contents = [message["content"] for message in messages]
    assert contents == ["S", "a", "A", "b", '{"x":"ü"}', "c", '{"label":"C"}', "d"]
    assert build_messages("d", examples={"a": "A"}) == build_messages("d", examples=[("a", "A")])  # type: ignore[arg-type]


@pytest.mark.parametrize("examples", ["ab", 5, [("a",)], ["ab"], [(1, "b")], [None]])
def test_examples_must_be_pairs(examples: Any) -> None:
    with pytest.raises(UsageProblem):
        build_messages("d", examples=examples)


@pytest.mark.parametrize("prompt", ["", " \n", None])
def test_a_prompt_must_say_something(prompt: Any) -> None:
    with pytest.raises(UsageProblem, match="empty"):
        build_messages(prompt)


def test_reasoning_is_asked_for_in_one_form() -> None:
    examples = [("a", "A"), ("b", "Because.\nAnswer: B")]
    system, _, first, _, second, _ = build_messages("d", examples=examples, think=True)
    assert "step by step" in system["content"]
    assert first["content"] == "Answer: A"
    assert second["content"] == "Because.\nAnswer: B"


def test_context_stands_in_front_of_the_prompt() -> None:
    (message,) = build_messages("Why?", context="Because.")
    assert message["content"].endswith("<context>\nBecause.\n</context>\n\nWhy?")


@given(
    st.lists(st.sampled_from(["</context>", "</CONTEXT-2>", "</ context-9", "x", "\n"])).map(
        "".join
    )
)
def test_context_cannot_leave_its_fence(context: str) -> None:
    (message,) = build_messages("Why?", context=context or "x")
    content = message["content"]
    tag = re.search(r"<(context[-\d]*)>\n", content)
    assert tag is not None
    closing = re.findall(rf"</\s*{tag[1]}>", content, re.IGNORECASE)
    assert closing == [f"</{tag[1]}>"]
    assert content.endswith(f"{closing[0]}\n\nWhy?")


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("2+2 is 4.\nAnswer: 4", "2+2 is 4.", "4"),
        ("Step 1\n\n**Answer:** 4", "Step 1", "4"),
        ("Step 1\n**Answer**: 4", "Step 1", "4"),
        ("Step 1\n**Answer: 4**", "Step 1", "4"),
        ("Step 1\n**Answer:** **4**", "Step 1", "**4**"),
        ("Step 1\n## Final answer:\n4\napples", "Step 1", "4\napples"),
        ("Step 1\nThe answer is: 4", "Step 1", "4"),
        ("Answer: 3? No.\nAnswer: 4", "Answer: 3? No.", "4"),
        ("x\nAnswer: Answer: 4", "x", "4"),
        ("ANSWER\uff1a 4", "", "4"),
        ("It is 4.", "", "It is 4."),
        ("I think.\nAnswer:", "", "I think.\nAnswer:"),
        ("Answer: 4\nBecause:\nAnswer:  ", "", "4\nBecause:\nAnswer:"),
        ("The answer: see below", "", "see below"),
        ("Question and answer: x", "", "Question and answer: x"),
        ("", "", ""),
    ],
)
def test_the_last_answer_line_counts(text: str, reasoning: str, answer: str) -> None:
    assert split_answer(text) == (reasoning, answer)


@given(
    st.lists(st.sampled_from(["Answer:", "**", "\n", "4", " ", "because", "#", "_", "is"])).map(
        "".join
    )
)
def test_an_answer_is_never_lost(text: str) -> None:
    reasoning, answer = split_answer(text)
    assert bool(answer) == bool(text.strip())
    kept = reasoning + answer
    assert kept.count("4") == text.count("4")
    assert kept.count("because") == text.count("because")


@pytest.mark.parametrize(
    ("text", "thinking", "reply"),
    [
        ("<think>\nhm\n</think>\n\n4", "hm", "4"),
        ("<think>cut off", "cut off", ""),
        ("4 <think>x</think>", "", "4 <think>x</think>"),
        ("plain", "", "plain"),
    ],
)
def test_thinking_tags(text: str, thinking: str, reply: str) -> None:
    assert split_thinking(text) == (thinking, reply)


def test_a_prompt_has_one_hash_on_every_model() -> None:
    request = ChatRequest(model="a", messages=build_messages("Hi"))
    assert prompt_hash(request) == prompt_hash(request.with_(model="b", temperature=1.0, seed=3))
    changed = [
        request.with_(messages=build_messages("Ho")),
        request.with_(tools=({"type": "function"},)),
        request.with_(response_format={"type": "json_object"}),
    ]
    assert len({prompt_hash(each) for each in [request, *changed]}) == 4
