"""Fills one number property from text.

`number_for` returns a value and the evidence for it, from 0 (nothing found) to 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.verdict import Verdict, aspect_of, judge
from llmops_kernel.calls.offline.filling.flags import JUDGED
from llmops_kernel.calls.offline.filling.kinds import best_value, kinds_for
from llmops_kernel.calls.offline.language.figures import number_of
from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import stem, words

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.place import Target
    from llmops_kernel.calls.offline.language.values import Kind

Found = tuple[float | None, float]

_UNITS = word_set("second minute hour day week month year night")
_COUNT_WORDS = frozenset(stem(word) for word in ("number", "count", "num", "total", "quantity"))
_YEAR = re.compile(r"\b(1[5-9]\d\d|20\d\d)\b")
_NUMERIC: frozenset[Kind] = frozenset({"money", "percent", "number"})


def number_for(target: Target, material: Material, *, whole: bool) -> Found:
    """Find a number for a property."""
    paired = material.paired(target)
    if paired is not None and (number := number_of(paired)) is not None:
        return number, 1.0
    for special in (_year, _in_unit, _counted):
        found = special(target, material)
        if found is not None:
            return found, 0.8
    kinds = kinds_for(target)
    numeric = tuple(kind for kind in kinds if kind in _NUMERIC)
    if kinds and not numeric and kinds[0] not in {"identifier", "duration"}:
        return None, 0.0
    search: tuple[Kind, ...] = numeric or ("number", "money", "percent")
    if kinds[:1] == ("identifier",):
        search = ("identifier", "number")
    elif "number" not in search and not whole:
        search = (*search, "number")
    return _nearest(target, material, search, sure=bool(kinds))


def _nearest(target: Target, material: Material, kinds: tuple[Kind, ...], *, sure: bool) -> Found:
    best = best_value(target, material, kinds)
    number = number_of(best[0].text) if best is not None else None
    if best is None or number is None:
        return None, 0.0
    if material.is_used(best[0]):
        return number, 0.2
    material.use(best[0])
    if not sure and best[1] < 0.8 and len(material.of_kinds(kinds)) > 1:
        return number, 0.4
    return number, best[1]


def _year(target: Target, material: Material) -> float | None:
    if "year" not in target.known:
        return None
    found = (_YEAR.search(value.text) for value in material.of_kinds(("date", "number")))
    return next((float(match[1]) for match in found if match), None)


def _in_unit(target: Target, material: Material) -> float | None:
    """``nights``, ``delay_days``: the number of a duration in that unit."""
    named = [*target.words, *words(target.description[:200])]
    unit = next((u for word in named if (u := word.rstrip("s")) in _UNITS), None)
    for value in material.of_kinds(("duration",)) if unit else ():
        if str(unit) in value.text.lower():
            number = number_of(value.text)
            return 1.0 if number is None else number  # "a day"
    return None


def _counted(target: Target, material: Material) -> float | None:
    """``number_of_cards``, ``guests``: the number right before the word."""
    own = {stem(word) for word in target.words if word not in STOP_WORDS} - _COUNT_WORDS
    if not own:
        return None
    for value in material.of_kinds(("number",)):
        after = words(material.text[value.end : value.end + 24])[:2]
        if any(stem(word) in own for word in after):
            return number_of(value.text)
    return None


def measure_for(target: Target, material: Material) -> Verdict | None:
    """For scores of a judge: how well the candidate does in the aspect a property names."""
    prompt = material.prompt
    if not prompt.candidates:
        return None
    spelled = f"{' '.join(target.words)} {target.description}"
    wording = spelled if JUDGED.search(spelled) else prompt.instruction
    return judge(prompt, aspect_of(wording, prompt))
