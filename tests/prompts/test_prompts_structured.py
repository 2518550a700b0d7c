from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from llmops_kernel.prompts import OutputSchema


class Item(BaseModel):
    sku: str
    amount: int = Field(default=1, ge=1)


class Order(BaseModel):
    model_config = ConfigDict(strict=True)

    when: date
    kind: Literal["new", "return"]
    items: tuple[Item, ...] = ()

    @field_validator("when")
    @classmethod
    def _this_century(cls, value: date) -> date:
        if value.year < 2000:
            raise ValueError("must be in this century")
        return value


ORDER = {"when": "2026-11-23", "kind": "new", "items": [{"sku": "a"}]}
JSON_SCHEMA = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "format": "email"},
        "age": {"type": "integer", "minimum": 0},
        "nick": {"type": "string"},
        "rest": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
        "none": {"type": ["string", "null"]},
    },
    "required": ["email"],
    "additionalProperties": False,
}


def test_a_model_class_gives_instances() -> None:
    parsed = OutputSchema.of(Order).parse(f"Here:\n```json\n{json.dumps(ORDER)}\n```")
    assert parsed.data == Order(when=date(2026, 11, 23), kind="new", items=(Item(sku="a"),))
    assert json.loads(parsed.json) == ORDER


def test_a_schema_gives_json_data() -> None:
    parsed = OutputSchema.of(JSON_SCHEMA).parse('{"email": "a@b.example", "age": 3}')
    assert parsed.data == {"email": "a@b.example", "age": 3}
    assert parsed.json == '{"email":"a@b.example","age":3}'


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "other"}, "kind: Input should be 'new' or 'return' (got 'other')"),
        ({"when": "1999-01-01"}, "when: Value error, must be in this century (got '1999-01-01')"),
        ({"items": [{"sku": "a"}, {"amount": 0}]}, "items[1].sku: Field required"),
        ({"items": [{"sku": "a", "amount": "x" * 500}]}, "items[0].amount: Input should be"),
    ],
)
def test_problems_of_models_are_readable(changes: dict[str, Any], problem: str) -> None:
    parsed = OutputSchema.of(Order).parse(json.dumps({**ORDER, **changes}))
    assert parsed.data is None
    assert parsed.json == ""
    assert parsed.problems[0].startswith(problem)
    assert len(parsed.problems[0]) < 300


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "the output: 'email' is a required property"),
        ({"email": "x"}, "email: 'x' is not a 'email'"),
        ({"email": "a@b", "age": -1}, "age: -1 is less than the minimum of 0"),
        ({"email": "a@b", "x": 1}, "the output: Additional properties are not allowed"),
        (
            {"email": "a@b", "rest": ["a", 5]},
            "rest: ['a', 5] is not valid under any of the given schemas"
            " (rest[1]: 5 is not of type 'string')",
        ),
        ([1], "the output: [1] is not of type 'object'"),
    ],
)
def test_problems_of_schemas_are_readable(value: Any, problem: str) -> None:
    parsed = OutputSchema.of(JSON_SCHEMA).parse(json.dumps(value))
    assert parsed.problems[0].startswith(problem)


def test_a_null_stands_for_an_optional_property_left_out() -> None:
    schema = OutputSchema.of(JSON_SCHEMA)
    parsed = schema.parse('{"email": "a@b", "age": null, "nick": null, "rest": null, "none": null}')
    assert parsed.data == {"email": "a@b", "none": None}
    assert schema.parse('{"email": null}').problems == ("email: None is not of type 'string'",)
    order = OutputSchema.of(Order).parse(
        '{"when": "2026-11-23", "kind": "new", "items": [{"sku": "a", "amount": null}]}'
    )
    assert order.data.items == (Item(sku="a", amount=1),)


def test_the_first_candidate_that_fits_is_taken() -> None:
    schema = OutputSchema.of({"properties": {"a": {"type": "integer"}}, "required": ["a"]})
    assert schema.parse('See [1]: {"a": 1}. Format: {"b": 2} [2]').data == {"a": 1}
    assert schema.parse('{"a": "x"} or {"b": 2}').problems[0].endswith("required property")


def test_reasoning_is_taken_off() -> None:
    schema = OutputSchema.of(JSON_SCHEMA)
    parsed = schema.parse('{"reasoning": "Because.", "email": "a@b"}', think=True)
    assert parsed.data == {"email": "a@b"}
    assert parsed.reasoning == "Because."
    assert schema.parse('{"reasoning": "Because.", "email": "a@b"}').problems
    wrapped = OutputSchema.of({"enum": ["a", "b"]})
    assert wrapped.parse('{"reasoning": "R", "value": "b"}', think=True).data == "b"
    assert wrapped.parse('"a"').data == "a"


def test_repair_sends_back_the_reply_and_what_is_wrong() -> None:
    schema = OutputSchema.of(JSON_SCHEMA)
    problems = [f"p{i}: wrong" for i in range(12)]
    reply, told = schema.repair_messages('{"email": 1}', problems)
    assert reply == {"role": "assistant", "content": '{"email": 1}'}
    assert told["role"] == "user"
    assert "- p7: wrong\n- and 4 more\n" in told["content"]
    assert '"additionalProperties":false' in told["content"]
    empty, _ = schema.repair_messages(" ", problems)
    assert empty["content"] == "(empty)"
    long, _ = schema.repair_messages("x" * 50_000, problems)
    assert len(long["content"]) < 7_000


@given(st.text() | st.lists(st.sampled_from('{}[]",:n1 \\')).map("".join))
def test_any_reply_is_judged(text: str) -> None:
    for source in (Order, JSON_SCHEMA):
        parsed = OutputSchema.of(source).parse(text, think=True)
        assert (parsed.data is None) == bool(parsed.problems)
