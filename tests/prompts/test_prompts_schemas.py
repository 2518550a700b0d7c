from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from pydantic import BaseModel, Field

from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts import OutputSchema
from llmops_kernel.prompts.envelope import envelope
from llmops_kernel.prompts.strict import strict_schema

if TYPE_CHECKING:
    from pathlib import Path

TICKET = {
    "title": "Support ticket",
    "type": "object",
    "properties": {
        "intent": {"enum": ["card_lost", "fees"]},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "note": {"type": "string", "maxLength": 20},
    },
    "required": ["intent", "urgency"],
}


def test_a_schema_is_read_from_a_mapping_text_or_file(tmp_path: Path) -> None:
    path = tmp_path / "ticket.schema.json"
    path.write_text(json.dumps({**TICKET, "title": None} | {"title": "T"}))
    from_mapping = OutputSchema.of(MappingProxyType(TICKET))
    assert from_mapping.name == "Support_ticket"
    assert OutputSchema.of(json.dumps(TICKET)) == from_mapping
    assert OutputSchema.of(path).name == "T"
    path.write_text(json.dumps({key: TICKET[key] for key in ("type", "properties")}))
    assert OutputSchema.of(str(path)).name == "ticket"
    assert OutputSchema.of(from_mapping) is from_mapping


def test_properties_mean_an_object() -> None:
    schema = OutputSchema.of({"properties": {"a": {"type": "integer"}}})
    assert schema.response_format()["json_schema"]["schema"]["type"] == "object"
    assert schema.parse("[1]").problems == ("the output: [1] is not of type 'object'",)


def test_a_schema_is_a_copy() -> None:
    source: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    schema = OutputSchema.of(source)
    source["properties"]["a"]["type"] = "integer"
    assert schema.parse('{"a": "x"}').problems == ()


class NoJson(BaseModel):
    call: Callable[[], int]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (5, "no JSON schema"),
        ({}, "no JSON schema"),
        ([1], "no JSON schema"),
        (int, "int is no pydantic model class"),
        (NoJson, "NoJson has no JSON schema"),
        ("missing.json", "file cannot be read"),
        ("nul\0", "file cannot be read"),
        ("{broken", "not valid JSON"),
        ({"type": "objekt"}, "no JSON schema"),
        ({"type": "object", "x": object()}, "no JSON schema"),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/s.json"}}},
            "another",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "another"),
        ({"$ref": "#/$defs/missing"}, "a part it does not have"),
    ],
)
def test_unusable_schemas_are_refused(source: Any, told: str) -> None:
    with pytest.raises(UsageProblem, match=told):
        OutputSchema.of(source)


def test_references_in_circles_are_refused() -> None:
    schema = OutputSchema.of({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})
    with pytest.raises(UsageProblem, match="cannot be followed"):
        schema.parse("{}")


class Address(BaseModel):
    city: str
    zip: str | None = None


class Person(BaseModel):
    name: str = Field(min_length=1, description="Full name")
    age: int = Field(default=0, ge=0)
    address: Address | None = None
    home: Address = Field(description="Where they live")
    tags: list[str] = []


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


def _check_strict(node: Any) -> None:
    """Assert the rules of OpenAI's strict mode."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        if "$ref" in node:
            assert node.keys() <= {"$ref", "$defs"}
        assert not node.keys() & {"default", "oneOf", "allOf", "maxLength", "discriminator"}
        for key, value in node.items():
            for inner in value.values() if key in ("properties", "$defs") else [value]:
                _check_strict(inner)
    elif isinstance(node, list):
        for item in node:
            _check_strict(item)


@pytest.mark.parametrize("source", [TICKET, Person, Tree, Address])
@pytest.mark.parametrize("think", [False, True])
def test_strict_forms_keep_the_rules(source: Any, think: bool) -> None:
    form = OutputSchema.of(source).response_format(think=think)
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    schema = form["json_schema"]["schema"]
    _check_strict(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert (next(iter(schema["properties"])) == "reasoning") is think


def test_optional_properties_become_nullable_and_constraints_are_told() -> None:
    schema = OutputSchema.of(TICKET).response_format()["json_schema"]["schema"]
    assert schema["properties"]["note"] == {
        "anyOf": [{"type": "string", "description": "(maxLength: 20)"}, {"type": "null"}]
    }
    assert schema["properties"]["intent"] == {"enum": ["card_lost", "fees"], "type": "string"}
    assert schema["properties"]["urgency"]["maximum"] == 5


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (TICKET, {"intent": "fees", "urgency": 1, "note": "x"}),
        (Person.model_json_schema(), {"name": "A", "age": 1, "address": {"city": "B", "zip": None},
                                      "home": {"city": "C", "zip": "1"}, "tags": ["t"]}),
        (Tree.model_json_schema(), {"value": 1, "children": [{"value": 2, "children": []}]}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 5),
    ],
)  # fmt: skip
def test_what_is_strictly_valid_is_valid(schema: dict[str, Any], value: Any) -> None:
    strict = strict_schema(schema)
    assert strict is not None
    jsonschema.validate(value, strict)
    jsonschema.validate(value, schema)


@pytest.mark.parametrize(
    "inner",
    [
        {},
        True,
        {"description": "anything"},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "required": ["x"]},
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
        {"not": {"type": "string"}},
        {"allOf": [{"type": "string"}, {"minLength": 1}]},
        {"type": "string", "if": {"minLength": 2}},
        {"type": ["object", "null"], "properties": {}},
        {"$ref": "#/properties/a"},
        {"$ref": "#/$defs/s", "minLength": 3},
    ],
)
def test_without_strict_form_the_schema_is_sent_as_it_is(inner: Any) -> None:
    source = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": inner},
        "$defs": {"s": {"type": "string"}},
    }
    form = OutputSchema.of(source).response_format()["json_schema"]
    assert form["strict"] is False
    assert form["schema"] == source


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, None),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, 4),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}, [1, [2, []]]),
        ({"type": "array", "items": {"$ref": "#/definitions/x"},
          "definitions": {"x": {"type": "integer"}}}, [4]),
        ({"type": "object", "properties": {"next": {"$ref": "#"}}}, {"next": {"next": {}}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("think", [False, True])
def test_any_output_travels_in_an_object(schema: dict[str, Any], value: Any, think: bool) -> None:
    sent = envelope(schema, think=think)
    root = OutputSchema.of(schema).response_format(think=think)["json_schema"]["schema"]
    assert root["type"] == "object"
    jsonschema.Draft202012Validator.check_schema(sent.schema)
    if sent.wrapped:
        packed = {"reasoning": "R", "value": value} if think else {"value": value}
        jsonschema.validate(packed, sent.schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**packed, "value": object}, sent.schema)
        assert sent.open(packed) == (value, "R" if think else "")
    assert sent.open(value) == (value, "")
    parsed = OutputSchema.of(schema).parse(json.dumps(value), think=think)
    assert (parsed.data, parsed.problems) == (value, ())


def test_a_schema_with_reasoning_of_its_own_keeps_it() -> None:
    schema = {"type": "object", "properties": {"reasoning": {"type": "string"}}}
    sent = envelope(schema, think=True)
    assert sent.schema == schema
    assert sent.open({"reasoning": "R"}) == ({"reasoning": "R"}, "")


def test_names_fit_providers() -> None:
    assert OutputSchema.of({**TICKET, "title": "Größe / x" * 20}).name.isascii()
    assert len(OutputSchema.of({**TICKET, "title": "x" * 99}).name) == 64
    assert OutputSchema.of({**TICKET, "title": "日本"}).name == "output"
    assert isinstance(OutputSchema.of(TICKET).schema, Mapping)
