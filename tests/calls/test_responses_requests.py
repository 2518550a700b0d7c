"""Requests of the Responses API, translated into chat completions."""

import pytest
from responses_desk import ADD

from llmops_kernel.calls.endpoint.responses_request import read_responses
from llmops_kernel.errors import BadRequest

# ---- requests -------------------------------------------------------------------------------


def _messages(given, **fields):
    return list(read_responses({"model": "m", "input": given, **fields}).chat.messages)


def test_a_string_with_instructions():
    assert _messages("Hi", instructions="Be brief") == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi"},
    ]


def test_a_conversation_with_tools_and_images():
    given = [
        {"role": "user", "content": "2 + 3 and 4 + 5?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Let me ", "annotations": []},
                {"type": "output_text", "text": "add."},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "5"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "9"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            ],
        },
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief"}]},
    ]
    call = {"type": "function", "function": {"name": "add", "arguments": "{}"}}
    assert _messages(given) == [
        {"role": "user", "content": "2 + 3 and 4 + 5?"},
        {
            "role": "assistant",
            "content": "Let me add.",
            "tool_calls": [{"id": "c1", **call}, {"id": "c2", **call}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "5"},
        {"role": "tool", "tool_call_id": "c2", "content": "9"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AA", "detail": "low"},
                },
            ],
        },
        {"role": "developer", "content": "Be brief"},
    ]


def test_text_after_calls_joins_their_message():
    given = [
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Well"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "5"},
    ]
    assert [m["role"] for m in _messages(given)] == ["user", "assistant", "tool"]
    assert _messages(given)[1]["content"] == "Well"


def test_fields_have_their_names_in_chat():
    schema = {"type": "object", "properties": {}}
    form = {"type": "json_schema", "name": "v", "schema": schema, "strict": True}
    asked = read_responses(
        {
            "model": "m",
            "input": "Hi",
            "stream": True,
            "max_output_tokens": 50,
            "temperature": 0.5,
            "top_p": 0.9,
            "parallel_tool_calls": False,
            "tools": [ADD],
            "tool_choice": {"type": "function", "name": "add"},
            "text": {"format": form, "verbosity": "low"},
            "reasoning": {"effort": "high", "summary": "auto"},
            "metadata": {"k": "v"},
            "store": True,
            "include": ["reasoning.encrypted_content"],
            "previous_response_id": None,
            "background": False,
            "top_k": 4,
        }
    )
    body = asked.chat.with_(limit_field="max_completion_tokens").to_body()
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "tools": [
            {"type": "function", "function": {k: v for k, v in ADD.items() if k != "type"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "v", "schema": schema, "strict": True},
        },
        "verbosity": "low",
        "reasoning_effort": "high",
        "top_k": 4,
    }
    assert asked.echo["metadata"] == {"k": "v"}
    assert asked.echo["store"] is False
    plain = read_responses({"model": "m", "input": "Hi", "text": {"format": {"type": "text"}}})
    assert plain.chat.response_format is None
    json_mode = read_responses(
        {"model": "m", "input": "Hi", "text": {"format": {"type": "json_object"}}}
    )
    assert json_mode.chat.response_format == {"type": "json_object"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
         "input[0].content[0].text"),
        ({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "u"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "add", "arguments": "{}"}]},
         "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 4}]},
         "input[0].output"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"instructions": 4}, "instructions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [ADD, {"type": "file_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": "json"}, "text"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"stream": 1}, "stream"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(fields, param):
    with pytest.raises(BadRequest) as caught:
        read_responses({"model": "m", "input": "Hi", **fields})
    assert caught.value.param == param


def test_a_body_that_is_no_object():
    with pytest.raises(BadRequest):
        read_responses([1])
