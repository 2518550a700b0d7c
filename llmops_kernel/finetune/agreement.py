"""Where an engine and the trained model agree, and the first place where they part.

Works with the standard library alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIE = 0.05  # nats: a lead that rounding to 16 bits may already turn over
_SHOWN = 80  # characters of a text in a difference


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        name: ``template``, ``token_ids``, ``double_bos``, ``greedy_ids`` or ``greedy_text``.
        ok: Whether all prompts agree.
        agreed: Prompts that agree.
        prompts: Prompts compared.
        difference: The first difference, in words; "" without one.
    """

    name: str
    ok: bool
    agreed: int
    prompts: int
    difference: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "name": self.name, "ok": self.ok, "agreed": self.agreed, "prompts": self.prompts,
            "difference": self.difference,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parity:
    """What a comparison found.

    Attributes:
        engine: What answered.
        level: ``full``, ``greedy`` where an engine shows its answers alone, or ``file`` where no
            engine was there and the file was only read back.
        checks: The comparisons, cause before effect.
        facts: What was compared (file, quantisation).
    """

    engine: str
    level: Literal["full", "greedy", "file"]
    checks: tuple[Check, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return all(check.ok for check in self.checks)

    @property
    def first_difference(self) -> str:
        """The first check that failed and where; "" when all agree."""
        failed = next((check for check in self.checks if not check.ok), None)
        return f"{failed.name}: {failed.difference}" if failed else ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "ok": self.ok, "engine": self.engine, "level": self.level,
            "first_difference": self.first_difference,
            "checks": [check.as_dict() for check in self.checks], **self.facts,
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Write it as ``parity.json``."""
        text = json.dumps(self.as_dict(), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


class Tally:
    """Counts agreements and keeps the first difference.

    Args:
        name: The check's name.
    """

    def __init__(self, name: str) -> None:
        self._name, self._agreed, self._count, self._first = name, 0, 0, ""

    def add(self, difference: str) -> None:
        """Add a prompt; ``difference`` is empty where it agrees."""
        self._count += 1
        self._agreed += not difference
        self._first = self._first or difference

    def check(self) -> Check:
        """Return what was counted."""
        return Check(self._name, not self._first, self._agreed, self._count, self._first)


def ids_apart(
    prompt: int, wanted: Sequence[int], got: Sequence[int], leads: Sequence[float] | None = None
) -> str:
    """Return where two lists of token ids part, in words."""
    at = _parting(wanted, got)
    one = wanted[at] if at < len(wanted) else "the end"
    other = got[at] if at < len(got) else "the end"
    told = f"prompt {prompt}, token {at + 1}: {one} expected, {other} found"
    if leads is not None and at < len(leads):
        told += f"; it led the second by {leads[at]:.3f} nats"
        told += " (a tie, which rounding decides)" if leads[at] < TIE else ""
    return told


def texts_apart(prompt: int, wanted: str, got: str) -> str:
    """Return where two texts part, in words."""
    at = _parting(wanted, got)
    one, other = wanted[at : at + _SHOWN], got[at : at + _SHOWN]
    return f"prompt {prompt}, character {at + 1}: {one!r} expected, {other!r} found"


def _parting(wanted: Sequence[object], got: Sequence[object]) -> int:
    """Return the first place where two sequences differ; the shorter one's end if none does."""
    return next(
        (n for n, (one, other) in enumerate(zip(wanted, got, strict=False)) if one != other),
        min(len(wanted), len(got)),
    )
