"""What a library's process wrote, a score a line, made into `Score`s."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import BudgetExceeded, CallRefused, LoopDetected, SpendingStopped
from llmops_kernel.judge.scores import Score

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llmops_kernel.judge.scores import Unscored

# The markers of refusals for money, which the door's messages end in; see errors.py.
_REFUSED = tuple(
    f"[llmops:{kind.code}]" for kind in (CallRefused, BudgetExceeded, SpendingStopped, LoopDetected)
)


@dataclass(slots=True)
class Found:
    """Scores by sample and metric.

    Attributes:
        library: The library's name.
        by_key: Value, or None with the reason, by sample id and metric.
        budget: Why the run ended early for money; "" if it did not.
        note: What a person should know of lines that made no sense.
    """

    library: str
    by_key: dict[tuple[str, str], tuple[float | None, Unscored | None, str]] = field(
        default_factory=dict
    )
    budget: str = ""
    note: str = ""

    def score(
        self,
        sample_id: str,
        metric: str,
        *,
        judge: str,
        fingerprint: str,
        lacking: tuple[str, ...],
        ended: str,
    ) -> Score:
        """Return the score of a sample, or why there is none."""
        value, unscored, reason = self.by_key.get(
            (sample_id, metric), (None, "error", ended or "the library said nothing of it")
        )
        if lacking:
            value, unscored, reason = None, "missing_field", f"{', '.join(lacking)} missing"
        return Score(
            sample_id,
            f"{self.library}:{metric}",
            judge,
            value,
            unscored,
            reason=reason,
            fingerprint=fingerprint,
        )


def read_scores(text: str, library: str, wanted: Collection[tuple[str, str]]) -> Found:
    """Read the lines; a torn or foreign one is counted and left out."""
    found = Found(library)
    strange = 0
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            key = (entry["id"], entry["metric"])
        except (ValueError, KeyError, TypeError):
            strange += 1
            continue
        if key not in wanted:
            strange += 1
            continue
        found.by_key[key] = told = _told(entry)
        if told[1] == "budget":
            found.budget = told[2]
    if strange:
        found.note = f"{strange} lines of {library} could not be read"
    return found


def _told(entry: Mapping[str, Any]) -> tuple[float | None, Unscored | None, str]:
    reason = str(entry.get("reason") or "")[:500]
    if error := entry.get("error"):
        refused = any(marker in str(error) for marker in _REFUSED)
        kind: Unscored = "budget" if refused else "error"
        return None, kind, str(error)[:500]
    value = entry.get("value")
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
        return None, "parse", reason or "the library gave no number"
    if not 0 <= value <= 1:
        # TruLens writes -1 where its parser failed, and a mean would take it for a score.
        return None, "parse", f"the library gave {value}, which is no share"
    return float(value), None, reason
