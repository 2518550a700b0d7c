"""What an agent did: the right tools, and the goal."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.judge.metrics.base import Ask, Finding, Metric, digest
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task
from llmops_kernel.judge.scores import Verdict

if TYPE_CHECKING:
    from llmops_kernel.judge.samples import Sample

CALLED = "tool_calls"
WANTED = "reference_tool_calls"


@dataclass(frozen=True)
class ToolCorrectness(Metric):
    """F1 of the tool calls that were made and those that were expected; no call of a model.

    Calls are ``{"name": ..., "args": {...}}`` (also OpenAI's shape, also names alone) in the
    fields ``tool_calls`` and ``reference_tool_calls``; order does not count, repeats do. An
    expected call without arguments is met by any.

    Attributes:
        names_only: Leave arguments out of the comparison.
    """

    names_only: bool = False

    needs = (WANTED,)

    @property
    def name(self) -> str:
        """``tool_correctness``, or ``tool_correctness[names]``."""
        return "tool_correctness[names]" if self.names_only else "tool_correctness"

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Match the calls."""
        made = [_call(each) for each in sample.extra.get(CALLED) or ()]
        wanted = [_call(each) for each in sample.extra[WANTED]]
        left = list(made)
        verdicts = []
        for name, args in sorted(wanted, key=lambda call: call[1] is None):
            match = next((c for c in left if self._same(c, (name, args))), None)
            if match is not None:
                left.remove(match)
            verdicts.append(Verdict(name, "called" if match is not None else "not_called"))
        met = sum(verdict.verdict == "called" for verdict in verdicts)
        verdicts += [Verdict(name, "not_expected") for name, _ in left]
        return self.found(2 * met / (len(made) + len(wanted)), verdicts=tuple(verdicts))

    def _same(self, made: tuple[str, Any], wanted: tuple[str, Any]) -> bool:
        if made[0] != wanted[0]:
            return False
        return self.names_only or wanted[1] is None or made[1] == wanted[1]


@dataclass(frozen=True)
class Goal(Metric):
    """1 if the person's goal was reached, else 0; one call."""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.GOAL,)
    needs = ("user_input", "response")

    @property
    def name(self) -> str:
        """``goal``."""
        return "goal"

    def seen(self, sample: Sample) -> str:
        """Return a hash of the tool calls."""
        return digest(sample.extra.get(CALLED))

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        parts = [("question", sample.user_input)]
        if calls := sample.extra.get(CALLED):
            parts.append(("tools", "\n".join(f"{name} {args or ''}" for name, args in
                                             map(_call, calls))))  # fmt: skip
        if sample.reference.strip():
            parts.append(("reference", sample.reference))
        return (Task(texts.GOAL, (*parts, ("response", sample.response))),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask whether it was reached."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        return self.found(float(ruling.data["reached"]), reason=ruling.data["reason"])


def _call(given: Any) -> tuple[str, Any]:
    """Return name and arguments of a tool call in any of its shapes."""
    if not isinstance(given, Mapping):
        return str(given), None
    inner = given.get("function")
    call = inner if isinstance(inner, Mapping) else given
    args = next((call[key] for key in ("args", "arguments", "input") if key in call), None)
    if isinstance(args, str):
        import json

        with contextlib.suppress(ValueError):
            args = json.loads(args)
    return str(call.get("name", "")), args
