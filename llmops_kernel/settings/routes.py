"""How calls to ``route/NAME`` find their model."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from llmops_kernel.settings.base import Frozen


class RuleSettings(Frozen):
    """One rule of a route: where every condition that is given holds, the model is chosen.

    Attributes:
        model: A model, an alias or another route (``route/NAME``).
        purpose: What the call is for: ``ask``, ``rag``, ``judge``, ``agent`` or ``external``.
        tenant: Whose call it is; one of these.
        user: Who calls; one of these.
        min_tokens: Input tokens at least (counted as for prices that are not known exactly).
        max_tokens: Input tokens at most.
        min_messages: Messages at least: what came before counts.
        tools: Whether tools are offered.
        structured: Whether JSON is asked for.
        images: Whether there are images or sound.
        pattern: A regular expression that is searched for in the last text of the user, without
            regard to case.
    """

    model: Annotated[str, Field(min_length=1)]
    purpose: tuple[Literal["ask", "rag", "judge", "agent", "external"], ...] = ()
    tenant: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    min_messages: Annotated[int, Field(ge=1)] | None = None
    tools: bool | None = None
    structured: bool | None = None
    images: bool | None = None
    pattern: str = ""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


class RouteSettings(Frozen):
    """How calls to ``route/NAME`` find their model.

    Attributes:
        kind: ``rules`` takes the first rule that holds; ``cascade`` asks the cheapest model and
            goes on to the next where a check does not hold; ``fallback`` goes on where a provider
            fails; ``learned`` and ``intent`` decide by what `llmops route learn` has found.
        model: The model where no rule holds.
        rules: The rules, in order.
        models: The models of a cascade or a fallback, in order.
        small: The model for what is simple, in place of what was learned with.
        large: The model for everything else, likewise.
        checks: What an answer of a cascade must hold, such as ``refusal``, ``json``, ``length:20``,
            ``support:0.5``, ``logprob:-0.7``, ``agreement:0.6``.
        file: Where a learned route is, if not among the user's own data.
    """

    kind: Literal["rules", "cascade", "fallback", "learned", "intent"]
    model: str = ""
    rules: tuple[RuleSettings, ...] = ()
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    small: str = ""
    large: str = ""
    checks: tuple[str, ...] = ("finished", "refusal", "json", "length:1")
    file: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "rules" and not self.model:
            raise ValueError("a route of rules needs model, for calls that no rule is about")
        if self.kind in ("cascade", "fallback") and len(self.models) < 2:
            raise ValueError(f"a {self.kind} needs models: two or more, the first one first")
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model stands in models twice")
        return self
