import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.fits import fits, read
from llmops_kernel.judge.prompts.text import JudgePrompt

PROMPTS = [each for each in vars(texts).values() if isinstance(each, JudgePrompt)]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 12), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["supported", "contradicted", "A", "tie", "p1"]),
)  # fmt: skip
NAMES = st.sampled_from(
    ["claims", "claim", "verdict", "verdicts", "evidence", "rating", "reason", "passages", "p1",
     "p2", "relevance", "score", "level", "better", "reached", "steps", "questions",
     "noncommittal", "both", "only_response", "only_reference", "quotes"]
)  # fmt: skip
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def made(schema):
    """A strategy for data near a schema: mostly fitting, sometimes not."""
    kind = schema["type"]
    if kind == "object":
        inner = {name: made(each) for name, each in schema["properties"].items()}
        return st.fixed_dictionaries(inner) | st.fixed_dictionaries({}, optional=inner)
    if kind == "array":
        return st.lists(made(schema["items"]), max_size=4)
    if kind == "boolean":
        return st.booleans() | SCALARS
    return st.sampled_from(schema["enum"]) if "enum" in schema else SCALARS


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.name)
@given(data=st.data())
def test_the_quick_check_never_passes_what_the_full_one_refuses(prompt, data):
    output = prompt.output_for(("p1", "p2"))[0]
    value = data.draw(made(output.schema) | DATA)
    text = json.dumps(value)
    if fits(value, output.schema):
        parsed = output.parse(text)
        assert parsed.problems == ()
        assert parsed.data == read(text, output.schema) == value


@pytest.mark.parametrize(
    "text", ["", "[", "```json\n{}\n```", "NaN", '{"a": 1', "null", "[" * 9999]
)
def test_what_is_not_plain_json_is_left_to_the_full_reader(text):
    assert read(text, PROMPTS[0].schema) is None


def test_half_a_character_is_left_to_the_full_reader():
    schema = {"type": "string"}
    assert read('"\\ud83d"', schema) is None
    assert read('"\\ud83d\\ude00"', schema) == "\U0001f600"
