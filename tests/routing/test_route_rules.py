"""Rules: the first that holds, and conditions that are looked at one by one."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.calls.tokens import count_request
from llmops_kernel.errors import SettingsError
from llmops_kernel.routing.rules import Rules
from llmops_kernel.settings import RouteSettings, Settings

TOOL = {"type": "function", "function": {"name": "add"}}
IMAGE = [{"type": "text", "text": "What is this?"},
         {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]  # fmt: skip


def request(content: Any = "What does the card cost?", **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", [{"role": "user", "content": content}])
    return ChatRequest.from_body({"model": "route/r", "messages": messages, **fields})


def decide(rule: dict[str, Any], asked: ChatRequest, **context: Any) -> str:
    settings = RouteSettings(kind="rules", model="large", rules=({"model": "small", **rule},))  # type: ignore[arg-type]
    router = Rules(settings, count_request)
    assert router.models == ("small", "large")
    return router.decide(asked, CallContext("id", **context)).model


@pytest.mark.parametrize(
    ("rule", "holds", "does_not"),
    [
        ({"max_tokens": 30}, request("Short."), request("Long. " * 200)),
        ({"min_tokens": 30}, request("Long. " * 200), request("Short.")),
        ({"min_tokens": 5, "max_tokens": 60}, request(), request("Long. " * 200)),
        ({"tools": True}, request(tools=[TOOL]), request()),
        ({"tools": False}, request(), request(tools=[TOOL])),
        ({"structured": True}, request(response_format={"type": "json_object"}), request()),
        ({"images": True}, request(IMAGE), request()),
        ({"images": False}, request(), request(IMAGE)),
        ({"pattern": r"\bcards?\b"}, request("My CARD is lost"), request("Discard it")),
        ({"pattern": "this"}, request(IMAGE), request()),
        (
            {"min_messages": 2},
            request(messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
            request(),
        ),
    ],
)  # fmt: skip
def test_conditions(rule: dict[str, Any], holds: ChatRequest, does_not: ChatRequest) -> None:
    assert decide(rule, holds) == "small"
    assert decide(rule, does_not) == "large"


@pytest.mark.parametrize(
    ("rule", "field"),
    [({"purpose": ("judge",)}, "purpose"), ({"tenant": ("acme",)}, "tenant"),
     ({"user": ("ada",)}, "user")],
)  # fmt: skip
def test_who_calls(rule: dict[str, Any], field: str) -> None:
    value = rule[field][0]
    assert decide(rule, request(), **{field: value}) == "small"
    assert decide(rule, request(), **{field: "rag" if field == "purpose" else "x"}) == "large"


def test_all_conditions_must_hold() -> None:
    rule = {"max_tokens": 50, "pattern": "card"}
    assert decide(rule, request("my card")) == "small"
    assert decide(rule, request("my account")) == "large"
    assert decide(rule, request("card " * 100)) == "large"


def test_the_first_rule_wins_and_is_named() -> None:
    settings = RouteSettings(
        kind="rules",
        model="large",
        rules=({"model": "a", "pattern": "x"}, {"model": "b", "pattern": "y"}, {"model": "c"}),  # type: ignore[arg-type]
    )
    router = Rules(settings, count_request)
    told = [router.decide(request(text), CallContext("id")) for text in ("xy", "y", "z")]
    assert [(each.model, each.reason) for each in told] == [
        ("a", "rule 1: pattern"), ("b", "rule 2: pattern"), ("c", "rule 3: always"),
    ]  # fmt: skip
    assert all(each.confidence is None for each in told)


def test_only_the_users_last_text_is_searched() -> None:
    turns = [
        {"role": "user", "content": "card"},
        {"role": "assistant", "content": "card"},
        {"role": "user", "content": "thanks"},
    ]
    assert decide({"pattern": "card"}, request(messages=turns)) == "large"
    assert decide({"pattern": "^$"}, request(messages=turns[1:2])) == "small"  # nobody said a word


def test_a_reason_quotes_nothing() -> None:
    settings = RouteSettings(
        kind="rules",
        model="large",
        rules=({"model": "small", "pattern": "secret.*"},),  # type: ignore[arg-type]
    )
    found = Rules(settings, count_request).decide(request("secret 4711"), CallContext("id"))
    assert "4711" not in found.reason


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "rules"},
        {"kind": "cascade", "models": ["a"]},
        {"kind": "fallback", "models": ["a", "a"]},
        {"kind": "fallback"},
        {"kind": "rules", "model": "m", "rules": [{"model": "x", "pattern": "("}]},
        {"kind": "rules", "model": "m", "rules": [{"model": ""}]},
        {"kind": "best"},
        {"kind": "rules", "model": "m", "rulez": []},
    ],
)
def test_settings_are_checked(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Settings.load({"routes": {"r": given}})


def test_a_misspelt_setting_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'checks'"):
        Settings.load({"routes": {"r": {"kind": "fallback", "models": ["a", "b"], "chekcs": []}}})
