from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.prompts.extract import extract_json

WORDS = st.text(max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | WORDS
OBJECTS = st.dictionaries(
    WORDS,
    LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(WORDS, LEAVES, max_size=3),
    max_size=4,
)


@given(OBJECTS, st.sampled_from([None, 2]))
def test_json_is_found_alone_fenced_and_in_prose(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    for reply in (
        text,
        f"\n{text}\n",
        f"```json\n{text}\n```",
        f"Here you are:\n\n```\n{text}\n```\nAnything else?",
        f"Sure! {text} Anything else?",
        f"<think>maybe {{}}</think>{text}",
    ):
        assert extract_json(reply).values[0] == value


@given(OBJECTS.filter(bool), st.data())
def test_json_that_breaks_off_is_no_json(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(1, len(text) - 1))
    found = extract_json(f"Sure: {text[:cut]}")
    assert found.values == ()
    assert found.problem == "the JSON breaks off before its end"


@given(st.text())
def test_any_text_passes(text: str) -> None:
    found = extract_json(text)
    assert bool(found.values) != bool(found.problem)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": [1, 2,], "b": "x,}",}', ({"a": [1, 2], "b": "x,}"},)),
        ('See [1]. {"a": 1} or {"a": 2}', ({"a": 2}, {"a": 1}, [1])),
        ('Use {braces} like this: {"a": 1}', ({"a": 1},)),
        ('```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```', ({"a": 2}, {"a": 1})),
        ('{"a": "\\ud83d\\ude00 \\ud800"}', ({"a": "😀 \ufffd"},)),
        ('"text"', ("text",)),
        ("42", (42,)),
    ],
)
def test_candidates(text: str, values: tuple[Any, ...]) -> None:
    assert extract_json(text).values == values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the reply is empty"),
        ("<think>all of it", "the reply is empty"),
        ("I cannot do that.", "the reply holds no JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": 1e999}', "1e999 is no JSON number"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes"),
        ('Sure: {"a": "b"', "breaks off"),
        ('```json\n{"a": 1, "b": [1, ', "breaks off"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5_000 + "}", "Exceeds the limit"),
    ],
)
def test_problems_are_told(text: str, problem: str) -> None:
    found = extract_json(text)
    assert found.values == ()
    assert problem in found.problem


def test_long_replies_are_read_in_bounded_steps() -> None:
    for piece in ("{", "[", "[{", '{"a":', '{"', "`", "```\n", "```a\n", '"\\"', "{x} "):
        assert extract_json(piece * 100_000).values == ()
