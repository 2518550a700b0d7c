"""Scores tools against what is asked."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.text import GROUPS, content_stems, stem
from llmops_kernel.calls.offline.language.values import find_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.calling.tools import Tool


class ToolMatcher:
    """Scores tools against a request; what all tools share counts little."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._count = len(tools)
        self._frequency = Counter(one for tool in tools for one in tool.profile)
        self._groups = {
            tool.name: {g: w for one, w in tool.profile.items() for g in GROUPS.get(one, ())}
            for tool in tools
        }

    def _rarity(self, one: str) -> float:
        return (
            1.0 / (1.0 + math.log(max(1, self._frequency.get(one, 1)))) if self._count > 1 else 1.0
        )

    def score(self, tool: Tool, text: str) -> float:
        """Return about 1 and more when the text asks for the tool."""
        stems = set(dict.fromkeys(content_stems(text[:2_000])))
        total = 0.0
        for one in sorted(stems):
            weight = tool.profile.get(one, 0.0) * self._rarity(one)
            if not weight:
                groups = GROUPS.get(one, ())
                weight = 0.6 * max(
                    (self._groups[tool.name].get(g, 0.0) for g in groups), default=0.0
                )
            if not weight and len(one) >= 5:
                weight = 0.5 * max(
                    (w for other, w in tool.profile.items() if other[:5] == one[:5]), default=0.0
                )
            total += weight
        if any(mark in text for mark in "+-*/\u00d7÷"):
            total += _reckons(tool, text)
        if re.search(rf"\b{re.escape(tool.name)}\b", text):
            total += 2.0
        return total


def _reckons(tool: Tool, text: str) -> float:
    """Return 1 when the text holds arithmetic that the tool is there for."""
    sums = [v.text for v in find_values(text[:2_000], frozenset({"expression"}))]
    if not sums:
        return 0.0
    if "calculat" in tool.name.lower() or "expression" in tool.properties:
        return 1.0
    meant = {
        stem(w) for mark, names in _OPERATORS.items() if mark in sums[0] for w in names.split()
    }
    return 1.0 if meant & set(tool.profile) else 0.0


_OPERATORS = {
    "+": "add sum plus addition", "-": "subtract minus difference subtraction",
    "*": "multiply product times multiplication", "\u00d7": "multiply product times multiplication",
    "/": "divide division quotient", "÷": "divide division quotient",
}  # fmt: skip
