"""Fills one string property from text.

`string_for` returns a value and the evidence for it, from 0 (nothing found) to 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.extract import find_answer, passages_of, plain, render
from llmops_kernel.calls.offline.answering.rank import SentenceIndex
from llmops_kernel.calls.offline.answering.summary import summarise
from llmops_kernel.calls.offline.answering.verdict import aspect_of, judge
from llmops_kernel.calls.offline.filling.kinds import best_value, kinds_for
from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import content_stems, stem

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.place import Target

Found = tuple[str | None, float]

_REQUESTS = word_set("query question search topic keywords input prompt request")
_SEARCHES = word_set("search keywords topic")
_SUMMARIES = word_set("summary title subject headline description issue problem complaint")
_MESSAGES = word_set("message content text body note comment feedback")
_ANSWERS = word_set("answer response reply")
_EXPLANATIONS = word_set(
    "reason reasoning rationale explanation explain justification why details detail evidence quote"
    " excerpt snippet span sentence claim statement thought thoughts thinking analysis steps step"
    " action advice recommendation next conclusion observation context"
)
_SENTENCES = _REQUESTS | _SUMMARIES | _MESSAGES | _ANSWERS | _EXPLANATIONS
_NAMED_PART = word_set("name item product title label description service article")
_WHOLE_PART = word_set(
    "claim statement sentence text content quote point fact step question evidence excerpt snippet"
    " span"
)
_CURRENCIES = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "$": "USD", "usd": "USD", "dollar": "USD",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "¥": "JPY", "jpy": "JPY", "yen": "JPY",
    "chf": "CHF", "franc": "CHF", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN",
    "cad": "CAD", "aud": "AUD", "₹": "INR",
}  # fmt: skip
_TELLS = re.compile(
    r"\W{0,3}(?:is|are|was|were|called|named|:|=)\s+(?:an?\s|the\s)?([^.,;\n!?]{1,60})"
)
_AFTER_TO = re.compile(r"\b(?:to|into|in)\s*$", re.IGNORECASE)


def string_for(target: Target, material: Material) -> Found:
    """Find a string for a property."""
    if "currency" in target.known and (code := _currency(target, material)):
        return code, 0.8
    kinds = kinds_for(target)
    if _wants_sentence(target) and kinds[:1] not in {("email",), ("expression",), ("url",)}:
        return _sentence_for(target, material)
    paired = material.paired(target)
    if paired is not None:
        return paired, 1.0
    found = best_value(target, material, kinds) if kinds else None
    if found is not None:
        return found[0].text, found[1]
    if material.is_part and not target.known.isdisjoint(_NAMED_PART):
        rest = _without_values(material)
        return (rest, 0.6) if rest else (None, 0.0)
    return (None, 0.0) if kinds or "language" in target.known else _after_name(target, material)


def _wants_sentence(target: Target) -> bool:
    return not _SENTENCES.isdisjoint(target.words[-1:] + target.words[:1])


def _without_values(material: Material) -> str:
    """Return what a list item names, less its amounts and dates."""
    kept = list(material.text)
    for value in material.values:
        if value.kind not in {"name", "quote"}:
            kept[value.start : value.end] = " " * (value.end - value.start)
    parts = re.split(r"[,;:|(\n]|\s[-\u2013—]\s|\s{3,}", "".join(kept))
    named = (re.sub(r"^\W*(?:x|of|for|at)?\s+|\W+$", "", f" {part.strip()}") for part in parts)
    return next((name for name in named if content_stems(name)), "")


def _currency(target: Target, material: Material) -> str | None:
    """Find a currency's code: ``to_currency`` is the one after "to", others are the first."""
    found: dict[int, str] = {}
    for value in material.of_kinds(("money",)):
        lowered = value.text.lower()
        code = next((code for mark, code in _CURRENCIES.items() if mark in lowered), None)
        if code:
            found[value.start] = code
    for token in material.tokens:
        code = _CURRENCIES.get(material.word(token)) or _CURRENCIES.get(token.stem)
        if code:
            found.setdefault(token.start, code)
    places = sorted(found)
    if not places:
        return None
    if target.known.isdisjoint({"to", "target", "destination", "quote"}):
        return found[places[0]]
    after = [p for p in places if _AFTER_TO.search(material.text[max(0, p - 6) : p])]
    return found[after[0] if after else places[-1]]


def _after_name(target: Target, material: Material) -> Found:
    """For a property of unknown kind: what the text says right after its name."""
    anchors = material.anchors([stem(word) for word in target.words])
    if not anchors:
        return None, 0.0
    quotes = material.of_kinds(("quote",))
    if quotes:
        return min(quotes, key=lambda value: material.gap(value, anchors)).text, 0.6
    for anchor in anchors:
        tail = _TELLS.match(material.text[anchor.end : anchor.end + 90])
        if tail:
            return tail[1].strip(), 0.7
    names = material.of_kinds(("name",))
    nearest = min(names, key=lambda value: material.gap(value, anchors), default=None)
    if nearest is not None and material.gap(nearest, anchors) < 30:
        return nearest.text, 0.5
    return None, 0.0


def _sentence_for(target: Target, material: Material) -> Found:
    """Find running text: an answer, a reason, a quote, a summary, the request itself."""
    own = target.known
    prompt = material.prompt
    if material.is_part and not own.isdisjoint(_WHOLE_PART):
        return material.text.strip() or None, 0.7
    if not own.isdisjoint(_REQUESTS):
        return _request(target, material)
    if not own.isdisjoint(_SUMMARIES):
        text = " ".join(plain(sentence) for sentence in summarise(material.index, 1))
        return text or None, 0.6 if text else 0.0
    if not own.isdisjoint(_MESSAGES):
        quoted = material.of_kinds(("quote",))
        return (quoted[0].text if quoted else material.text.strip()[:2_000] or None), 0.5
    index = SentenceIndex(prompt.passages or passages_of(material.text))
    most = 1 if "quote" in own else 2
    found = find_answer(index, prompt.question, earlier=prompt.earlier, most=most)
    if found.sentences:
        return render(found), 0.8
    if prompt.candidates:
        return judge(prompt, aspect_of(prompt.instruction, prompt)).reason, 0.5
    if not own.isdisjoint(_ANSWERS) and prompt.passages:
        return None, 0.1
    central = summarise(material.index, 1)
    return (plain(central[0]), 0.3) if central else (None, 0.0)


def _request(target: Target, material: Material) -> Found:
    text = material.prompt.question.strip() or material.text.strip()
    if not text:
        return None, 0.0
    if not target.known.isdisjoint(_SEARCHES):
        kept = [w for w in re.findall(r"[\w'\u2019-]+", text[:600]) if w.lower() not in STOP_WORDS]
        return " ".join(kept[:10]) or text[:200], 0.7
    return text[:2_000], 0.7
