"""What two questions must agree in before a model's opinion on them is even asked for.

A model that judges pairs was trained on some people's texts and is asked about other people's: what
it was never wrong about there says little here. So whatever parts questions most often (numbers,
negation, money, names, question words, modal verbs, persons, times) is compared by rule first.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.verbatim.rule import veto_of
from llmops_kernel.cache.semantic.verbatim.words import CLASSES

if TYPE_CHECKING:
    from llmops_kernel.cache.semantic.verbatim import Signature


def hard_veto(a: Signature, b: Signature) -> str:
    """Return what no model may overrule; "" where the two agree in it.

    Every digit in order, the number of negations, signs, and codes, quoted spans and names.
    """
    if a.is_literal or b.is_literal:
        return "not plain English: only the same letters would do"
    if veto := veto_of(a, b):
        return veto
    ours, theirs = set(a.tokens), set(b.tokens)
    # A name in one text may be typed without its capital in the other.
    if not (_fixed(a) <= theirs and _fixed(b) <= ours):
        return "codes or names differ"
    return ""


def full_veto(a: Signature, b: Signature) -> str:
    """Return what parts two questions; "" where the words that decide are the same ones.

    Beyond `hard_veto` every word of the closed classes (question words, modal verbs, persons,
    times, quantities, comparisons, prepositions) stands in both, as often.
    """
    if veto := hard_veto(a, b):
        return veto
    ours, theirs = Counter(a.tokens), Counter(b.tokens)
    parted = {*(ours - theirs), *(theirs - ours)}
    for reason, words in CLASSES:
        if parted & words:
            return reason
    return ""


def _fixed(text: Signature) -> set[str]:
    return {word for word, fixed in zip(text.tokens, text.fixed, strict=True) if fixed}
