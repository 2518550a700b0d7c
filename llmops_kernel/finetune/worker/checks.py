"""What the pre-flight finds: one state, one sentence, figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["ok", "warn", "stop"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: What was looked at.
        state: ``ok``, ``warn`` or ``stop``.
        said: What was found, in one stable sentence.
        detail: Figures.
        hint: What to do about it.
        fatal: Whether it stops the run even where warnings were asked for.
    """

    name: str
    state: State
    said: str
    detail: str = ""
    hint: str = ""
    fatal: bool = False

    def plain(self) -> dict[str, Any]:
        """Return the check as JSON-like data."""
        return asdict(self)


@dataclass(slots=True)
class Preflight:
    """All checks of a run.

    Attributes:
        checks: In order.
        figures: What else was measured, for records.
        view: Rows as tokens with what is learnt, to be shown.
    """

    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    view: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, name: str, state: State, said: str, *, detail: str = "", hint: str = "",
        fatal: bool = False,
    ) -> None:  # fmt: skip
        """Add a check."""
        self.checks.append(Check(name, state, said, detail, hint, fatal))

    def stops(self, on_fail: str) -> list[Check]:
        """Return the checks that keep the run from starting."""
        stops = [check for check in self.checks if check.state == "stop"]
        return stops if on_fail == "stop" else [check for check in stops if check.fatal]

    def plain(self, on_fail: str) -> dict[str, Any]:
        """Return everything as JSON-like data."""
        states = {check.state for check in self.checks}
        verdict = "stop" if self.stops(on_fail) else "warn" if states - {"ok"} else "ok"
        return {
            "verdict": verdict,
            "checks": [check.plain() for check in self.checks],
            "figures": self.figures,
            "view": self.view,
        }
