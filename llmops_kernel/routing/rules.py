"""The first rule that holds names the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.routing.asked import has_media, last_text, wants_json
from llmops_kernel.routing.router import Decision, OneLeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.calls import CallContext, ChatRequest
    from llmops_kernel.settings import RouteSettings, RuleSettings

# What a request has, by the words that a reason says it with.
_HAS: dict[str, Callable[[ChatRequest], bool]] = {
    "tools": lambda request: bool(request.tools),
    "structured output": wants_json,
    "images": has_media,
}
_MOST_SEARCHED = 20_000  # characters that a pattern is searched for in


class Rules(OneLeg):
    """A route of rules.

    Args:
        settings: The rules, and the model for calls that none is about.
        count: Returns the likely input tokens of a request; asked only by rules about length.
    """

    kind = "rules"

    def __init__(self, settings: RouteSettings, count: Callable[[ChatRequest], int]) -> None:
        self._default = settings.model
        self._rules = settings.rules
        self._count = count
        self.models = tuple(
            dict.fromkeys([*(rule.model for rule in settings.rules), settings.model])
        )

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:
        """Return the model of the first rule that holds, or the default one."""
        seen = _Seen(request, context, self._count)
        for number, rule in enumerate(self._rules, start=1):
            held = seen.why(rule)
            if held is not None:
                return Decision(rule.model, f"rule {number}: {held or 'always'}")
        return Decision(self._default, "no rule holds")


class _Seen:
    """A request, looked at as far as rules ask."""

    def __init__(
        self, request: ChatRequest, context: CallContext, count: Callable[[ChatRequest], int]
    ) -> None:
        self._request = request
        self._context = context
        self._count = count
        self._tokens: int | None = None

    def why(self, rule: RuleSettings) -> str | None:
        """Return in words what held; None if a condition does not."""
        request, context = self._request, self._context
        said: list[str] = []
        for name, allowed, value in (
            ("purpose", rule.purpose, context.purpose),
            ("tenant", rule.tenant, context.tenant),
            ("user", rule.user, context.user),
        ):
            if allowed:
                if value not in allowed:
                    return None
                said.append(name)
        for name, want in (
            ("tools", rule.tools),
            ("structured output", rule.structured),
            ("images", rule.images),
        ):
            if want is not None:
                if _HAS[name](request) != want:
                    return None
                said.append(name if want else f"no {name}")
        if rule.min_messages is not None:
            if len(request.messages) < rule.min_messages:
                return None
            said.append(f"at least {rule.min_messages} messages")
        length = self._length(rule)
        if length is None or (rule.pattern and not self._found(rule.pattern)):
            return None
        said += [length] if length else []
        said += ["pattern"] if rule.pattern else []
        return ", ".join(said)

    def _length(self, rule: RuleSettings) -> str | None:
        least, most = rule.min_tokens, rule.max_tokens
        if least is None and most is None:
            return ""
        if self._tokens is None:
            self._tokens = self._count(self._request)
        if (least is not None and self._tokens < least) or (
            most is not None and self._tokens > most
        ):
            return None
        if least is None:
            return f"at most {most} tokens"
        return f"at least {least} tokens" if most is None else f"{least} to {most} tokens"

    def _found(self, pattern: str) -> bool:
        text = last_text(self._request)[:_MOST_SEARCHED]
        return re.search(pattern, text, re.IGNORECASE) is not None
