"""Decides on tool calls: which tools to call now, with which arguments, and when to stop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump
from llmops_kernel.calls.offline.calling.matching import ToolMatcher
from llmops_kernel.calls.offline.calling.tools import Tool, read_choice, read_tools
from llmops_kernel.calls.offline.filling.fill import Filler
from llmops_kernel.calls.offline.filling.material import Material
from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.language.text import name_words, stem
from llmops_kernel.calls.offline.reading.flatten import flatten
from llmops_kernel.calls.offline.reading.prompt import Prompt, message_content
from llmops_kernel.errors import BadRequest

if TYPE_CHECKING:
    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.request import ChatRequest


_ENOUGH = 0.9
_LIKELY = 0.45  # enough when the text also holds every argument
_CLAUSE = re.compile(
    r"[;?!]\s+|\.\s+|,?\s+(?:and then|then|and also|and|also|plus)\s+", re.IGNORECASE
)
_FINDS = word_set("list find get search lookup look fetch query retrieve show which all")
_ASKS_FOR = re.compile(
    r"\b(?:call|use|run|try|retry|invoke|again|next|continue|pending|page|more results|first)\b",
    re.IGNORECASE,
)
_FREE_TEXT = word_set(
    "query question text message input prompt request description topic search expression "
    "note content body subject reason"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about tools: calls to make, or a question to put to the person."""

    calls: tuple[tuple[str, str], ...] = ()  # name, JSON arguments
    question: str = ""


def plan_calls(request: ChatRequest, prompt: Prompt) -> Plan:
    """Decide which tools to call now.

    Raises:
        BadRequest: ``tool_choice`` names a tool that was not given.
    """
    tools = read_tools(request)
    mode, forced, tools = read_choice(request.tool_choice, tools)
    if mode == "none" or (not tools and mode == "auto"):
        return Plan()
    if not tools:
        raise BadRequest("tool_choice needs tools to choose from", param="tool_choice")
    done = _Done(request.messages)
    if forced is not None:
        return Plan(((forced.name, _arguments(forced, prompt.turn, prompt, done)[0]),))
    plan = _plan(tools, prompt, done)
    if plan.calls and request.extra.get("parallel_tool_calls") is False:
        plan = Plan(plan.calls[:1])
    if mode == "required" and not plan.calls:
        best = max(tools, key=lambda tool: ToolMatcher(tools).score(tool, prompt.turn))
        return Plan(((best.name, _arguments(best, prompt.turn, prompt, done)[0]),))
    return plan


class _Done:
    """What has been called since the person last spoke, and what came back."""

    def __init__(self, messages: Sequence[Message]) -> None:
        last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
        self.results: list[str] = []
        self.arguments: dict[str, dict[str, Any]] = {}
        self.ended = False
        for message in messages[last + 1 :]:
            role = message.get("role")
            if role in {"tool", "function"}:
                self.results.append(message_content(message))
                self.ended = True
            elif role == "assistant":
                self.ended = False
                for call in message.get("tool_calls") or ():
                    function = call.get("function") if isinstance(call, Mapping) else None
                    if isinstance(function, Mapping):
                        self._note(str(function.get("name")), function.get("arguments"))
        self.earlier = "\n".join(
            message_content(m)
            for m in messages[: max(last, 0)]
            if m.get("role") in {"user", "tool", "assistant"}
        )

    def _note(self, name: str, arguments: Any) -> None:
        try:
            read = json.loads(arguments)
        except (TypeError, ValueError, RecursionError):
            read = None
        self.arguments[name] = read if isinstance(read, dict) else {}


def _plan(tools: list[Tool], prompt: Prompt, done: _Done) -> Plan:
    asked = _asked_by_result(tools, prompt, done) if done.results else None
    if asked is not None:
        return Plan((asked,))
    calls: list[tuple[str, str]] = []
    missing: tuple[Tool, list[str]] | None = None
    for tool, clause in _matching(tools, prompt, done):
        if tool.name in done.arguments:
            continue
        arguments, lacking = _arguments(tool, clause, prompt, done)
        if not lacking:
            calls.append((tool.name, arguments))
        elif (before := _prerequisite(tool, lacking, tools, prompt, done)) is not None:
            calls.append(before)
        else:
            missing = missing or (tool, lacking)
    if not calls and missing is not None and not done.results:
        tool, lacking = missing
        names = ", ".join(name.replace("_", " ") for name in lacking)
        return Plan(question=f"To call {tool.name} I need: {names}.")
    return Plan(tuple(dict.fromkeys(calls)))


def _matching(tools: Sequence[Tool], prompt: Prompt, done: _Done) -> list[tuple[Tool, str]]:
    """Return the tools that clauses of the request, or else the whole of it, ask for."""
    matcher = ToolMatcher(tools)
    chosen: dict[str, tuple[Tool, str]] = {}
    for clause in dict.fromkeys([*_clauses(prompt.turn), prompt.turn]):
        if chosen and clause == prompt.turn:
            break
        scores = [matcher.score(tool, clause) for tool in tools]
        best = tools[scores.index(max(scores))]
        if best.name in chosen or max(scores) < _LIKELY:
            continue
        if max(scores) >= _ENOUGH or _is_complete(best, clause, prompt, done):
            chosen[best.name] = (best, clause)
    return list(chosen.values())


def _is_complete(tool: Tool, clause: str, prompt: Prompt, done: _Done) -> bool:
    """Whether a likely tool's required arguments are all in the text, none of them free text."""
    named = [name for name in tool.required if not _is_free_text(name)]
    return bool(named) and not _arguments(tool, clause, prompt, done)[1]


def _clauses(turn: str) -> list[str]:
    """Split a request where it asks for one thing after another."""
    parts = [part.strip() for part in _CLAUSE.split(turn[:3_000]) if part.strip()]
    return parts[:8] if 1 < len(parts) <= 24 else [turn]


def _asked_by_result(tools: Sequence[Tool], prompt: Prompt, done: _Done) -> tuple[str, str] | None:
    """When the last result names a tool and asks for it, call it, even again."""
    if not done.ended:
        return None
    last = done.results[-1]
    for tool in tools:
        where = last.find(tool.name)
        if where < 0 or not re.search(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", last):
            continue
        around = last[max(0, where - 120) : where + len(tool.name) + 120]
        if _ASKS_FOR.search(around):
            asked = last[where + len(tool.name) : where + len(tool.name) + 300].split("\n")[0]
            arguments, _ = _arguments(
                tool, asked, prompt, done, before=done.arguments.get(tool.name)
            )
            return tool.name, arguments
    return None


def _prerequisite(
    tool: Tool, lacking: Sequence[str], tools: Sequence[Tool], prompt: Prompt, done: _Done
) -> tuple[str, str] | None:
    """Find a tool that can look up an argument nobody has given."""
    wanted = {stem(w) for name in lacking for w in name_words(name)} - {"id", "number", "name"}
    for other in tools:
        first = name_words(other.name)[:1]
        if (
            other.name == tool.name
            or other.name in done.arguments
            or not first
            or first[0] not in _FINDS
        ):
            continue
        if wanted & set(other.profile):
            arguments, needs = _arguments(other, prompt.turn, prompt, done)
            if not needs:
                return other.name, arguments
    return None


def _arguments(
    tool: Tool, clause: str, prompt: Prompt, done: _Done, before: Mapping[str, Any] | None = None
) -> tuple[str, list[str]]:
    """Fill a tool's arguments.

    The clause that asks for it comes first, then the whole turn, then results and earlier turns.
    A tool that is called again keeps the arguments it had ``before`` where nothing new is said.

    Returns:
        The arguments as JSON, and the required ones for which nothing was found.
    """
    if not tool.properties:
        return "{}", []
    asked = Prompt(question=clause, turn=clause, instruction=prompt.instruction)
    sources = [clause, prompt.turn, "\n".join(reversed(done.results)), done.earlier]
    lacking = list(tool.required)
    filled: dict[str, Any] = {}
    if before:
        changed = {**tool.parameters, "required": []}
        new = Filler(changed, Material(clause, asked)).fill()
        kept = (
            {k: v for k, v in new.items() if not _is_free_text(k)} if isinstance(new, dict) else {}
        )
        return json.dumps({**before, **kept}, ensure_ascii=False), []
    for source in dict.fromkeys(source for source in sources if source.strip()):
        if filled and not lacking:
            break
        text = flatten(source)
        schema = dict(tool.parameters)
        filler = Filler(schema, Material(text, asked))
        value = filler.fill()
        if not isinstance(value, dict):
            return dump(value), []
        absent = [name for name in filler.missing() if not _is_free_text(name)]
        for name, item in value.items():
            if (name not in filled or name in lacking) and (
                name not in absent or name not in filled
            ):
                filled[name] = item
        lacking = [name for name in lacking if name in absent]
    ordered = {name: filled[name] for name in [*tool.properties, *filled] if name in filled}
    return json.dumps(ordered, ensure_ascii=False), lacking


def _is_free_text(name: str) -> bool:
    own = name_words(name)
    return bool(own) and own[-1] in _FREE_TEXT
