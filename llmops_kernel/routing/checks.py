"""What an answer of a cascade's smaller model must hold to be served.

A check takes the request and how the call ended, and returns in words why the answer is not good
enough, or "". It quotes nothing of either: what it says is recorded even where content is not.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from llmops_kernel.errors import SettingsError, nearest
from llmops_kernel.routing.asked import schema_of, wants_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmops_kernel.calls import ChatRequest, Outcome

    Support = Callable[[str, Sequence[str]], float | None]

_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|afraid|unable|not (?:able|sure|certain))"
    r"|i (?:cannot|can't|can not|do not|don't|could not|couldn't) "
    r"(?:know|answer|help|assist|find|say|tell|provide|determine)"
    r"|as an ai\b|(?:not|in)?sufficient information|no information (?:about|on|is)"
    r"|(?:is|are|was) not (?:mentioned|specified|provided|stated))",
    re.IGNORECASE,
)
_HEAD = 400  # characters in which a refusal is said, if it is one
_DOCUMENT = re.compile(r"<document\b[^>\n]*>\n(.*?)\n</document>", re.DOTALL)
_THINGS = re.compile(r"\W+")


class Check(Protocol):
    """Says why an answer is not good enough; "" if it is."""

    def __call__(self, request: ChatRequest, outcome: Outcome) -> str:
        """Return why not, in words; "" to serve the answer."""
        ...


def finished(request: ChatRequest, outcome: Outcome) -> str:  # noqa: ARG001
    """Refuse an answer that broke off or was cut at its bound."""
    if outcome.ending != "complete":
        return "the answer broke off"
    return "the answer reached its bound" if outcome.reply.finish_reason == "length" else ""


def refusal(request: ChatRequest, outcome: Outcome) -> str:  # noqa: ARG001
    """Refuse an answer that says it cannot answer; an offer of tool calls is none."""
    said = outcome.reply
    if said.tool_calls:
        return ""
    message: Mapping[str, Any] = said.choices[0].get("message") or {} if said.choices else {}
    if message.get("refusal") or said.finish_reason == "content_filter":
        return "the answer is a refusal"
    return "the answer is a refusal" if _REFUSAL.search(said.text[:_HEAD]) else ""


def valid_json(request: ChatRequest, outcome: Outcome) -> str:
    """Refuse what is no JSON, or does not match the schema, where JSON was asked for."""
    if not wants_json(request) or outcome.reply.tool_calls:
        return ""
    try:
        data = json.loads(outcome.reply.text)
    except ValueError:
        return "the answer is no JSON"
    schema = schema_of(request)
    if schema is None:
        return ""
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError

    kind = validators.validator_for(schema)
    try:
        kind.check_schema(schema)
        matches = not any(True for _ in kind(schema).iter_errors(data))
    except (SchemaError, RecursionError):  # not the answer's fault: whoever asked will see
        return ""
    return "" if matches else "the answer does not match its schema"


def length(least: float) -> Check:
    """Refuse an answer of fewer characters; an offer of tool calls has any length."""

    def check(request: ChatRequest, outcome: Outcome) -> str:  # noqa: ARG001
        reply = outcome.reply
        if reply.tool_calls or len(reply.text.strip()) >= least:
            return ""
        return f"the answer has fewer than {least:g} characters"

    return check


def logprob(least: float) -> Check:
    """Refuse an answer whose tokens are less likely on average, where the provider says so."""

    def check(request: ChatRequest, outcome: Outcome) -> str:  # noqa: ARG001
        values = list(_logprobs(outcome))
        if not values or math.fsum(values) / len(values) >= least:
            return ""
        return f"the mean log probability is below {least:g}"

    return check


def agreement(least: float) -> Check:
    """Refuse an answer that too few of several choices share, where several were asked for.

    Self-consistency (Wang et al., 2022), by the same words in the same order.
    """

    def check(request: ChatRequest, outcome: Outcome) -> str:  # noqa: ARG001
        texts = [_plain(choice) for choice in outcome.reply.choices]
        if len(texts) < 2 or Counter(texts).most_common(1)[0][1] / len(texts) >= least:
            return ""
        return f"fewer than {least:.0%} of the choices agree"

    return check


def support(least: float, measure: Support) -> Check:
    """Refuse an answer whose words the passages of the request do not hold, where it has any.

    Args:
        least: The least share (0 to 1).
        measure: Returns the share of an answer that passages support; None if it says nothing.
    """

    def check(request: ChatRequest, outcome: Outcome) -> str:
        passages = _DOCUMENT.findall(request.text)
        if not passages or outcome.reply.tool_calls:
            return ""
        found = measure(outcome.reply.text, passages)
        if found is None or found >= least:
            return ""
        return f"less than {least:.0%} of the answer is in the passages"

    return check


_PLAIN: dict[str, Check] = {"finished": finished, "refusal": refusal, "json": valid_json}
_BOUNDED: dict[str, Callable[[float], Check]] = {
    "length": length,
    "logprob": logprob,
    "agreement": agreement,
}
_NAMES = (*_PLAIN, *(f"{name}:NUMBER" for name in (*_BOUNDED, "support")))


def checks_of(names: Sequence[str], measure: Support | None = None) -> list[Check]:
    """Return checks by their names: ``refusal``, ``length:20``, ``support:0.5``, ...

    Args:
        names: The names, with a number after a colon where one is needed.
        measure: What `support` measures with.

    Raises:
        SettingsError: There is no such check, or its number is missing or none.
    """
    return [_check(name, measure) for name in names]


def _check(name: str, measure: Support | None) -> Check:
    head, colon, text = name.partition(":")
    if not colon and head in _PLAIN:
        return _PLAIN[head]
    if head not in _BOUNDED and head != "support":
        raise SettingsError(
            f"There is no check {name!r}{nearest(head, [*_PLAIN, *_BOUNDED, 'support'])}",
            hint=f"Checks: {', '.join(_NAMES)}",
        )
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise SettingsError(
            f"The check {head} needs a number", detail=f"got {name!r}", hint=f"{head}:0.5"
        )
    if head in _BOUNDED:
        return _BOUNDED[head](bound)
    if measure is None:
        raise SettingsError("Support cannot be measured here", hint="Leave out the check support")
    return support(bound, measure)


def _logprobs(outcome: Outcome) -> Iterator[float]:
    choice: Mapping[str, Any] = outcome.reply.choices[0] if outcome.reply.choices else {}
    for item in (choice.get("logprobs") or {}).get("content") or ():
        value = item.get("logprob")
        if isinstance(value, int | float):
            yield float(value)


def _plain(choice: Mapping[str, Any]) -> str:
    message = choice.get("message") or {}
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    called = json.dumps(
        [call.get("function") for call in message.get("tool_calls") or ()], sort_keys=True
    )
    return " ".join(_THINGS.split(text.casefold())).strip() + called
