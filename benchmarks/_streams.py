"""Streams of questions with known answers: repeats, other wordings, near misses, new ones.

Every request says which answer is right (`key`) and what it is about (`about`). An answer with the
same key is right and one about something else is wrong. Two wordings about the same thing with
different keys are *open*: the public sets label intents, and the same intent is not the same
answer, so such a hit is counted apart and never as right.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import _retyped
import _rewrites
import numpy as np
from bench_cache import banking, bitext_rows

from llmops_kernel.cache.semantic.evidence import wilson
from llmops_kernel.cache.semantic.tiers import NearVerbatimTier
from llmops_kernel.cache.semantic.verbatim import signature
from llmops_kernel.labs import bank as bank_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from llmops_kernel.cache.semantic.strict import StrictTier
    from llmops_kernel.cache.semantic.tiers import VerbatimEntry

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

LENGTH = 640
_NEW, _LIGHT, _WORDING = 0.5, 0.2, 0.2  # the rest are near misses
_ZIPF = 0.9
_CANDIDATES = 3  # that a strict tier looks at


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its answer's name."""

    text: str
    key: str
    about: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a stream; `kind` is new, light, wording or near_miss."""

    asked: Asked
    kind: str


@dataclass(slots=True)
class Source:
    """A set of questions, and what sounds like each but has another answer."""

    name: str
    questions: list[Asked]
    near: Callable[[Asked, random.Random], Asked | None]
    wordings: dict[str, list[Asked]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for asked in self.questions:
            self.wordings.setdefault(asked.key, []).append(asked)


def bank(_: Path, __: Embed) -> Source:
    """The bank's own questions: paraphrases have one answer, near misses sound alike."""
    groups: defaultdict[str, list[Asked]] = defaultdict(list)
    questions = []
    for row in bank_lab.questions():
        refused = row.kind in ("unanswerable", "injection")
        key = row.id if refused else f"{row.tenant}|{row.answer}"
        asked = Asked(row.question, key, key)
        questions.append(asked)
        if row.group:
            groups[row.group].append(asked)
    partners = {
        one.text: [other for other in found if other.key != one.key]
        for found in groups.values()
        for one in found
    }

    def near(asked: Asked, rng: random.Random) -> Asked | None:
        others = partners.get(asked.text)
        return rng.choice(others) if others else changed(asked, rng)

    return Source("bank", questions, near)


def banking77(folder: Path, embed: Embed) -> Source:
    """Banking77: a question's answer is its own, and another's with its intent is open.

    Only the half with an odd checksum: the strict verifier's trees were grown on the other.
    """
    questions = [each for each in all_of_banking77(folder) if zlib.crc32(each.text.encode()) % 2]
    vectors = embed([each.text for each in questions])
    places = {asked.text: number for number, asked in enumerate(questions)}
    intents = np.array([asked.about for asked in questions])

    def near(asked: Asked, rng: random.Random) -> Asked | None:
        """The nearest question of another intent, or the same one with one thing changed."""
        if rng.random() < 0.5 and (other := changed(asked, rng)):
            return other
        cosines = vectors @ vectors[places[asked.text]]
        cosines[intents == asked.about] = -1.0
        return questions[int(cosines.argmax())]

    return Source("banking77", questions, near)


def all_of_banking77(folder: Path) -> list[Asked]:
    """Every question of Banking77's training half."""
    rows = dict(banking(folder)).items()
    return [Asked(text, _bare(text), intent) for text, intent in rows]


def bitext(folder: Path, _: Embed) -> Source:
    """Bitext: intent and entity are the answer; the same words with another entity are not."""
    rows = bitext_rows(folder)
    values: defaultdict[str, set[str]] = defaultdict(set)
    spans: dict[str, tuple[str, int, int, str]] = {}
    questions = []
    for row in rows:
        text, kind, value = row["utterance"], row["entity_type"], row["entity_value"]
        if value:
            values[kind].add(value)
            spans[text] = (kind, int(row["start_offset"]), int(row["end_offset"]), row["intent"])
            key = f"{row['intent']} {value.lower()}"
            questions.append(Asked(text, key, key))
        else:
            questions.append(Asked(text, _bare(text), row["intent"]))

    def near(asked: Asked, rng: random.Random) -> Asked | None:
        if asked.text not in spans:
            return changed(asked, rng)
        kind, start, end, intent = spans[asked.text]
        said = asked.text[start:end].casefold()
        other = rng.choice(sorted(v for v in values[kind] if v.casefold() != said))
        key = f"{intent} {other.lower()}"
        return Asked(asked.text[:start] + other + asked.text[end:], key, key)

    return Source("bitext", questions, near)


SOURCES: dict[str, Callable[[Path, Embed], Source]] = {
    "bank": bank, "banking77": banking77, "bitext": bitext,
}  # fmt: skip


def changed(asked: Asked, rng: random.Random) -> Asked | None:
    """The question with one decisive thing changed: a number, a negation, a preposition."""
    for kind in rng.sample(_rewrites.KINDS, len(_rewrites.KINDS)):
        other = _rewrites.contrast(asked.text, kind, rng)
        # "is not" and "isn't" are one change, made by two of the kinds.
        key = "" if other is None else _bare(_written_out(other))
        if other is not None and key != _bare(_written_out(asked.text)):
            return Asked(other, f"changed: {key}", f"changed: {key}")
    return None


def stream(source: Source, habits: _retyped.Habits, seed: int, length: int) -> list[Request]:
    """Draw a stream; no text comes twice but by chance of a rewrite."""
    rng = random.Random(seed)
    fresh = list(source.questions)
    rng.shuffle(fresh)
    used: set[str] = set()
    asked_before: list[Asked] = []
    made: list[Request] = []

    def new() -> Asked | None:
        while fresh:
            one = fresh.pop()
            if one.text not in used:
                return one
        return None

    while len(made) < length:
        draw = rng.random()
        base = _earlier(asked_before, rng) if asked_before else None
        one: Asked | None
        if base is None or draw < _NEW:
            one, kind = new(), "new"
        elif draw < _NEW + _LIGHT:
            text, _ = _retyped.retyped(base.text, habits, rng)
            one, kind = Asked(text, base.key, base.about), "light"
        elif draw < _NEW + _LIGHT + _WORDING:
            left = [each for each in source.wordings[base.key] if each.text not in used]
            one, kind = (rng.choice(left) if left else None), "wording"
        else:
            one, kind = source.near(base, rng), "near_miss"
        if one is None or (kind != "light" and one.text in used):
            if not fresh:
                break
            continue
        used.add(one.text)
        made.append(Request(one, kind))
        if kind in ("new", "wording"):
            asked_before.append(one)
    return made


def _earlier(asked: list[Asked], rng: random.Random) -> Asked:
    """Draw one that was asked before; the first ones are asked most (Zipf)."""
    weights = [(number + 1) ** -_ZIPF for number in range(len(asked))]
    return rng.choices(asked, weights)[0]


def _written_out(text: str) -> str:
    plain = re.sub(r"\bcan'?t\b|\bcannot\b", "can not", text, flags=re.IGNORECASE)
    plain = re.sub(r"\bwon't\b", "will not", plain, flags=re.IGNORECASE)
    return re.sub(r"n't\b", " not", plain, flags=re.IGNORECASE)


def _bare(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


@dataclass(slots=True)
class Count:
    """What a policy served."""

    requests: int = 0
    hits: int = 0
    wrong: int = 0
    open: int = 0
    could: int = 0  # requests whose right answer had been asked for before
    right: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    right_of: Counter[str] = field(default_factory=Counter)
    wrong_of: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def take(self, requests: Sequence[Request], served: Sequence[int | None]) -> None:
        """Count a stream; `served` says for each request whose answer it was given."""
        seen: set[str] = set()
        for request, number in zip(requests, served, strict=True):
            asked = request.asked
            self.requests += 1
            self.kinds[request.kind] += 1
            self.could += asked.key in seen
            seen.add(asked.key)
            if number is None:
                continue
            given = requests[number].asked
            self.hits += 1
            if given.key == asked.key:
                self.right += 1
                self.right_of[request.kind] += 1
            elif given.about == asked.about:
                self.open += 1
            else:
                self.wrong += 1
                self.wrong_of[request.kind] += 1
                self.bad.append((given.text, asked.text))

    def __add__(self, other: Count) -> Count:
        return Count(
            self.requests + other.requests, self.hits + other.hits, self.wrong + other.wrong,
            self.open + other.open, self.could + other.could, self.right + other.right,
            self.kinds + other.kinds, self.right_of + other.right_of,
            self.wrong_of + other.wrong_of, self.bad + other.bad,
        )  # fmt: skip

    def row(self, policy: str, source: str) -> dict[str, Any]:
        """Return a row of the table."""
        closed = self.hits - self.open
        share, strict = wilson(self.wrong, closed), wilson(self.wrong + self.open, self.hits)
        return {
            "policy": policy, "source": source, "requests": self.requests,
            "hit_rate": self.hits / self.requests, "hits": self.hits, "wrong": self.wrong,
            "open": self.open, "err_per_hit": share.value, "low": share.low, "high": share.high,
            "open_as_wrong": strict.value, "open_as_wrong_high": strict.high,
            "recall": self.right / self.could if self.could else None,
            "light": _share(self.right_of["light"], self.kinds["light"]),
            "wordings": _share(self.right_of["wording"], self.kinds["wording"]),
            "near_misses_wrong": _share(self.wrong_of["near_miss"], self.kinds["near_miss"]),
            "new_wrong": _share(self.wrong_of["new"], self.kinds["new"]),
        }  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def by_cosine(
    requests: Sequence[Request], vectors: NDArray[np.float32], least: float
) -> list[int | None]:
    """Serve the nearest cached question's answer from a cosine on; put in what is missed."""
    kept: list[int] = []
    served: list[int | None] = []
    for number in range(len(requests)):
        found = None
        if kept:
            cosines = vectors[kept] @ vectors[number]
            best = int(cosines.argmax())
            found = kept[best] if cosines[best] >= least else None
        if found is None:
            kept.append(number)
        served.append(found)
    return served


def by_tiers(
    requests: Sequence[Request], vectors: NDArray[np.float32], strict: StrictTier
) -> list[int | None]:
    """Ask the near-verbatim rule of whatever shares a key, then a strict tier of the nearest."""
    near = NearVerbatimTier()
    kept: list[int] = []
    entries: dict[int, tuple[VerbatimEntry, object]] = {}
    places: defaultdict[str, list[int]] = defaultdict(list)
    served: list[int | None] = []
    for number, request in enumerate(requests):
        text = request.asked.text
        keys = dict.fromkeys(signature(text).keys)
        alike = dict.fromkeys(place for key in keys for place in reversed(places[key]))
        found = next((n for n in alike if near.decide(entries[n][0], text).same), None)
        if found is None and kept:
            order = np.argsort(-(vectors[kept] @ vectors[number]))[:_CANDIDATES]
            closest = (kept[place] for place in order)
            found = next((n for n in closest if strict.decide(entries[n][1], text).same), None)
        if found is None:
            kept.append(number)
            entries[number] = near.entry(text), strict.entry(text)
            for key in keys:
                places[key].append(number)
        served.append(found)
    return served


def by_text(requests: Sequence[Request]) -> list[int | None]:
    """Serve the very same text only."""
    kept: dict[str, int] = {}
    served: list[int | None] = []
    for number, request in enumerate(requests):
        served.append(kept.get(request.asked.text))
        kept.setdefault(request.asked.text, number)
    return served
