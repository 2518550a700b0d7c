"""Passages in a context window: the best ones where models look first, at its two ends.

Long contexts are read best at their beginning and end (Liu et al. 2024, "Lost in the middle"), so
what matters least goes to the middle, and what does not fit is left out from there.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from llmops_kernel.calls.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

Order = Literal["best_first", "edges"]

_DOCUMENT = re.compile(r"<document\s+id=\"(?P<id>\d+)\"[^>]*>\n.*?\n</document>", re.DOTALL)


def pack_passages(
    passages: Sequence[str], budget: int, *, order: Order = "edges"
) -> tuple[str, ...]:
    """Return the passages that fit, the best at both ends.

    Args:
        passages: Best first.
        budget: Tokens for all of them together; the best one is always there.
        order: "best_first", or "edges": the best first, the second best last, the third second, ...
    """
    chosen: list[str] = []
    left = budget
    for each in passages:
        cost = count_tokens(each)
        if cost > left and chosen:
            continue
        chosen.append(each)
        left -= cost
    if order == "best_first":
        return tuple(chosen)
    return (*chosen[::2], *reversed(chosen[1::2]))


def pack_documents(text: str, budget: int, *, order: Order = "edges") -> str:
    """Pack the numbered ``<document id="1">`` blocks of a text; number 1 is the best.

    Numbers stay, so that citations mean the same. The text around the blocks stays too, and does
    not count.
    """
    found = list(_DOCUMENT.finditer(text))
    if len(found) < 2:
        return text
    ranked = sorted(found, key=lambda each: int(each["id"]))
    packed = pack_passages([each[0] for each in ranked], budget, order=order)
    gaps = [text[a.end() : b.start()] for a, b in pairwise(found)]
    if any(gap.strip() for gap in gaps):
        return text  # something stands between them: they are no plain list
    between = gaps[0]
    return f"{text[: found[0].start()]}{between.join(packed)}{text[found[-1].end() :]}"
