"""What an answer must hold to be served by a cascade's smaller model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops_kernel.calls import ChatRequest, Outcome, Reply
from llmops_kernel.errors import SettingsError
from llmops_kernel.path import _support
from llmops_kernel.routing.cascade import Cascade
from llmops_kernel.routing.checks import checks_of
from llmops_kernel.routing.router import Decision

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
TOOLS = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def request(**fields: Any) -> ChatRequest:
    messages = [{"role": "user", "content": fields.pop("content", "What is it?")}]
    return ChatRequest.from_body({"model": "route/c", "messages": messages, **fields})


def reply(*texts: str | None, finish: str = "stop", **message: Any) -> Outcome:
    choices = tuple(
        {"index": n, "message": {"role": "assistant", "content": text, **message},
         "finish_reason": finish}
        for n, text in enumerate(texts)
    )  # fmt: skip
    return Outcome(Reply("id", "m", 0, choices))


def why(name: str, outcome: Outcome, asked: ChatRequest | None = None) -> str:
    (check,) = checks_of([name], _support)
    return check(asked or request(), outcome)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "I am unable to answer.",
        "As an AI, I have no opinion.",
        "The price is not mentioned in the documents.",
        "I don't know.",
        "There is insufficient information to say.",
    ],
)
def test_refusals(text: str) -> None:
    assert why("refusal", reply(text)) == "the answer is a refusal"


@pytest.mark.parametrize(
    "text",
    [
        "The fee is 5 EUR.",
        "You cannot open it before May.",
        "Sorry to hear that! Block it in the app.",
        "x" * 500 + " I cannot answer",
    ],
)
def test_answers_that_are_no_refusals(text: str) -> None:
    assert why("refusal", reply(text)) == ""


def test_refusals_as_providers_mark_them() -> None:
    assert why("refusal", reply(None, refusal="No.")) == "the answer is a refusal"
    assert why("refusal", reply("", finish="content_filter")) == "the answer is a refusal"
    assert why("refusal", reply(None, tool_calls=TOOLS)) == ""


def test_finished() -> None:
    assert why("finished", reply("Yes.")) == ""
    assert why("finished", reply("Yes and", finish="length")) == "the answer reached its bound"
    cut = Outcome(reply("Yes").reply, "truncated")
    assert why("finished", cut) == "the answer broke off"


def test_length() -> None:
    assert why("length:5", reply("Yes.")) == "the answer has fewer than 5 characters"
    assert why("length:5", reply("Yes, sir.")) == ""
    assert why("length:5", reply(None, tool_calls=TOOLS)) == ""
    assert why("length:1", reply("  ")) != ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"n": 1}', ""),
        ('{"n": "one"}', "the answer does not match its schema"),
        ('{"n": 1, "m": 2}', "the answer does not match its schema"),
        ("The number is 1.", "the answer is no JSON"),
        ("", "the answer is no JSON"),
    ],
)
def test_json_where_it_was_asked_for(text: str, said: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert why("json", reply(text), request(response_format=wanted)) == said
    assert why("json", reply(text)) == ""  # free text was asked for


def test_json_without_or_with_a_broken_schema() -> None:
    plain = request(response_format={"type": "json_object"})
    assert why("json", reply('{"a": 1}'), plain) == ""
    assert why("json", reply("no"), plain) == "the answer is no JSON"
    broken = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 7}}}
    assert why("json", reply("{}"), request(response_format=broken)) == ""


def test_logprob_where_there_is_one() -> None:
    def said(*values: float) -> Outcome:
        choice = {
            "message": {"content": "x"},
            "logprobs": {"content": [{"logprob": v} for v in values]},
        }
        return Outcome(Reply("id", "m", 0, (choice,)))

    assert why("logprob:-0.5", said(-0.1, -0.3)) == ""
    assert why("logprob:-0.5", said(-0.1, -3.0)) == "the mean log probability is below -0.5"
    assert why("logprob:-0.5", reply("x")) == ""


def test_agreement_where_there_are_choices() -> None:
    assert why("agreement:0.6", reply("Paris.", "paris", "Lyon")) == ""
    assert (
        why("agreement:0.7", reply("Paris.", "paris", "Lyon"))
        == "fewer than 70% of the choices agree"
    )
    assert why("agreement:1", reply("Paris")) == ""


def test_support_where_there_are_passages() -> None:
    passages = (
        '<documents>\n<document id="1">\nThe card costs 5 euros a month.\n</document>\n</documents>'
    )
    asked = request(content=f"{passages}\nWhat does the card cost?")
    assert why("support:0.5", reply("The card costs 5 euros a month."), asked) == ""
    told = why("support:0.5", reply("Elephants migrate northwards in spring."), asked)
    assert told == "less than 50% of the answer is in the passages"
    assert why("support:0.5", reply("Elephants migrate.")) == ""  # no passages to hold it against


@pytest.mark.parametrize("name", ["refusl", "length", "length:x", "length:nan", "refusal:1", ""])
def test_unknown_checks(name: str) -> None:
    with pytest.raises(SettingsError):
        checks_of([name])


def test_the_nearest_check_is_named() -> None:
    with pytest.raises(SettingsError, match="did you mean 'refusal'"):
        checks_of(["refusl"])


def test_support_needs_a_measure() -> None:
    with pytest.raises(SettingsError, match="cannot be measured"):
        checks_of(["support:0.5"])


def test_a_cascade_of_three_goes_on_step_by_step() -> None:
    router = Cascade(("a", "b", "c"), checks_of(["length:5"]))
    assert [router.reviews(model) for model in router.models] == [True, True, False]
    second = router.review(request(), reply("no"), Decision("a", "first"))
    assert second == Decision("b", "a: the answer has fewer than 5 characters")
    assert router.review(request(), reply("a long one"), second) is None


def test_a_check_quotes_nothing() -> None:
    secret = "4711 " * 3
    for name in ("finished", "refusal", "json", "length:999", "agreement:1"):
        wanted = request(content=secret, response_format={"type": "json_object"})
        assert "4711" not in why(name, reply(secret, json.dumps(secret)), wanted)
