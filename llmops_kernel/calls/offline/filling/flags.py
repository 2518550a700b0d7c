"""Fills one boolean property from what the text says, or denies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.extract import find_answer
from llmops_kernel.calls.offline.answering.rank import index_of
from llmops_kernel.calls.offline.answering.verdict import aspect_of, judge
from llmops_kernel.calls.offline.language.lexicon import NEGATIONS, word_set
from llmops_kernel.calls.offline.language.text import content_stems, stem, words

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.place import Target

JUDGED = re.compile(
    r"support|faithful|ground|relevan|correct|accura|contradict|hallucinat|consistent|entail"
    r"|attribut|addresse|useful|helpful"
)
_TRUE = word_set("true yes y on enabled active confirmed")
_FALSE = word_set("false no n off disabled inactive none")
_ANSWERED = word_set("answerable answered found sufficient")
_GENERIC = frozenset(
    stem(word)
    for word in word_set(
        "is has are was were can should need needs requires required flag contains mentions"
        " mentioned includes asks asked wants customer user message text whether true false any the"
    )
)


def boolean_for(target: Target, material: Material) -> tuple[bool | None, float]:
    """Decide a flag.

    Returns:
        True, False, or None when the text does not speak of it; and the evidence from 0 to 1.
    """
    paired = material.paired(target)
    if paired is not None:
        lowered = paired.lower().split(" ")[0].strip(".,")
        if lowered in _TRUE | _FALSE:
            return lowered in _TRUE, 1.0
    prompt = material.prompt
    spelled = " ".join(target.words)
    if prompt.candidates and JUDGED.search(spelled):
        aspect = aspect_of(f"{spelled} {target.description}", prompt)
        return judge(prompt, aspect).holds, 0.8
    if target.known & _ANSWERED:
        return bool(find_answer(index_of(prompt.passages), prompt.question).sentences), 0.7
    own = [one for one in dict.fromkeys(map(stem, target.words)) if one not in _GENERIC]
    spoken = _spoken_of(own, material, least=(len(own) + 1) // 2)
    if spoken is None:
        described = dict.fromkeys(content_stems(target.description[:200]))
        rest = [one for one in described if one not in _GENERIC and one not in own]
        spoken = _spoken_of(rest, material, least=2 if len(rest) > 2 else 1)
    return spoken, 0.0 if spoken is None else 0.8


def _spoken_of(stems: list[str], material: Material, *, least: int) -> bool | None:
    """True when a sentence speaks of the stems, False when it denies them, None when none does."""
    if not stems:
        return None
    anchors = material.anchors(stems)
    denied: bool | None = None
    position = 0
    for sentence in material.index.sentences if anchors else ():
        start = max(position, material.text.find(sentence.text[:40], position))
        position = start
        inside = [a for a in anchors if start <= a.start < start + len(sentence.text)]
        if len({anchor.stem for anchor in inside}) < least:
            continue
        before = words(material.text[max(start, inside[0].start - 30) : inside[0].start])[-4:]
        between = words(material.text[inside[0].start : inside[-1].start])
        if sum(word in NEGATIONS for word in (*before, *between)) % 2 == 0:
            return True
        denied = True
    return False if denied else None
