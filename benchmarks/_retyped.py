"""A second maker of light rewrites, out of what people really typed.

`_rewrites` makes greetings and slips from lists of its own. Here they are gathered, when it runs,
from public questions: short first and last sentences that hold nothing but courtesy, and the
misspellings that stand beside a common word. What people do to case, punctuation and apostrophes
is drawn by chance. The hand that wrote this had read the rule; the courtesy and the misspellings
come from people who had not, and nothing here was changed after its first run.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_SENTENCE = re.compile(r"(?<=[.!?,])\s+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
# Sentences made of these words only are taken for courtesy, whatever they are made into.
_COURTEOUS = words(
    "hi hello hey there please thanks thank you help me can could will would some i need a an "
    "assistance assist with this sorry urgent urgently advise kindly so much your for in advance "
    "team guys good morning afternoon evening get"
)
_MUST = words(
    "hi hello hey please thanks thank help assistance assist sorry advise morning afternoon"
)
_SHORT = {
    "i am": "im", "do not": "dont", "can not": "cant", "cannot": "cant", "did not": "didnt",
    "is not": "isnt", "it is": "its", "i have": "ive", "does not": "doesnt", "what is": "whats",
    "has not": "hasnt", "have not": "havent", "i would": "id", "will not": "wont",
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_COMMON, _RARE, _LONG_ENOUGH = 25, 8, 4


@dataclass(frozen=True, slots=True)
class Habits:
    """What was gathered: courtesy before and after a question, and misspellings by word."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    slips: dict[str, tuple[str, ...]]


def gather(texts: Iterable[str], is_known: Callable[[str], bool]) -> Habits:
    """Gather habits from questions.

    Args:
        texts: Public questions.
        is_known: Whether a word stands in a dictionary; such a word is no misspelling.
    """
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for text in texts:
        parts = _SENTENCE.split(text.strip())
        if len(parts) > 1:
            before.update(part for part in parts[:1] if _is_courtesy(part))
            after.update(part for part in parts[-1:] if _is_courtesy(part))
        counts.update(set(re.findall(r"[a-z]+", text.lower())))
    return Habits(tuple(before), tuple(after), _slips(counts, is_known))


def _is_courtesy(sentence: str) -> bool:
    words = _WORD.findall(sentence.lower())
    return 0 < len(words) <= 6 and _COURTEOUS.issuperset(words) and not _MUST.isdisjoint(words)


def _slips(counts: Counter[str], is_known: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for word, count in counts.items():
        if count < _COMMON or len(word) < _LONG_ENOUGH or not is_known(word):
            continue
        for near in _one_slip_off(word):
            if near != word and 0 < counts[near] <= _RARE and not is_known(near):
                owners[near].add(word)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for slip, words in sorted(owners.items()):
        if len(words) == 1:
            found[next(iter(words))].append(slip)
    return {word: tuple(slips) for word, slips in found.items()}


def _one_slip_off(word: str) -> set[str]:
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return {
        *(a + b[1:] for a, b in cuts if b),
        *(a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1),
        *(a + letter + b[1:] for a, b in cuts if b for letter in _LETTERS),
        *(a + letter + b for a, b in cuts for letter in _LETTERS),
    }


def retyped(text: str, habits: Habits, rng: random.Random) -> tuple[str, str]:
    """Return a question as another person types it, and which habits were at work."""
    made, named = text, []
    steps = [_case, _marks, _apostrophes, _slip, _courtesy_before, _courtesy_after]
    chances = [5, 4, 2, 4, 2, 3]
    wanted = rng.choice((1, 1, 2, 2, 3))
    for _ in range(30):
        step = rng.choices(steps, chances)[0]
        after = step(made, habits, rng)
        if after != made and step.__name__ not in named:
            made, named = after, [*named, step.__name__]
        if len(named) >= wanted:
            break
    return made, "+".join(sorted(name.strip("_") for name in named))


def _case(text: str, _: Habits, rng: random.Random) -> str:
    return rng.choice((str.lower, str.lower, str.lower, str.upper, str.capitalize))(text)


def _marks(text: str, _: Habits, rng: random.Random) -> str:
    bare = text.rstrip(" .?!")
    made = rng.choice((bare, bare, bare + "??", bare + " ?", bare + "?", bare + "...", bare + "!"))
    return re.sub(r"(?<=\w)[,;](?=\s)", "", made) if rng.random() < 0.4 else made


def _apostrophes(text: str, _: Habits, rng: random.Random) -> str:
    if re.search(r"[A-Za-z]'(?:t|m|ve|re|ll|d)\b", text):
        return re.sub(r"(?<=[A-Za-z])'(?=(?:t|m|ve|re|ll|d)\b)", "", text)
    found = [long for long in _SHORT if re.search(rf"\b{long}\b", text, re.IGNORECASE)]
    if not found:
        return text
    long = rng.choice(found)
    return re.sub(rf"\b{long}\b", _SHORT[long], text, count=1, flags=re.IGNORECASE)


def _slip(text: str, habits: Habits, rng: random.Random) -> str:
    words = [m for m in re.finditer(r"[A-Za-z]+", text) if m[0].lower() in habits.slips]
    if not words:
        return text
    word = rng.choice(words)
    slip = rng.choice(habits.slips[word[0].lower()])
    made = slip.capitalize() if word[0][0].isupper() else slip
    return text[: word.start()] + made + text[word.end() :]


def _courtesy_before(text: str, habits: Habits, rng: random.Random) -> str:
    lead = rng.choice(habits.before)
    if lead.endswith(",") and not re.match(r"I\b|I'", text) and rng.random() < 0.6:
        text = text[:1].lower() + text[1:]
    return f"{lead} {text}"


def _courtesy_after(text: str, habits: Habits, rng: random.Random) -> str:
    mark = "" if text[-1:] in ".?!" else rng.choice((".", ",", "?", ""))
    return f"{text}{mark} {rng.choice(habits.after)}"
