"""Decides on tool calls: which tool a request asks for, with which arguments, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.language.text import content_stems, name_stems, stem
from llmops_kernel.errors import BadRequest

if TYPE_CHECKING:
    from llmops_kernel.calls.request import ChatRequest

_MOST_TOOLS = 256
Mode = Literal["none", "auto", "required"]

GENERIC_STEMS = frozenset(
    stem(w)
    for w in word_set(
        "tool function use call get return given user customer current value result data "
        "string name"
    )
)


@dataclass(frozen=True)
class Tool:
    """One function the model may call."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def required(self) -> list[str]:
        """The names of required arguments."""
        names = self.parameters.get("required")
        return [n for n in names if isinstance(n, str)] if isinstance(names, list) else []

    @property
    def properties(self) -> Mapping[str, Any]:
        """The schemas of arguments by name."""
        found = self.parameters.get("properties")
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def profile(self) -> dict[str, float]:
        """Stems that speak for the tool, with weights: name, description, arguments."""
        found: dict[str, float] = {}

        def note(stems: Sequence[str], weight: float) -> None:
            for one in stems:
                if len(one) > 1:
                    found[one] = max(found.get(one, 0.0), weight)

        for name, part in list(self.properties.items())[:40]:
            note(name_stems(str(name)), 0.4)
            if isinstance(part, Mapping):
                note(content_stems(str(part.get("description", ""))[:300]), 0.3)
                for value in (
                    (part.get("enum") or [])[:40] if isinstance(part.get("enum"), list) else ()
                ):
                    note(name_stems(str(value)), 0.5)
        note(content_stems(self.description[:1_500]), 0.7)
        note(name_stems(self.name), 1.0)
        return {one: w * (0.3 if one in GENERIC_STEMS else 1.0) for one, w in found.items()}


def read_tools(request: ChatRequest) -> list[Tool]:
    """Return the functions of a request; tools of other types are left out."""
    found = []
    for tool in request.tools[:_MOST_TOOLS]:
        function = tool.get("function") if tool.get("type", "function") == "function" else None
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            found.append(
                Tool(
                    function["name"],
                    str(function.get("description") or ""),
                    parameters if isinstance(parameters, Mapping) else {},
                )
            )
    return found


def read_choice(choice: Any, tools: list[Tool]) -> tuple[Mode, Tool | None, list[Tool]]:
    """Read ``tool_choice``.

    Returns:
        Whether a tool must, may or must not be called; the one that has to be, if it is named;
        and the tools that may be called.

    Raises:
        BadRequest: It names a function that is not among the tools.
    """
    if isinstance(choice, str):
        modes: dict[str, Mode] = {"required": "required", "any": "required", "none": "none"}
        return modes.get(choice, "auto"), None, tools
    if not isinstance(choice, Mapping):
        return "auto", None, tools
    allowed = choice.get("allowed_tools")
    if choice.get("type") == "allowed_tools" and isinstance(allowed, Mapping):
        names = {_named(tool) for tool in allowed.get("tools") or () if isinstance(tool, Mapping)}
        mode: Mode = "required" if allowed.get("mode") == "required" else "auto"
        return mode, None, [tool for tool in tools if tool.name in names]
    name = _named(choice)
    found = next((tool for tool in tools if tool.name == name), None)
    if found is None:
        raise BadRequest(
            "tool_choice names a function that is not among the tools",
            param="tool_choice",
            hint="Name one of the functions in tools",
        )
    return "required", found, tools


def _named(choice: Mapping[str, Any]) -> str | None:
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    return name if isinstance(name, str) else None
