"""What kind of answer a question wants, and whether a sentence holds one."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Literal

from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import stem, words

AnswerKind = Literal[
    "person", "time", "duration", "money", "count", "place", "reason", "manner", "other"
]

_WORDINGS: tuple[tuple[AnswerKind, str], ...] = (
    ("duration", (
        r"\bhow (?:long|soon|quickly|fast|often|frequently)\b|\b(?:what|which) (?:duration"
        r"|period)\b"
    )),
    ("money", (
        r"\bhow much (?:does|do|did|is|are|was|were|will|would|should|can|could|may|must|it"
        r"|money|i|you|we)\b|\bhow (?:expensive|costly)\b|\bwhat(?:'s| is| are| was| were"
        r"| does| do)? .{0,40}\b(?:costs?|prices?|fees?|amounts?|charges?|limits?|balances?"
        r"|rates?|totals?|salary|revenues?|percentage|maximum|minimum)\b|\bcosts? (?:of"
        r"|for)\b"
    )),
    ("count", (
        r"\bhow (?:many|much|old|far|tall|high|big|large|deep|wide|heavy)\b|\bwhat (?:number"
        r"|percentage|percent|proportion|share)\b|\bnumber of\b"
    )),
    ("time", (
        r"\bwhen\b|\b(?:what|which) (?:time|date|day|year|month|century|decade|hours?"
        r"|season)\b|\bdeadline\b|\b(?:in|on|during|by|until|since) (?:what|which) \w+\b"
        r"|\bopening hours\b"
    )),
    ("person", (
        r"\bwho(?:m|se)?\b|\b(?:what|which) (?:person|man|woman|player|author|company|bank"
        r"|team|king|president)\b|\bname of\b"
    )),
    ("place", (
        r"\bwhere\b|\b(?:what|which) (?:country|countries|city|cities|state|place|town"
        r"|region|location|branch|address|continent|river|street)\b"
    )),
    ("reason", (
        r"\bwhy\b|\bwhat (?:caused|causes|is the reason|was the reason|made|led)\b"
        r"|\breasons? (?:for|why)\b|\bhow come\b"
    )),
    ("manner", (
        r"\bhow (?:do|can|could|should|to|would|must|does one|might|did)\b|\bwhat (?:should"
        r"|must|can|do) (?:i|we|you) do\b|\bsteps\b|\bwhat (?:should|do) i\b"
    )),
)  # fmt: skip
_KINDS = tuple((kind, re.compile(wording, re.IGNORECASE)) for kind, wording in _WORDINGS)

_NUMBER_WORD = (
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|"
    r"hundreds?|thousands?|millions?|billions?|dozens?|half|first|second|third|once|twice|several|"
    r"free|none|no"
)
_MONTHS = (
    r"jan(?:uary)?|feb(?:ruary)?|march|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_UNITS = (
    r"seconds?|minutes?|hours?|days?|nights?|weeks?|weekends?|months?|quarters?|years?|decades?"
    r"|century|centuries|annually|daily|weekly|monthly|yearly"
)
EVIDENCE: dict[AnswerKind, re.Pattern[str]] = {
    "time": re.compile(
        rf"\b\d{{3,4}}s?\b|\b\d{{1,2}}[:.]\d{{2}}\b|\b\d{{1,2}}\s?[ap]\.?m\b"
        rf"|\b(?:{_MONTHS})\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b"
        rf"|\bweek(?:ends?|days?)\b|\b(?:{_UNITS})\b|\b(?:today|tomorrow|yesterday|morning"
        rf"|evening|night|noon|midnight|immediately|instantly)\b",
        re.IGNORECASE,
    ),
    "duration": re.compile(
        rf"\b(?:\d[\d.,]*|an?|{_NUMBER_WORD}|few|same|next|every|each"
        rf"|per)\b[\w\s\u2013-]{{0,20}}\b(?:{_UNITS})\b|\b(?:instantly|immediately|at once"
        rf"|straight away|right away|forever|permanently|daily|weekly|monthly|yearly"
        rf"|annually)\b",
        re.IGNORECASE,
    ),
    "money": re.compile(
        rf"[€$£¥%]|\d(?![\d.,]*\s?(?:(?:-|\u2013|to|or)\s?\d+\s?)?(?:\w+ )?(?:{_UNITS})\b)"
        rf"|\bfree\b|\bno (?:\w+ ){{0,2}}(?:fee|charge|cost|limit)\b|\bnothing\b"
        rf"|\b(?:{_NUMBER_WORD})\b",
        re.IGNORECASE,
    ),
    "count": re.compile(rf"\d|\b(?:{_NUMBER_WORD})\b", re.IGNORECASE),
    "person": re.compile(
        r"(?<=[\w,;:] )[A-ZÀ-ÖØ-Þ][\w'\u2019-]+|^[A-Z][\w'\u2019-]+ [A-Z][\w'\u2019-]+"
        r"|\b(?:team|manager|officer|holder|customer|owner|department|staff|director|agent|support|president"
        r"|ceo|government|parents?|anyone|nobody)\b"
    ),
    "place": re.compile(
        r"\b(?:in|at|from|to|near|on|under|into|of|inside|behind|via|through"
        r"|within)\s+(?:the\s+|your\s+|our\s+|any\s+)?(?:[A-Z][\w'\u2019-]+|app|website|branch"
        r"|office|menu|settings?|screen|page|profile|tab|section|country|street)\b"
    ),
    "reason": re.compile(
        r"\b(?:because|since|due to|so that|in order to|therefore|caused?|reasons?"
        r"|as a result|owing to|"
        r"thanks to|to (?:prevent|protect|avoid|ensure|comply|keep|make|reduce)|result(?:s"
        r"|ed)? (?:in|from)|for (?:security|safety|legal))\b",
        re.IGNORECASE,
    ),
    "manner": re.compile(
        r"(?:^|[.;,:] |\bthen |\band |\bto |\bcan |\bmust |\bshould |^\d+\. "
        r"|^- )(?:please )?(?:open|tap|go|click|call|contact|visit|choose|select|send|write"
        r"|freeze|block|report|"
        r"enter|log|sign|upload|scan|fill|ask|use|change|press|submit|confirm|download"
        r"|install|wait|check|order|request|cancel|transfer|apply|dispute|reset|update"
        r"|verify)\b"
        r"|\bby \w+ing\b|\busing\b|\bthrough (?:the|our|your)\b|\bin the app\b|\bvia\b",
        re.IGNORECASE,
    ),
}

_YES_NO = re.compile(
    r"(?:and |so |but |also )?(?:is|are|was|were|do|does|did|can|could|will|would|should|may"
    r"|must|has|have|am|"
    r"isn't|aren't|don't|doesn't|can't)\b",
    re.IGNORECASE,
)
_CUE_WEIGHT = 0.3
_CUE_STEMS = frozenset(
    stem(w)
    for w in word_set(
        "time date day year month number name place country city reason way long soon often "
        "fast cost costs "
        "price much many kind type sort amount happen happens happened work works possible "
        "person one called "
        "new old good best main major current different certain important total general full "
        "own able usual "
        "thing money exactly actually currently possible offer information detail details "
        "bank company firm "
        "business organisation organization colour color size shape title role age opening "
        "level status"
    )
)
_BACK_REFERENCE = re.compile(
    r"\b(?:it|its|they|them|their|that|this|those|these|he|she|him|his|her|there|one|ones|same)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, ready to be matched.

    Attributes:
        text: As it was asked.
        kind: What it wants.
        yes_no: Whether it can be answered with yes or no.
        weights: Content stems and how much each of them matters, before rarity.
        pairs: Neighbouring content stems.
    """

    text: str
    kind: AnswerKind
    yes_no: bool
    weights: dict[str, float]
    pairs: frozenset[tuple[str, str]]


def read_question(text: str, earlier: str = "", assumed: frozenset[str] = frozenset()) -> Question:
    """Read a question.

    Args:
        text: The question, or a message that asks for something.
        earlier: The turn before it, for questions that point back.
        assumed: Stems everybody knows the conversation is about (the assistant's company); the
            given text need not repeat them.
    """
    asked = _last_question(text)
    kind: AnswerKind = next((k for k, wording in _KINDS if wording.search(asked)), "other")
    tokens = words(text[:4_000])
    stems = [stem(token) for token in tokens if token not in STOP_WORDS]
    weights: dict[str, float] = {}
    for position, one in enumerate(stems):
        if one not in weights:
            weights[one] = _CUE_WEIGHT if one in assumed else _weight(one)
        if position > 120:
            break
    if asked != text:
        in_question = {stem(token) for token in words(asked)}
        weights = {s: w if s in in_question else w * 0.5 for s, w in weights.items()}
    if earlier and (len(weights) <= 2 or _BACK_REFERENCE.search(asked)):
        for token in words(earlier[:1_000]):
            if token not in STOP_WORDS:
                weights.setdefault(stem(token), 0.4)
    return Question(
        text=text,
        kind=kind,
        yes_no=bool(_YES_NO.match(asked.strip())),
        weights=weights,
        pairs=frozenset(itertools.pairwise(stems)),
    )


def _last_question(text: str) -> str:
    """Return the last sentence that ends in a question mark, or the whole text."""
    end = text.rfind("?")
    if end < 0:
        return text
    start = max(text.rfind(mark, 0, end) for mark in (". ", "! ", "? ", "\n"))
    return text[start + 1 : end + 1].strip()


def _weight(one: str) -> float:
    """Words that only say what kind of answer is wanted matter less, numbers more."""
    if one in _CUE_STEMS:
        return _CUE_WEIGHT
    if any(ch.isdigit() for ch in one):
        return 1.3
    return 1.0 if len(one) > 3 else 0.8
