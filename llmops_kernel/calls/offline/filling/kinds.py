"""Which kind of value a property's name asks for, and which of several it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.language.text import content_stems, stem, words

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Anchor, Material
    from llmops_kernel.calls.offline.filling.place import Target
    from llmops_kernel.calls.offline.language.values import Kind, Value

_NAMED_KINDS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("email mail", ("email",)),
    ("url link website homepage uri", ("url",)),
    ("phone telephone mobile", ("phone",)),
    ("iban", ("iban",)),
    ("pan card_number", ("card",)),
    ("uuid guid", ("uuid",)),
    ("ip", ("ip",)),
    ("expression formula equation calculation", ("expression",)),
    ("currency", ("money",)),
    ("date day deadline birthday dob due born expiry datetime timestamp when", ("date",)),
    ("time hour", ("time", "date")),
    ("duration period term length", ("duration",)),
    (
        "amount price cost fee total balance sum payment salary charge budget value",
        ("money", "number"),
    ),
    ("percent percentage rate interest discount", ("percent", "number")),
    (
        "order ticket invoice transaction case booking tracking reference ref id identifier"
        " code number account",
        ("identifier", "iban", "number"),
    ),
    (
        "city country place location destination origin town region venue from to where"
        " address branch",
        ("name",),
    ),
    (
        "name person customer merchant company author sender recipient employee organisation"
        " organization shop store vendor supplier client user founder who payee beneficiary",
        ("name",),
    ),
)
_KINDS = tuple((word_set(names), kinds) for names, kinds in _NAMED_KINDS)
# Words that stand around the value a property means, where its own name does not.
_CUES: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (word_set(names), word_set(cues))
    for names, cues in (
        ("destination to", "to into"),
        ("origin from", "from"),
        (
            "customer person name user client sender author",
            "i'm name regards sincerely signed im am called mr mrs ms dr",
        ),
        (
            "merchant shop store vendor company supplier payee",
            "at by from to paid pay charged purchase bought with",
        ),
        ("recipient beneficiary", "to for dear"),
        ("city country place location venue town where address branch", "in at to near"),
        ("founder", "founded by"),
    )
)
_EMPTY_WORDS = word_set("id number no value amount")  # say what kind of value, not which one


def kinds_for(target: Target) -> tuple[Kind, ...]:
    """Return the kinds of value a property's name, or else its description, asks for."""
    for source in (target.words, words(target.description[:200])):
        present = {form for word in source for form in (word, word.rstrip("s"))}
        if source is target.words:
            present.add("_".join(source))
        for names, kinds in _KINDS:
            if not present.isdisjoint(names) and (source is target.words or kinds[0] != "name"):
                return kinds
    return ()


def best_value(
    target: Target, material: Material, kinds: tuple[Kind, ...]
) -> tuple[Value, float] | None:
    """Choose the value of some kinds that stands nearest to a property's words.

    Returns:
        The value and the evidence for it, or None when the text holds no such value.
    """
    found = material.of_kinds(kinds)
    if not found:
        return None
    anchors = material.anchors([stem(word) for word in target.words if word not in _EMPTY_WORDS])
    described = material.anchors(content_stems(target.description[:300]))
    cues = _cues(target, material)

    def cost(value: Value) -> tuple[float, int]:
        gap: float = material.gap(value, anchors)
        if described:
            gap = min(gap, 30 + 1.2 * material.gap(value, described))
        if cues:
            gap = min(gap, 2 * material.gap(value, cues, before_only=True))
        gap += 60 * kinds.index(value.kind)
        gap += 400 if material.is_used(value) else 0
        return gap, value.start

    best = min(found, key=cost)
    gap = cost(best)[0]
    return best, 0.8 if gap < 60 else 0.6 if gap < 400 or len(found) == 1 else 0.5


def _cues(target: Target, material: Material) -> list[Anchor]:
    wanted: frozenset[str] = frozenset()
    for names, cues in _CUES:
        if not target.known.isdisjoint(names):
            wanted |= cues
            if "to" in names or "from" in names:
                break  # a direction says more than what stands there
    if not wanted:
        return []
    return [token for token in material.tokens if material.word(token) in wanted]
