"""The near-verbatim rule: two texts ask the same only if nothing that counts differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from llmops_kernel.cache.semantic.verbatim.signature import Signature, signature
from llmops_kernel.cache.semantic.verbatim.typos import same_but_for_a_slip
from llmops_kernel.cache.semantic.verbatim.words import CLASSES

_WORDS_PER_SLIP = 3
_MOST_SLIPS = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one text's answer may be served for another, and why.

    Attributes:
        same: Serve it.
        reason: One stable sentence, for people and for counting.
    """

    same: bool
    reason: str


class NearVerbatim:
    """Decides whether two texts differ in courtesy, case, punctuation and slips of the keys only.

    Numbers in order, money, dates, negation, question word, modal verb, person, names, codes,
    prepositions, comparisons and quoted text must agree, and so must every other word and the order
    of them. The rule reads English; texts in other languages or scripts, code, formulas and long
    texts must agree letter for letter. The decision is symmetric and needs no model.

    Example:
        >>> NearVerbatim().compare("How do I block my card?", "hi, how can i block my crad pls")
        Decision(same=True, reason='the same words but for a misspelling')
    """

    def compare(self, a: str, b: str) -> Decision:
        """Decide about two texts."""
        if a == b:
            return Decision(True, "the same text")
        return self.compare_signatures(signature(a), signature(b))

    def compare_signatures(self, a: Signature, b: Signature) -> Decision:
        """Decide about two texts whose signatures are at hand."""
        if a.literal == b.literal:
            return Decision(True, "the same text")
        if a.is_literal or b.is_literal:
            return Decision(False, "not plain English: only the same letters would do")
        if veto := veto_of(a, b):
            return Decision(False, veto)
        if a.tokens == b.tokens:
            return Decision(True, "the same words")
        if len(a.tokens) == len(b.tokens) and (slips := _slips(a, b)):
            if slips <= min(_MOST_SLIPS, len(a.tokens) // _WORDS_PER_SLIP):
                return Decision(True, "the same words but for a misspelling")
            return Decision(False, "too many misspellings")
        return Decision(False, _difference(a, b))


def veto_of(a: Signature, b: Signature) -> str:
    """Compare what the whole texts hold, so that no step of the reduction can lose it."""
    if a.digits != b.digits:
        return "numbers differ"
    if len(a.negations) != len(b.negations):
        return "negation differs"
    if a.signs != b.signs:
        return "signs differ"
    return ""


def _slips(a: Signature, b: Signature) -> int:
    """Count misspellings; 0 where a pair of words is no misspelling of one another."""
    slips = 0
    for one, other, fixed_a, fixed_b in zip(a.tokens, b.tokens, a.fixed, b.fixed, strict=True):
        if one == other:
            continue
        if fixed_a or fixed_b or not same_but_for_a_slip(one, other):
            return 0
        slips += 1
    return slips


def _difference(a: Signature, b: Signature) -> str:
    ours, theirs = Counter(a.tokens), Counter(b.tokens)
    parted = {*(ours - theirs), *(theirs - ours)}
    if not parted:
        return "the order of words differs"
    for reason, words in CLASSES:
        if parted & words:
            return reason
    if any(mark[0] in "\"'`«" for mark in parted):
        return "quoted text differs"
    if any(not mark.isalpha() and any(char.isalnum() for char in mark) for mark in parted):
        return "codes or names differ"
    fixed = {
        word for text in (a, b) for word, kept in zip(text.tokens, text.fixed, strict=True) if kept
    }
    if parted & fixed:
        return "codes or names differ"
    if len(parted) == 2 and _is_plural(*sorted(parted, key=len)):
        return "singular and plural differ"
    return "words differ"


def _is_plural(one: str, other: str) -> bool:
    return other in (one + "s", one + "es") or (one.endswith("y") and other == one[:-1] + "ies")
