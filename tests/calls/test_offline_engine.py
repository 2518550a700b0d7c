"""The model without a network: answers from the given text, and says so when it has none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_kernel.calls import CallContext, ChatRequest, EmbeddingRequest, Reply
from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.offline import OfflineEngine
from llmops_kernel.calls.prices import FreePrice
from llmops_kernel.errors import LLMOpsError

ENGINE = OfflineEngine()
TEXT = """The Basic account costs 4.90 euros a month. The Plus account costs 9.90 euros a month.
Each further card costs 8 euros. Transfers within the euro area arrive the same day."""
TOOL = {
    "type": "function",
    "function": {
        "name": "get_balance",
        "description": "Look up the balance of an account",
        "parameters": {
            "type": "object",
            "properties": {"account_id": {"type": "string", "pattern": "^[0-9]{4}$"}},
            "required": ["account_id"],
        },
    },
}


def target(name: str = "offline/extractive") -> Target:
    provider, _, model = name.partition("/")
    return Target(name, provider, model, FreePrice("test"), "simulated")


def call(request: Any, name: str = "offline/extractive") -> Any:
    return asyncio.run(ENGINE(request, CallContext("c", target=target(name))))


def ask(*messages: str | dict[str, Any], name: str = "offline/extractive", **fields: Any) -> Reply:
    spoken = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    body = {"model": name, "messages": spoken, **fields}
    reply = call(ChatRequest.from_body(body), name)
    assert isinstance(reply, Reply)
    return reply


def test_answers_are_sentences_of_the_text() -> None:
    reply = ask(f"Context:\n{TEXT}\n\nQuestion: What does the Plus account cost?")
    assert "9.90" in reply.text
    assert "4.90" not in reply.text
    assert reply.simulated
    assert reply.usage is not None
    assert reply.usage.input_tokens > 20


def test_what_the_text_does_not_say_is_said() -> None:
    reply = ask(f"Context:\n{TEXT}\n\nQuestion: Who is the chief executive?")
    assert "does not say" in reply.text
    assert "offline" in reply.text


def test_without_a_text_it_says_what_it_is() -> None:
    assert "offline" in ask("Hello, who are you?").text


def test_labels_follow_the_examples() -> None:
    turns = [
        ("I lost my card in the taxi", "card"), ("My card was stolen", "card"),
        ("Please block this card", "card"), ("My transfer has not arrived", "transfer"),
        ("I sent money to my sister yesterday", "transfer"), ("The transfer is late", "transfer"),
    ]  # fmt: skip
    shots: list[Any] = []
    for text, label in turns:
        shots += [{"role": "user", "content": text}, {"role": "assistant", "content": label}]
    assert ask(*shots, "Someone stole the card from my bag").text == "card"
    assert ask(*shots, "Why has my transfer to my landlord not arrived?").text == "transfer"
    swapped = [dict(m) for m in shots]
    for message in swapped:
        if message["role"] == "assistant":
            message["content"] = {"card": "A", "transfer": "B"}[message["content"]]
    assert ask(*swapped, "Someone stole the card from my bag").text == "A"


def test_definitions_of_labels_are_no_text_to_answer_from() -> None:
    system = {
        "role": "system",
        "content": "Classify the customer's message. Answer with one of these labels:\n"
        "- lost_card: a card was lost or stolen\n- fees: what the bank itself charges, and why",
    }
    assert ask(system, "Why did you charge me $4 this month?").text == "fees"
    assert ask(system, "My card was stolen on the tram").text == "lost_card"


def test_typed_output_takes_values_from_the_text() -> None:
    schema = {
        "type": "object",
        "properties": {
            "amount": {"type": "number"},
            "email": {"type": "string", "format": "email"},
            "intent": {"type": "string", "enum": ["dispute_payment", "close_account"]},
        },
        "required": ["amount", "email", "intent"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}
    reply = ask(
        "I want to dispute a payment of 129.99 euros, write to ines@example.org",
        response_format=form,
    )
    data = json.loads(reply.text)
    jsonschema.validate(data, schema)
    assert data["amount"] == 129.99
    assert data["email"] == "ines@example.org"
    assert data["intent"] == "dispute_payment"


def test_tools_are_called_when_they_match_and_answered_from() -> None:
    question = "Look up the balance of account 4711"
    reply = ask(question, tools=[TOOL])
    (made,) = reply.tool_calls
    assert reply.finish_reason == "tool_calls"
    assert made["function"]["name"] == "get_balance"
    assert json.loads(made["function"]["arguments"]) == {"account_id": "4711"}
    result = {"role": "tool", "tool_call_id": made["id"], "content": "The balance is 12.50 euros."}
    after = ask(
        question,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        result,
        tools=[TOOL],
    )
    assert not after.tool_calls
    assert "12.50" in after.text


def test_tools_are_left_alone_when_they_must_be() -> None:
    assert not ask(
        "Look up the balance of account 4711", tools=[TOOL], tool_choice="none"
    ).tool_calls
    assert not ask("Tell me a joke about rain", tools=[TOOL]).tool_calls
    assert ask("Tell me a joke about rain", tools=[TOOL], tool_choice="required").tool_calls


def test_max_tokens_cuts_and_stop_stops() -> None:
    prompt = f"Summarise:\n{TEXT}"
    whole = ask(prompt)
    cut = ask(prompt, max_tokens=3)
    assert cut.finish_reason == "length"
    assert len(cut.text) < len(whole.text)
    assert cut.usage is not None
    assert cut.usage.output_tokens <= 3
    stop = whole.text.split()[2]
    assert stop not in ask(prompt, stop=stop).text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 2, "temperature": 1.0},
        {"tools": [TOOL], "tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"max_tokens": 4},
    ],
    ids=str,
)
def test_a_stream_adds_up_to_the_whole_reply(fields: dict[str, Any]) -> None:
    body = {
        "model": "sim/gpt-4o",
        "messages": [{"role": "user", "content": f"{TEXT}\nWhat does account 4711 cost?"}],
        **fields,
    }
    request = ChatRequest.from_body(body)
    context = CallContext("c", target=target("sim/gpt-4o"))

    async def both() -> tuple[Any, Any]:
        stream: Any = await ENGINE(request.with_(stream=True), context)
        return await ENGINE(request, context), await stream.collect()

    whole, streamed = asyncio.run(both())
    plain = [(c["message"].get("content"), c["finish_reason"]) for c in whole.choices]
    assert [(c["message"].get("content"), c["finish_reason"]) for c in streamed.choices] == plain
    assert streamed.tool_calls == whole.tool_calls
    assert streamed.usage == whole.usage


def test_simulated_models_have_a_virtual_latency() -> None:
    assert ask("Hi").latency_s is None
    slow = ask("Hi", name="sim/gpt-4o")
    assert slow.latency_s is not None
    assert slow.latency_s > 0
    assert slow.latency_s == ask("Hi", name="sim/gpt-4o").latency_s
    assert slow.model == "sim/gpt-4o"


def test_embeddings_are_refused_with_a_way_out() -> None:
    with pytest.raises(LLMOpsError) as caught:
        call(EmbeddingRequest("offline/extractive", "hello"))
    assert caught.value.hint


_LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"type": "string"}),
    st.builds(
        lambda low, extra: {"type": "integer", "minimum": low, "maximum": low + extra},
        st.integers(-50, 50),
        st.integers(0, 50),
    ),
    st.just({"type": "number"}),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.builds(
        lambda values: {"enum": values},
        st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=4, unique=True),
    ),
    st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 20}, st.integers(0, 9)),
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda item, low: {
                "type": "array",
                "items": item,
                "minItems": low,
                "maxItems": low + 3,
            },
            inner,
            st.integers(0, 3),
        ),
        st.builds(
            lambda props: {
                "type": "object",
                "properties": props,
                "required": sorted(props),
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from(["name", "amount", "date", "ok", "note"]), inner),
        ),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
    ),
    max_leaves=8,
)


@given(schema=_SCHEMAS, text=st.text(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_schema_is_filled_validly_and_always_the_same(
    schema: dict[str, Any], text: str
) -> None:
    root = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    form = {"type": "json_schema", "json_schema": {"name": "t", "schema": root}}
    first = ask(f"{TEXT} {text}", response_format=form)
    jsonschema.validate(json.loads(first.text), root)
    assert ask(f"{TEXT} {text}", response_format=form).text == first.text


@given(text=st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_gets_an_answer(text: str) -> None:
    assert ask(text).text
    assert ask({"role": "system", "content": text}, text or "x", tools=[TOOL]).choices
