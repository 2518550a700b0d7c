"""Selects the sentences that stand for a whole text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.answering.rank import Sentence, SentenceIndex


def summarise(
    index: SentenceIndex, count: int, focus: Sequence[str] = (), skip: int = 0
) -> list[Sentence]:
    """Select the sentences that carry most of a text's frequent content, in text order.

    Frequent stems make a sentence central; once used they count less, so that the summary does
    not say the same thing twice (SumBasic, Nenkova and Vanderwende 2005).
    """
    pool = [s for s in index.sentences if s.stems and not s.is_heading and not s.is_question]
    pool = pool or [s for s in index.sentences if s.stems]
    frequency = Counter(one for s in pool for one in s.stems)
    total = sum(frequency.values()) or 1
    weight = {one: n / total for one, n in frequency.items()}
    for one in focus:
        if one in weight:
            weight[one] *= 4
    first_of = {
        min((s.index for s in pool if s.passage == p), default=-1)
        for p in {s.passage for s in pool}
    }
    chosen: list[Sentence] = []
    seen: set[tuple[str, ...]] = set()
    for _ in range(min(count + skip, len(pool))):
        scored = [(_centrality(s, weight, s.index in first_of), -s.index, s) for s in pool
                  if s not in chosen and s.stems not in seen]  # fmt: skip
        if not scored:
            break
        best = max(scored, key=lambda item: item[:2])[2]
        chosen.append(best)
        seen.add(best.stems)
        for one in set(best.stems):
            weight[one] = weight[one] ** 2
    kept = chosen[skip:] if len(chosen) > skip else chosen
    return sorted(kept[:count], key=lambda sentence: sentence.index)


def _centrality(sentence: Sentence, weight: dict[str, float], is_first: bool) -> float:
    own = set(sentence.stems)
    mean: float = sum(weight[one] for one in own) / (len(own) + 4) ** 0.7
    return (
        mean
        * (1.35 if is_first else 1.0)
        * (1.1 if any(t.isdigit() for t in sentence.tokens) else 1.0)
    )
