"""Measuring the cache's decisions on labelled pairs: what would be served, and how much wrongly."""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.cache.semantic.evidence import Evidence
from llmops_kernel.cache.semantic.tiers import Tier, default_tiers
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from llmops_kernel.cache.semantic.verbatim import Decision

COLUMNS = ("a", "b", "label")
_LONGEST_FIELD = 1_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A cached text, a query, and whether the first one's answer is right for the second.

    Attributes:
        line: Where it came from: the line in its file (the header is line 1).
    """

    a: str
    b: str
    right: bool
    line: int = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Served:
    """A pair that a tier would serve."""

    pair: Pair
    tier: str
    reason: str


@dataclass(slots=True)
class TierCount:
    """What one tier did with the pairs that the tiers before it left.

    Attributes:
        decisions: How often it was asked.
        cpu_ns: CPU time of these decisions, the entry's own preparation not included.
    """

    name: str
    evidence: Evidence = field(default_factory=Evidence)
    decisions: int = 0
    cpu_ns: int = 0

    @property
    def right(self) -> int:
        """Hits whose answer was right."""
        return self.evidence.hits - self.evidence.errors


@dataclass(slots=True)
class Evaluation:
    """What the production decision did with labelled pairs.

    Attributes:
        tiers: By tier, in order.
        wrong: Pairs that were served though their answer differs.
        missed: Pairs that were not served though they could have been, by the last tier's reason.
        one_way: Pairs decided otherwise when their texts change places.
        bad_rows: Rows that could not be used.
    """

    pairs: int
    positives: int
    tiers: list[TierCount]
    wrong: list[Served]
    missed: dict[str, int]
    one_way: list[Pair]
    cpu_ns: int
    decisions: int
    bad_rows: list[BadRow]

    @property
    def evidence(self) -> Evidence:
        """Hits and errors of all tiers together."""
        return sum((tier.evidence for tier in self.tiers), Evidence())

    @property
    def recall(self) -> float | None:
        """Share of the pairs labelled 1 that were served; None without such pairs."""
        return self._share(self.evidence.hits - self.evidence.errors)

    def _share(self, right: int) -> float | None:
        return right / self.positives if self.positives else None

    def as_dict(self, target: float = 0.01) -> dict[str, Any]:
        """Return the figures; ``target`` is the bound on errors per hit they are held against."""
        evidence = self.evidence
        return {
            "pairs": self.pairs,
            "positives": self.positives,
            "negatives": self.pairs - self.positives,
            "hits": evidence.hits,
            "errors": evidence.errors,
            "errors_per_hit": evidence.interval.as_dict(),
            "recall": self.recall,
            "cpu_us_per_decision": _us(self.cpu_ns, self.decisions),
            "target": target,
            "verdict": str(evidence.verdict(target)),
            "tiers": [
                {
                    "tier": tier.name,
                    "hits": tier.evidence.hits,
                    "errors": tier.evidence.errors,
                    "errors_per_hit": tier.evidence.interval.as_dict(),
                    "recall": self._share(tier.right),
                    "cpu_us_per_decision": _us(tier.cpu_ns, tier.decisions),
                }
                for tier in self.tiers
            ],
            "wrong": [
                {"line": served.pair.line, "tier": served.tier, "reason": served.reason}
                for served in self.wrong
            ],
            "missed": dict(sorted(self.missed.items(), key=lambda item: (-item[1], item[0]))),
            "one_way": [pair.line for pair in self.one_way],
            "bad_rows": {
                "count": len(self.bad_rows),
                "rows": [{"line": row.line, "why": row.why} for row in self.bad_rows],
            },
        }


def evaluate(
    pairs: Iterable[Pair],
    tiers: Sequence[Tier] | None = None,
    bad_rows: Sequence[BadRow] = (),
) -> Evaluation:
    """Run the production decision on every pair, in both directions.

    The label speaks of serving a's answer for b, so hits and errors are counted in that direction;
    the other one shows whether the decision depends on which text came first.

    Args:
        pairs: Labelled pairs.
        tiers: In order; the first that serves a pair has its hit. Default: `default_tiers`.
        bad_rows: Rows that were left out before, to be reported along.
    """
    asked = default_tiers() if tiers is None else tiers
    result = Evaluation(
        0, 0, [TierCount(tier.name) for tier in asked], [], {}, [], 0, 0, [*bad_rows]
    )
    for pair in pairs:
        result.pairs += 1
        result.positives += pair.right
        forth = _decide(asked, result, pair.a, pair.b)
        back = _decide(asked, result, pair.b, pair.a)
        if (forth[0] is None) != (back[0] is None):
            result.one_way.append(pair)
        _count(result, pair, *forth)
    return result


def read_pairs(path: Path) -> tuple[list[Pair], list[BadRow]]:
    """Read a CSV file with the columns a, b and label; further columns are ignored.

    Raises:
        UsageProblem: It cannot be read, is no UTF-8, or has not these columns.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageProblem(
            "The file of pairs cannot be read", detail=f"{path}: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise UsageProblem("The file of pairs is not UTF-8", detail=str(path)) from None
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.DictReader(text.splitlines(keepends=True))
    try:
        names = [name.strip().lower() for name in rows.fieldnames or ()]
    except csv.Error as error:
        raise UsageProblem("The file of pairs is no CSV", detail=f"{path}: {error}") from None
    if missing := [name for name in COLUMNS if name not in names]:
        raise UsageProblem(
            "The file of pairs lacks a column", detail=f"{path} has no {', '.join(missing)}",
            hint="Its columns are a, b and label; 1 means that a's answer is right for b",
        )  # fmt: skip
    rows.fieldnames = names
    pairs: list[Pair] = []
    bad: list[BadRow] = []
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return pairs, bad
        except csv.Error as error:
            bad.append(BadRow(line, f"no CSV: {error}"))
            continue
        read = _pair(row, line)
        if isinstance(read, Pair):
            pairs.append(read)
        else:
            bad.append(read)


def _pair(row: dict[str, Any], line: int) -> Pair | BadRow:
    a, b, label = (row.get(name) for name in COLUMNS)
    if a is None or b is None or label is None or None in row:
        return BadRow(line, "it has not as many fields as the header")
    if not a.strip() or not b.strip():
        return BadRow(line, "a text is empty")
    if label.strip() not in ("0", "1"):
        return BadRow(line, "its label is neither 0 nor 1")
    return Pair(a, b, label.strip() == "1", line)


def _decide(
    tiers: Sequence[Tier], result: Evaluation, cached: str, query: str
) -> tuple[int | None, Decision | None]:
    decision: Decision | None = None
    result.decisions += 1
    for number, tier in enumerate(tiers):
        entry = tier.entry(cached)
        began = time.thread_time_ns()
        decision = tier.decide(entry, query)
        spent = time.thread_time_ns() - began
        result.tiers[number].decisions += 1
        result.tiers[number].cpu_ns += spent
        result.cpu_ns += spent
        if decision.same:
            return number, decision
    return None, decision


def _count(result: Evaluation, pair: Pair, number: int | None, decision: Decision | None) -> None:
    reason = "" if decision is None else decision.reason
    if number is None:
        if pair.right:
            result.missed[reason] = result.missed.get(reason, 0) + 1
        return
    tier = result.tiers[number]
    tier.evidence = tier.evidence.with_hit(pair.right)
    if not pair.right:
        result.wrong.append(Served(pair, tier.name, reason))


def _us(nanoseconds: int, decisions: int) -> float | None:
    return round(nanoseconds / 1_000 / decisions, 2) if decisions else None
