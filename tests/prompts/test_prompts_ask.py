from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmops_kernel.calls.reply import Reply
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import OutputInvalid, UsageProblem
from llmops_kernel.prompts import Answer, AskSpec, build_request, run_ask, run_ask_async


class Ticket(BaseModel):
    intent: str
    urgency: int


GOOD = '{"intent": "fees", "urgency": 2}'
BAD = '{"intent": "fees"}'


def reply(content: str | None, finish: str = "stop", **changes: Any) -> Reply:
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    values: dict[str, Any] = {
        "id": "r",
        "model": "gpt-4o",
        "created": 0,
        "choices": ({"index": 0, "message": message, "finish_reason": finish},),
        "usage": Usage(10, 5),
        "simulated": True,
        "latency_s": 0.5,
        "cost_nano": 1_500,
    }
    return Reply(**{**values, **changes})


class Script:
    """A model that gives replies in order, and keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[ChatRequest] = []

    def __call__(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        return self.replies.pop(0)

    async def later(self, request: ChatRequest) -> Reply:
        return self(request)


def test_free_text() -> None:
    script = Script(reply("It is free."))
    answer = run_ask(script, AskSpec("sim/gpt-4o", "Fees?", max_tokens=9, seed=1), trace_id="t1")
    assert answer == Answer(
        text="It is free.",
        usage=Usage(10, 5),
        usd=Decimal("0.0000015"),
        simulated=True,
        model="gpt-4o",
        trace_id="t1",
        finish_reason="stop",
        latency_s=0.5,
    )
    (request,) = script.asked
    assert request == ChatRequest(
        "sim/gpt-4o", ({"role": "user", "content": "Fees?"},), max_tokens=9, seed=1
    )


def test_reasoning_is_parted_from_the_answer() -> None:
    script = Script(reply("<think>hm</think>2 + 2.\nAnswer: 4"))
    answer = run_ask(script, AskSpec("m", "2+2?", think=True))
    assert (answer.text, answer.reasoning) == ("4", "hm\n\n2 + 2.")
    native = reply("4", message={"reasoning_content": "2 and 2"})
    answer = run_ask(Script(native), AskSpec("m", "2+2?"))
    assert (answer.text, answer.reasoning) == ("4", "2 and 2")
    kept = run_ask(Script(reply("Notes\nAnswer: 4")), AskSpec("m", "2+2?"))
    assert kept.text == "Notes\nAnswer: 4"


def test_a_refusal_in_words_is_the_answer() -> None:
    refused = reply(None, message={"refusal": "I cannot."})
    assert run_ask(Script(refused), AskSpec("m", "x")).text == "I cannot."
    assert run_ask(Script(Reply("r", "m", 0, ())), AskSpec("m", "x")).text == ""


def test_typed_output() -> None:
    script = Script(reply(f"Sure:\n```json\n{GOOD}\n```"))
    answer = run_ask(script, AskSpec("m", "x", schema=Ticket))
    assert answer.data == Ticket(intent="fees", urgency=2)
    assert answer.text == '{"intent":"fees","urgency":2}'
    assert answer.repairs == 0
    form = script.asked[0].response_format
    assert form is not None
    assert form["json_schema"]["name"] == "Ticket"


def test_invalid_output_is_repaired_and_all_calls_are_counted() -> None:
    script = Script(reply(BAD), reply("no JSON", latency_s=None), reply(GOOD, simulated=False))
    answer = run_ask(script, AskSpec("m", "x", system="S", schema=Ticket, repair=2))
    assert answer.data == Ticket(intent="fees", urgency=2)
    assert answer.repairs == 2
    assert answer.usage == Usage(30, 15)
    assert answer.usd == Decimal("0.0000045")
    assert answer.simulated
    assert answer.latency_s is None
    first, second, third = script.asked
    assert second.messages[:2] == first.messages
    assert second.messages[2] == {"role": "assistant", "content": BAD}
    assert "urgency: Field required" in second.messages[3]["content"]
    # only the latest attempt is sent back
    assert [message["role"] for message in third.messages] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert third.messages[2]["content"] == "no JSON"
    assert third.response_format == first.response_format


@pytest.mark.parametrize("repair", [0, 1, 3])
def test_repairs_are_bounded(repair: int) -> None:
    script = Script(*(reply(BAD) for _ in range(9)))
    with pytest.raises(OutputInvalid) as caught:
        run_ask(script, AskSpec("m", "x", schema=Ticket, repair=repair))
    assert len(script.asked) == repair + 1
    assert str(caught.value) == "The model's output does not match the schema"
    assert caught.value.detail == f"urgency: Field required. The last reply: {BAD}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("last", "told", "detail"),
    [
        (reply('{"intent": "fe', "length"), "cut off", "breaks off"),
        (reply("", "content_filter"), "content filter", ""),
        (reply(None, message={"refusal": "I cannot."}), "refused", "I cannot."),
    ],
)
def test_hopeless_repairs_are_not_paid_for(last: Reply, told: str, detail: str) -> None:
    script = Script(last, reply(GOOD))
    with pytest.raises(OutputInvalid, match=told) as caught:
        run_ask(script, AskSpec("m", "x", schema=Ticket, repair=3))
    assert len(script.asked) == 1
    assert detail in caught.value.detail


def test_valid_output_that_just_fits_is_taken() -> None:
    answer = run_ask(Script(reply(GOOD, "length")), AskSpec("m", "x", schema=Ticket))
    assert answer.data == Ticket(intent="fees", urgency=2)


def test_reasoning_before_typed_output() -> None:
    script = Script(reply('{"reasoning": "About fees.", "intent": "fees", "urgency": 2}'))
    answer = run_ask(script, AskSpec("m", "x", schema=Ticket, think=True))
    assert answer.reasoning == "About fees."
    assert answer.data == Ticket(intent="fees", urgency=2)
    (request,) = script.asked
    assert "Answer:" not in json.dumps(request.messages)
    assert request.response_format is not None
    properties = request.response_format["json_schema"]["schema"]["properties"]
    assert list(properties) == ["reasoning", "intent", "urgency"]


async def test_asynchronous_callers_run_the_same_steps() -> None:
    spec = AskSpec("m", "x", schema=Ticket)
    script = Script(reply(BAD), reply(GOOD))
    answer = await run_ask_async(script.later, spec, trace_id="t")
    assert answer == run_ask(Script(reply(BAD), reply(GOOD)), spec, trace_id="t")
    assert (answer.repairs, answer.trace_id) == (1, "t")


def test_errors_of_the_call_pass_through() -> None:
    def call(request: ChatRequest) -> Reply:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        run_ask(call, AskSpec("m", "x"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": " "},
        {"repair": -1},
        {"repair": 6},
        {"repair": 1.5},
        {"max_tokens": 0},
        {"max_tokens": "9"},
        {"temperature": 3},
        {"temperature": "hot"},
        {"examples": ["x"]},
        {"schema": "missing.json"},
    ],
)
def test_wrong_fields_are_refused_before_a_call(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem):
        build_request(AskSpec(**{"model": "m", "prompt": "x", **wrong}))


# ---- how an answer is shown ---------------------------------------------------------------------


def answer_of(**changes: Any) -> Answer:
    values: dict[str, Any] = {
        "text": "It is **free**.",
        "usage": Usage(312, 88),
        "usd": Decimal("0.000412"),
        "simulated": True,
        "model": "gpt-4o",
        "trace_id": "t1",
        "finish_reason": "stop",
    }
    return Answer(**{**values, **changes})


def test_an_answer_is_its_text() -> None:
    answer = answer_of(text="line 1\nline 2" + " word" * 50)
    assert str(answer) == answer.text
    assert repr(answer).startswith("Answer('line 1 line 2 word")
    assert len(repr(answer)) < 90
    assert copy.copy(answer) == answer


def test_figures_are_in_metadata_and_not_in_text() -> None:
    data, metadata = answer_of()._repr_mimebundle_()
    assert data == {"text/plain": "It is **free**.", "text/markdown": "It is **free**."}
    assert metadata["llmops"] == {
        "trace_id": "t1",
        "model": "gpt-4o",
        "usd": "0.000412",
        "simulated": True,
        "cached": False,
        "input_tokens": 312,
        "output_tokens": 88,
        "estimated": False,
        "finish_reason": "stop",
        "repairs": 0,
        "latency_s": None,
    }


def test_the_footer_is_shown_when_asked_for() -> None:
    data, _ = answer_of(footer=True)._repr_mimebundle_()
    assert data["text/plain"].endswith("\n\ngpt-4o · 312+88 tok · $0.00041 simulated")
    assert data["text/markdown"].endswith("\n\ngpt-4o · 312+88 tok · \\$0.00041 simulated")
    more = answer_of(
        footer=True, usage=Usage(1, 2, estimated=True), latency_s=1.5, cached=True, repairs=2,
        simulated=False, model="my_model*",
    )  # fmt: skip
    data, _ = more._repr_mimebundle_()
    line = "my_model* · 1+2 tok (estimated) · $0.00041 · 1.50 s virtual · from cache · 2 repairs"
    assert data["text/plain"].endswith(line)
    assert "my\\_model\\*" in data["text/markdown"]


def test_typed_output_is_shown_indented() -> None:
    data, _ = answer_of(data=Ticket(intent="gebühr", urgency=2))._repr_mimebundle_()
    assert data["text/plain"] == '{\n  "intent": "gebühr",\n  "urgency": 2\n}'
    assert data["text/markdown"] == f"```json\n{data['text/plain']}\n```"
    data, _ = answer_of(data=False)._repr_mimebundle_()
    assert data["text/plain"] == "false"


def test_reasoning_is_folded_and_a_cut_is_said() -> None:
    answer = answer_of(reasoning="a</details>b", finish_reason="length")
    data, _ = answer._repr_mimebundle_()
    assert data["text/plain"] == "It is **free**.\n(cut off at max_tokens)"
    assert data["text/markdown"] == (
        "<details><summary>Reasoning</summary>\n\na&lt;/details>b\n\n</details>\n\n"
        "It is **free**.\n\n*(cut off at max_tokens)*"
    )


@given(st.text(st.characters(exclude_categories=())), st.booleans())
def test_any_answer_can_be_saved(text: str, footer: bool) -> None:
    answer = answer_of(text=text, model=text, reasoning=text, data={text: [text]}, footer=footer)
    for bundle in (answer, answer_of(text=text, footer=footer)):
        data, metadata = bundle._repr_mimebundle_()
        json.dumps([data, metadata], ensure_ascii=False, allow_nan=False).encode()


def test_include_and_exclude() -> None:
    assert list(answer_of()._repr_mimebundle_(include={"text/plain"})[0]) == ["text/plain"]
    assert list(answer_of()._repr_mimebundle_(exclude={"text/plain"})[0]) == ["text/markdown"]
