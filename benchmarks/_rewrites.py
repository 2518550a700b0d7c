"""Makes pairs of questions with known labels out of single questions, by a seeded script.

Knows nothing of the cache's rules: every word list here is its own. `light` rewrites a question as
another person would type it (label 1); `contrast` changes one thing that changes the answer
(label 0) and names it, or returns None where the question has no such thing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_BEFORE = (
    "Hi, {}", "Hello, {}", "hello {}", "Hey, {}", "hi there, {}", "Good morning, {}",
    "Good afternoon. {}", "Hi team, {}", "Hey there! {}", "Excuse me, {}", "Quick question: {}",
    "Please, {}", "Hello! Quick question, {}", "Dear support team, {}", "Sorry to bother you, {}",
    "ok so {}", "Hi, hope you are well. {}", "um, {}", "Hi!\n\n{}", "I have a question. {}",
    "greetings, {}", "Good evening, {}",
)  # fmt: skip
_AFTER = (
    "{} Thanks!", "{} thanks", "{} Thank you.", "{} please", "{} Thanks in advance!", "{} thx",
    "{} Cheers", "{} Thank you very much", "{} Many thanks!", "{} Please help.",
    "{} Can you help me?", "{} Thank you for your help.", "{} Kind regards", "{} pls",
    "{} Any help would be appreciated.", "{} Thanks a lot", "{} ty",
)  # fmt: skip
_SHORT = (
    ("I am", "I'm"), ("I have", "I've"), ("do not", "don't"), ("does not", "doesn't"),
    ("did not", "didn't"), ("cannot", "can't"), ("can not", "can't"), ("is not", "isn't"),
    ("are not", "aren't"), ("was not", "wasn't"), ("has not", "hasn't"), ("have not", "haven't"),
    ("will not", "won't"), ("would not", "wouldn't"), ("what is", "what's"), ("it is", "it's"),
    ("that is", "that's"), ("I would like", "I'd like"), ("I will", "I'll"), ("where is",
    "where's"),
    ("you are", "you're"), ("how is", "how's"), ("there is", "there's"), ("could not", "couldn't"),
)  # fmt: skip
_SPELLINGS = (
    ("cheque", "check"), ("authorise", "authorize"), ("cancelled", "canceled"),
    ("favourite", "favorite"), ("recognise", "recognize"), ("colour", "color"),
    ("cancelling", "canceling"), ("organise", "organize"), ("apologise", "apologize"),
    ("centre", "center"), ("travelling", "traveling"), ("top up", "top-up"), ("okay", "ok"),
    ("please", "pls"), ("because", "cuz"), ("you", "u"), ("and", "&"),
)  # fmt: skip
_KEYS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w",
    "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu",
    "z": "x",
}  # fmt: skip
_QUOTED = re.compile(r"[\"“”`]|(?<!\w)'|'(?!\w)")


def light(text: str, rng: random.Random) -> tuple[str, str]:
    """Return a question as somebody else might type it, and which changes were made."""
    steps: list[tuple[str, Callable[[str, random.Random], str]]] = [
        ("greeting", _greet), ("thanks", _thank), ("case", _recase), ("punctuation", _repunctuate),
        ("typo", _mistype), ("contraction", _contract), ("spelling", _respell),
    ]  # fmt: skip
    changed, names = text, []
    for name, step in rng.sample(steps, rng.choice((1, 1, 2, 2, 3))):
        after = step(changed, rng)
        if after != changed:
            changed, names = after, [*names, name]
    if not names:
        return _greet(text, rng), "greeting"
    return changed, "+".join(sorted(names))


def _greet(text: str, rng: random.Random) -> str:
    frame = rng.choice(_BEFORE)
    first = text.split(" ", 1)[0]
    keep = first == "I" or first.startswith("I'") or first.isupper() or rng.random() < 0.5
    return frame.format(text if keep else text[:1].lower() + text[1:])


def _thank(text: str, rng: random.Random) -> str:
    stop = "" if text[-1:] in ".?!" else rng.choice((".", "?", ",", "", ""))
    return rng.choice(_AFTER).format(text + stop)


def _recase(text: str, rng: random.Random) -> str:
    if _QUOTED.search(text):
        return text
    return rng.choice((str.lower, str.lower, str.upper, str.capitalize))(text)


def _repunctuate(text: str, rng: random.Random) -> str:
    bare = text.rstrip(".?! ")
    choice = rng.randrange(5)
    if choice == 0:
        return bare
    if choice == 1:
        return bare + rng.choice(("??", "!!", "...", " ?", "?!", ".", "?"))
    if choice == 2:
        return re.sub(r"(?<=[A-Za-z])[,;:](?=\s)", "", text)
    if choice == 3:
        return "  " + re.sub(r" ", lambda _: rng.choice((" ", "  ")), text) + " "
    return text.replace("'", "\u2019") if not _QUOTED.search(text) else bare


def _mistype(text: str, rng: random.Random) -> str:
    words = list(re.finditer(r"(?<![\w'@./-])[A-Za-z]{4,}(?![\w'@./-])", text))
    if not words or _QUOTED.search(text):
        return text
    chosen = rng.choice(words)
    word = chosen[0]
    at = rng.randrange(len(word))
    kind = rng.randrange(4)
    if kind == 0 and at + 1 < len(word):
        new = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        new = word[:at] + word[at + 1 :]
    elif kind == 2:
        new = word[: at + 1] + word[at] + word[at + 1 :]
    else:
        new = word[:at] + rng.choice(_KEYS[word[at].lower()]) + word[at + 1 :]
    return text[: chosen.start()] + new + text[chosen.end() :]


def _contract(text: str, rng: random.Random) -> str:
    out = text
    for long, short in rng.sample(_SHORT, len(_SHORT)):
        forms = (long, short) if rng.random() < 0.8 else (long, short.replace("'", ""))
        if (after := _replaced(out, *forms)) != out:
            return after
        if (after := _replaced(out, short, long)) != out:
            return after
    return out


def _respell(text: str, rng: random.Random) -> str:
    for one, other in rng.sample(_SPELLINGS, len(_SPELLINGS)):
        if (after := _replaced(text, one, other)) != text:
            return after
        if len(other) > 3 and (after := _replaced(text, other, one)) != text:
            return after
    return text


_CONTRASTS: dict[str, tuple[tuple[str, str], ...]] = {
    "preposition": (
        ("from", "to"), ("with", "without"), ("before", "after"), ("into", "out of"),
        ("for", "from"), ("inside", "outside"), ("by", "after"), ("on", "before"), ("in", "from"),
        ("to", "from"), ("under", "over"),
    ),
    "negation": (
        ("can", "can't"), ("is", "isn't"), ("does", "doesn't"), ("do", "don't"), ("did", "didn't"),
        ("have", "have never"), ("will", "won't"), ("has", "hasn't"), ("was", "wasn't"),
        ("are", "are not"), ("am", "am not"), ("need", "do not need"), ("want", "never want"),
    ),
    "question": (
        ("when", "where"), ("how", "why"), ("what", "which"), ("who", "what"), ("why", "how"),
        ("where", "when"), ("which", "whose"), ("how much", "how many"), ("how long", "how often"),
    ),
    "modal": (
        ("can", "should"), ("will", "may"), ("should", "must"), ("could", "should"),
        ("may", "must"), ("do i need to", "can i"),
    ),
    "person": (
        ("my", "your"), ("i", "you"), ("my", "my wife's"), ("your", "my"), ("me", "him"),
        ("we", "they"), ("my", "his"),
    ),
    "comparison": (
        ("more", "less"), ("first", "last"), ("best", "worst"), ("minimum", "maximum"),
        ("highest", "lowest"), ("increase", "decrease"), ("cheapest", "fastest"),
        ("next", "previous"), ("higher", "lower"),
    ),
    "opposite": (
        ("activate", "deactivate"), ("block", "unblock"), ("open", "close"), ("send", "receive"),
        ("add", "remove"), ("lost", "found"), ("deposit", "withdraw"), ("cancel", "confirm"),
        ("debit", "credit"), ("buy", "sell"), ("freeze", "unfreeze"), ("enable", "disable"),
        ("physical", "virtual"), ("domestic", "foreign"), ("accept", "except"), ("cash", "card"),
        ("payment", "repayment"), ("lend", "lent"), ("order", "reorder"), ("sent", "spent"),
        ("pin", "pan"), ("card", "cards"), ("account", "accounts"), ("transfer", "transfers"),
        ("order", "orders"), ("charged", "charge"), ("lost", "cost"), ("lock", "unlock"),
        ("install", "uninstall"), ("refund", "refunds"), ("invoice", "invoices"),
    ),
    "quantity": (
        ("all", "some"), ("one", "two"), ("both", "either"), ("once", "twice"), ("any", "every"),
        ("half", "double"), ("many", "few"), ("only", "also"), ("two", "three"),
    ),
    "time": (
        ("day", "week"), ("week", "month"), ("month", "year"), ("monday", "friday"),
        ("hour", "minute"), ("days", "weeks"), ("january", "june"), ("weekly", "monthly"),
        ("morning", "evening"), ("weeks", "months"),
    ),
    "name": (
        ("visa", "mastercard"), ("apple", "google"), ("france", "germany"), ("euros", "dollars"),
        ("eur", "usd"), ("gbp", "eur"), ("uk", "us"), ("london", "paris"), ("american", "british"),
        ("spanish", "french"), ("italian", "german"), ("austria", "australia"), ("iran", "iraq"),
        ("atm", "app"), ("aud", "cad"), ("pounds", "euros"), ("english", "spanish"),
    ),
}  # fmt: skip
_NUMBER = re.compile(r"\d+")
KINDS = ("number", "digits swapped", "order of words", "added not", *_CONTRASTS)


def contrast(text: str, kind: str, rng: random.Random) -> str | None:
    """Return the question with one decisive thing changed; None where it has no such thing."""
    if kind == "number":
        return _other_number(text, rng)
    if kind == "digits swapped":
        numbers = [m for m in _NUMBER.finditer(text) if len(set(m[0])) > 1]
        if not numbers:
            return None
        m = rng.choice(numbers)
        at = next(i for i in range(len(m[0]) - 1) if m[0][i] != m[0][i + 1])
        new = m[0][:at] + m[0][at + 1] + m[0][at] + m[0][at + 2 :]
        return text[: m.start()] + new + text[m.end() :]
    if kind == "order of words":
        match = re.search(r"\bfrom (?:my |the |a )?(\w+) to (?:my |the |a )?(\w+)", text)
        if match is None or match[1].lower() == match[2].lower():
            return None
        a, b = match.span(1), match.span(2)
        return text[: a[0]] + match[2] + text[a[1] : b[0]] + match[1] + text[b[1] :]
    if kind == "added not":
        found = list(
            re.finditer(r"\b(?:is|are|was|can|could|will|would|should|did|does|has)\b", text)
        )
        if not found:
            return None
        at = rng.choice(found).end()
        return f"{text[:at]} not{text[at:]}"
    pairs = [*_CONTRASTS[kind], *((b, a) for a, b in _CONTRASTS[kind])]
    for one, other in rng.sample(pairs, len(pairs)):
        if (after := _replaced(text, one, other)) != text:
            return after
    return None


def _other_number(text: str, rng: random.Random) -> str | None:
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return None
    m = rng.choice(numbers)
    at = rng.randrange(len(m[0]))
    digit = rng.choice([d for d in "123456789" if d != m[0][at]])
    return text[: m.start() + at] + digit + text[m.start() + at + 1 :]


def _replaced(text: str, old: str, new: str) -> str:
    def put(match: re.Match[str]) -> str:
        return new[:1].upper() + new[1:] if match[0][:1].isupper() and old != "I" else new

    return re.sub(rf"(?<![\w']){re.escape(old)}(?![\w'])", put, text, count=1, flags=re.IGNORECASE)
