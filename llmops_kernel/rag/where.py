"""Which chunks a search may see: a tenant's wall, and conditions on metadata."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.documents import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmops_kernel.rag.documents import Value

Op = Literal["==", "!=", ">", ">=", "<", "<=", "in"]
_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_CONDITION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(==|!=|>=|<=|=|>|<|\bin\b)\s*(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a metadata field; a chunk without the field does not meet it.

    For ``in``, ``value`` is a tuple of values.
    """

    field: str
    op: Op
    value: Value | tuple[Value, ...]

    def holds(self, facts: Mapping[str, Value]) -> bool:
        """Return whether a chunk's facts meet the condition."""
        if self.field not in facts:
            return False
        own = facts[self.field]
        if self.op == "in":
            assert isinstance(self.value, tuple)
            return own in self.value
        try:
            return _OPS[self.op](own, self.value)
        except TypeError:  # "2024" < 7: of different kinds, so not met
            return False


@dataclass(frozen=True, slots=True)
class Where:
    """What a search may see.

    Attributes:
        tenant: Shows the documents of this tenant and the shared ones, and no others. There is no
            value that shows all: the wall cannot be left out by mistake.
        conditions: All must hold.
    """

    tenant: str = SHARED
    conditions: tuple[Condition, ...] = ()

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants whose documents are seen."""
        return (SHARED,) if self.tenant == SHARED else (SHARED, self.tenant)

    def holds(self, facts: Mapping[str, Value]) -> bool:
        """Return whether a chunk with these facts may be seen."""
        return facts.get("tenant", SHARED) in self.tenants and all(
            condition.holds(facts) for condition in self.conditions
        )


def parse_condition(text: str) -> Condition:
    """Read ``version=2026``, ``page >= 3`` or ``kind in fees,limits``.

    Raises:
        UsageProblem: It is no condition.
    """
    match = _CONDITION.match(text)
    if match is None or not match[3]:
        raise UsageProblem(
            f"{text!r} is not a filter", hint="Write field=value, field>=value or field in a,b"
        )
    name, op, value = match.groups()
    if op == "in":
        return Condition(name, "in", tuple(_value(part.strip()) for part in value.split(",")))
    return Condition(name, "==" if op == "=" else op, _value(value))  # type: ignore[arg-type]


def _value(text: str) -> Value:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
