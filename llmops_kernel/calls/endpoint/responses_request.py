"""Requests of the Responses API, as chat completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.checks import (
    check_model,
    flag,
    json_object,
    list_of_objects,
    number,
    whole,
)
from llmops_kernel.calls.endpoint.responses_input import read_input
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_KEPT = "Nothing is stored here between calls: send the earlier items as input instead"
_REFUSED = {
    "previous_response_id": _NOT_KEPT,
    "conversation": _NOT_KEPT,
    "background": "A call that outlives its request cannot be metered: leave background out",
    "prompt": "Prompts stored at the provider cannot be metered: send the text as instructions",
    "top_logprobs": "Log probabilities are served by /v1/chat/completions only",
}
# Fields that chat completions know under the same name.
_SAME = (
    "top_p",
    "parallel_tool_calls",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
)
# Fields that are read here, or mean nothing to a server that stores nothing.
_READ = {
    *_REFUSED,
    *_SAME,
    *("model", "input", "instructions", "tools", "tool_choice", "text", "max_output_tokens"),
    *("temperature", "metadata", "reasoning", "stream"),
    *("store", "include", "truncation", "stream_options", "max_tool_calls"),
}
_WITH_LOGPROBS = "message.output_text.logprobs"


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A request of the Responses API.

    Attributes:
        chat: The same request as a chat completion.
        echo: Fields that the response object repeats.
    """

    chat: ChatRequest
    echo: dict[str, Any]


def read_responses(body: Any) -> ResponsesRequest:
    """Check and translate a JSON body.

    Raises:
        BadRequest: It is malformed, or asks for something that only the provider's servers could
            do (built-in tools, stored state); the message says why.
    """
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object")
    check_model(body)
    _refuse(body)
    text = json_object(body, "text") or {}
    tools = [_tool(index, tool) for index, tool in enumerate(list_of_objects(body, "tools"))]
    chat: dict[str, Any] = {
        "model": body["model"],
        "messages": read_input(_instructions(body), body.get("input")),
        "stream": flag(body, "stream"),
        "temperature": number(body, "temperature"),
        "tools": [{"type": "function", "function": tool} for tool in tools],
        "tool_choice": _tool_choice(body.get("tool_choice")),
        "response_format": _format(text.get("format")),
        "verbosity": text.get("verbosity"),
        "reasoning_effort": (json_object(body, "reasoning") or {}).get("effort"),
        **{name: body[name] for name in _SAME if name in body},
        **{name: value for name, value in body.items() if name not in _READ},
    }
    chat = {name: value for name, value in chat.items() if value is not None}
    request = ChatRequest.from_body(chat).with_(max_tokens=whole(body, "max_output_tokens"))
    return ResponsesRequest(request, _echo(body, tools))


def _refuse(body: dict[str, Any]) -> None:
    for name, why in _REFUSED.items():
        if body.get(name):
            raise BadRequest(f"{name} is not supported at this endpoint", param=name, hint=why)
    include = body.get("include")
    if isinstance(include, list) and _WITH_LOGPROBS in include:
        hint = _REFUSED["top_logprobs"]
        raise BadRequest("Log probabilities cannot be included", param="include", hint=hint)


def _instructions(body: dict[str, Any]) -> str | None:
    instructions = body.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise BadRequest("instructions must be a string", param="instructions")
    return instructions or None


def _tool(index: int, tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    if kind != "function":
        raise BadRequest(
            f"Tools of type {str(kind)[:40]!r} run on the provider's servers and cannot be metered",
            param=f"tools[{index}].type",
            hint="Define a tool of type 'function' and run it yourself",
        )
    if not isinstance(tool.get("name"), str):
        raise BadRequest("A function needs a name", param=f"tools[{index}].name")
    known = ("name", "description", "parameters", "strict")
    return {name: tool[name] for name in known if tool.get(name) is not None}


def _tool_choice(choice: Any) -> Any:
    if choice is None or isinstance(choice, str):
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    raise BadRequest(
        "tool_choice must be 'auto', 'none', 'required' or name a function", param="tool_choice"
    )


def _format(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind == "json_schema":
        return {
            "type": "json_schema",
            "json_schema": {key: value for key, value in given.items() if key != "type"},
        }
    raise BadRequest(
        "text.format must be of type text, json_object or json_schema", param="text.format"
    )


def _echo(body: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any]:
    parallel = body.get("parallel_tool_calls")
    whole_tools = [
        {"type": "function", "parameters": None, "strict": None, **tool} for tool in tools
    ]
    return {
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": True if parallel is None else parallel,
        "previous_response_id": None,
        "reasoning": body.get("reasoning"),
        "store": False,
        "temperature": body.get("temperature"),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": whole_tools,
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "user": body.get("user"),
    }
