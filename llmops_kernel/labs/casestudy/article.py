"""The four figures that people quote of such a case, held against what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.labs.casestudy.figures import Figures


@dataclass(frozen=True, slots=True)
class Claim:
    """A quoted figure.

    Attributes:
        claim: What is said.
        found: What was measured here.
        reached: Whether it was reached.
        meaning: What it means, and what it does not.
    """

    claim: str
    found: str
    reached: bool
    meaning: str


def claims(before: Figures, after: Figures, repeats: float) -> list[Claim]:
    """Return the quoted figures beside those of two plays of one day.

    Args:
        before: The day without any lever.
        after: The day with all of them.
        repeats: Share of requests that were asked before, in any words.
    """
    saved = 1 - after.usd / before.usd
    shorter = 1 - after.prompt_tokens / before.prompt_tokens
    hit = after.hit_p50_s
    return [
        Claim(
            "cost -42 %",
            f"{-saved:+.0%}",
            saved >= 0.42,
            "42 % of a bill of $200,000 is $84,000; of this day's bill it is "
            f"${0.42 * before.usd:.2f}",
        ),
        Claim(
            "hits under 180 ms",
            "no hits" if hit is None else f"{1000 * hit:.0f} ms",
            hit is not None and hit < 0.18,
            "the latency of a hit, not of the day: the median of all requests is "
            f"{before.p50_s:.1f} s before and {after.p50_s:.1f} s after, and hits move it only "
            "once they are more than half of the requests",
        ),
        Claim(
            "40 % repeats",
            f"{repeats:.0%} asked before, {after.hit_rate:.0%} served",
            repeats >= 0.4,
            "repeats are not savings: re-wordings are not served without evidence, and a hit saves "
            "a call that other levers have made cheaper already",
        ),
        Claim(
            "prompts -55 %",
            f"{-shorter:+.0%}",
            shorter >= 0.55,
            "tokens of the prompts that were sent; of the bill it is less where the provider's "
            "prompt cache had made the same tokens cheap",
        ),
    ]
