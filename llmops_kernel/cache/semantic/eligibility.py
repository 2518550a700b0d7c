"""Which requests may be answered with another text's answer at all.

A reused answer must depend on nothing but its question: not on who asks, on when, on a tool's
state or on what was said before. Such requests may still be served by the exact cache.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_kernel.cache.semantic.verbatim.spelling import spelled_out

HOTTEST = 1.0
"""Above this temperature people ask for different answers to the same question."""
LONGEST = 4_000
"""Characters of a text that is looked at; longer ones are documents, not questions."""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a request may be served by similarity, and why not."""

    ok: bool
    reason: str


_YES = Eligibility(True, "a question of its own")
_TIME = re.compile(
    r"\b(?:today|todays|tonight|tomorrow|tomorrows|yesterday|yesterdays|now|nowadays|currently|"
    r"presently|latest|newest|recent|recently|lately|news|headlines|weather|forecast|"
    r"at (?:the|this) moment|at present|so far|up to date|live score|"
    r"as of|real[- ]?time|what time is it|"
    r"(?:what(?:'s| is)|tell me|know) the time(?! (?:to|for|it|of|i|when|that)\b)|"
    r"what(?:'s| is) the date|what day is it|how old am i|"
    r"(?:this|last|past|coming|next) (?:second|minute|hour|morning|afternoon|evening|night|week|"
    r"weekend|month|quarter|year|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|"
    r"february|march|april|may|june|july|august|september|october|november|december|"
    r"(?:few |couple of |\d+ )(?:hours|days|weeks|months))|"
    r"current(?! accounts?\b))\b",
    re.IGNORECASE,
)
_HOLDINGS = (
    r"(?:\w+ )?(?:balances?|statements?|transactions?(?! fees?)|spending|spendings|expenses|"
    r"salary|income|savings|debts?|credit score|score|portfolio|password|passcode|pin|"
    r"social security|"
    r"birthday|name|address|email|phone number|date of birth|medical|diagnosis|"
    r"appointments?|calendar|"
    r"schedule|meetings?|reservations?|reminders?|to[- ]?do list|shopping list|alarms?|playlist|"
    r"location|flights?|bookings?)"
)
_PERSONAL = re.compile(
    rf"\b(?:what|whats|how much|how many|how high|how low|show|tell|give|read|list|display|see)\b"
    rf"[^.?!]{{0,40}}\b(?:my|our) {_HOLDINGS}\b"
    r"|\bmy (?:name|address|email|password|passcode|pin|number|birthday|date of birth|ssn|iban|"
    r"account number|card number|social security number)(?: \w+)? (?:is|was|are)\b"
    r"|\bi am called\b|\bmy name'?s\b"
    r"|\bhow (?:much|many)\b[^.?!]{0,40}\b(?:do|did|have) (?:i|we) "
    r"(?:have|had|own|owe|owed|spend|spent|earn|earned|got|left|save|saved)\b"
    r"|\b(?:where|when) (?:is|are|will|was) my (?:order|package|parcel|delivery|flight|shipment)\b"
    r"|\bwhat did i\b|\bwho am i\b|\bwhere am i\b|\bdo i (?:have|owe) (?:any|enough|a)\b",
    re.IGNORECASE,
)
_TELEPHONE = re.compile(r"(?<![\w.])\+\d[\d ().-]{7,}\d|\(?(?<!\d)\d{3}\)?[ -]\d{3}-\d{4}(?!\d)")
_IDENTIFIES = (
    ("an e-mail address", re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")),
    ("an account number", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,4})?\b")),
    ("a card number", re.compile(r"(?<![\d-])[2-6](?:[ -]?\d){12,18}(?!\d)")),
    ("a social security number", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")),
    ("a telephone number", _TELEPHONE),
)  # fmt: skip
_TOOL_FIELDS = ("tool_calls", "function_call", "tool_call_id", "audio", "refusal")


def eligible(
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Any] = (),
    temperature: float | None = None,
    n: int = 1,
) -> Eligibility:
    """Tell whether a chat request may be served by similarity.

    Args:
        messages: In OpenAI's form.
        tools: What the request lets the model call.
        temperature: As requested; None is the provider's default.
        n: How many choices are wanted.
    """
    if tools:
        return Eligibility(False, "it has tools")
    if n != 1:
        return Eligibility(False, "it wants several answers")
    if temperature is not None and temperature > HOTTEST:
        return Eligibility(False, "its temperature asks for variety")
    if any(message.get(name) for message in messages for name in _TOOL_FIELDS):
        return Eligibility(False, "it has tools")
    asked = [message for message in messages if message.get("role") not in ("system", "developer")]
    if any(message.get("role") in ("tool", "function") for message in asked):
        return Eligibility(False, "it has tools")
    if len(asked) > 1:
        return Eligibility(False, "it has several turns")
    if not asked or asked[0].get("role") != "user" or messages[-1] is not asked[0]:
        return Eligibility(False, "it does not end in a question of the user")
    text = _text(asked[0].get("content"))
    if text is None:
        return Eligibility(False, "it holds more than text")
    return eligible_text(text)


def eligible_text(text: str) -> Eligibility:
    """Tell whether a question's text, taken alone, may be served by similarity."""
    if not text.strip():
        return Eligibility(False, "it has no text")
    if len(text) > LONGEST:
        return Eligibility(False, "it is a long text")
    for what, shape in _IDENTIFIES:
        if (found := shape.search(text)) and (what != "a card number" or _checks(found[0])):
            return Eligibility(False, f"it is personal: {what}")
    plain = _plain(text)
    if _TIME.search(plain):
        return Eligibility(False, "it depends on the time")
    if _PERSONAL.search(plain):
        return Eligibility(False, "it is personal")
    return _YES


def _checks(number: str) -> bool:
    """Tell whether the last digit is the check digit that card numbers have (Luhn)."""
    digits = [int(char) for char in number if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _plain(text: str) -> str:
    words = text.translate(str.maketrans("\u2019\u2018", "''")).lower().split()
    return " ".join(" ".join(spelled_out(word)) if "'" in word else word for word in words)


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    parts: list[str] = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text":
            return None
        parts.append(str(part.get("text", "")))
    return "\n".join(parts)
