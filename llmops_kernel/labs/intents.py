"""What customers want, in 24 intents: phrasings, rows to train on, and two classifiers to compare.

Each intent has twelve hand-written phrasings. Three are what the desk has labelled, six can be
bought (as one buys paraphrases), three are held out: nobody trains on them. What a classifier
scores on new rows of *known* phrasings says little; held-out phrasings tell what customers will
meet.
"""

from __future__ import annotations

import csv
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs.retyping import retyped
from llmops_kernel.labs.tiny import run_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.embed import Embedder

LABELLED, FOR_SALE, HELD_OUT = 3, 6, 3
SEED = 7

_FILE = Path(__file__).parent / "data" / "intents.txt"
_SLOTS: dict[str, tuple[str, ...]] = {
    "amount": ("$18.40", "$2,500", "$75", "$310.99", "$1,200", "$9.90", "$640", "$43"),
    "date": ("3 May", "Monday", "12 June", "yesterday", "the 28th", "last Friday", "1 July"),
    "city": ("Lisbon", "Leeds", "Porto", "Ghent", "Oslo", "Graz"),
    "country": ("Portugal", "Japan", "Norway", "Kenya", "Canada", "Chile"),
    "currency": ("euros", "yen", "pounds", "Swiss francs", "kroner"),
    "shop": ("the Blue Anchor", "Fennel and Co", "Nordlys Travel", "Papertree", "Orbit Gym"),
    "name": ("Ines", "my brother", "Mr Okafor", "Lena Vogt", "my landlady", "Tomas"),
    "month": ("March", "May", "August", "December"),
    "digits": ("4417", "0932", "7781"),
    "number": ("2", "3", "4", "10", "14"),
}


@dataclass(frozen=True, slots=True)
class Phrasing:
    """One way to say something.

    Attributes:
        intent: What it means.
        text: The words, with slots in braces.
        part: ``labelled``, ``for_sale`` or ``held_out``.
    """

    intent: str
    text: str
    part: Literal["labelled", "for_sale", "held_out"]


@dataclass(frozen=True, slots=True)
class Message:
    """What a customer wrote.

    Attributes:
        text: The message.
        intent: What it means.
        phrasing: The phrasing it was made from; messages of one phrasing are not independent.
    """

    text: str
    intent: str
    phrasing: str


@dataclass(frozen=True, slots=True)
class Guess:
    """What a classifier made of a message.

    Attributes:
        intent: Its guess; "" for a text that is no intent.
        confidence: 0 to 1.
        right: Whether the guess is right.
        phrasing: The message's phrasing.
    """

    intent: str
    confidence: float
    right: bool
    phrasing: str


@cache
def phrasings() -> tuple[Phrasing, ...]:
    """Return all phrasings. Which part each is in was drawn once, for every intent by itself."""
    found: list[Phrasing] = []
    for intent, texts in _read().items():
        drawn = Random(f"{SEED} {intent}").sample(texts, len(texts))  # noqa: S311 - no secret
        for place, text in enumerate(drawn):
            part: Literal["labelled", "for_sale", "held_out"] = (
                "labelled" if place < LABELLED
                else "for_sale" if place < LABELLED + FOR_SALE
                else "held_out"
            )  # fmt: skip
            found.append(Phrasing(intent, text, part))
    return tuple(found)


def intents() -> tuple[str, ...]:
    """Return the names of the intents, in order."""
    return tuple(_read())


def known(bought: int = 0) -> list[Phrasing]:
    """Return the phrasings to train on: those that were labelled, and so many bought per intent.

    Raises:
        UsageProblem: There are not as many for sale.
    """
    if not 0 <= bought <= FOR_SALE:
        raise UsageProblem(
            "So many paraphrases are not for sale", hint=f"Buy 0 to {FOR_SALE} of each intent"
        )
    taken: dict[str, int] = {}
    found = []
    for each in phrasings():
        if each.part == "for_sale":
            taken[each.intent] = taken.get(each.intent, 0) + 1
        if each.part == "labelled" or (
            each.part == "for_sale" and taken[each.intent] <= bought
        ):  # fmt: skip
            found.append(each)
    return found


def held_out() -> list[Phrasing]:
    """Return the phrasings that nobody trains on."""
    return [each for each in phrasings() if each.part == "held_out"]


def messages(of: Sequence[Phrasing], each: int = 4, seed: int = SEED) -> list[Message]:
    """Return messages of phrasings: slots filled, some typed by people in a hurry.

    Args:
        of: The phrasings.
        each: Messages of one phrasing; no text comes twice.
        seed: Of what is drawn.
    """
    random = Random(seed)  # noqa: S311 - no secret
    taken: set[str] = set()
    found = []
    for phrasing in of:
        for number in range(each):
            text = _filled(phrasing.text, random)
            if number % 2 or text in taken:
                text = retyped(text, random, taken.__contains__)
            if text not in taken:
                taken.add(text)
                found.append(Message(text, phrasing.intent, phrasing.text))
    random.shuffle(found)
    return found


def write_csv(path: str | Path, rows: Sequence[Message]) -> Path:
    """Write messages as ``%%finetune`` reads them: ``text``, ``label``, ``phrasing``."""
    target = Path(path)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "phrasing"])
        writer.writerows([each.text, each.intent, each.phrasing] for each in rows)
    return target


def by_words(train: Sequence[Sequence[Message]], test: Sequence[Message]) -> list[list[Guess]]:
    """Classify messages by their words: TF-IDF of words and letters, logistic regression.

    Args:
        train: Training sets; each makes a classifier of its own.
        test: The messages to classify.

    Returns:
        The guesses for each training set.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: It failed.
    """
    jobs = [
        {"kind": "words", "train": [m.text for m in rows], "labels": [m.intent for m in rows]}
        for rows in train
    ]
    return _guessed(jobs, [test] * len(jobs), [each.text for each in test])


def by_meaning(
    train: Sequence[Sequence[Message]],
    test: Sequence[Message] | None = None,
    *,
    embedder: Embedder | None = None,
) -> list[list[Guess]]:
    """Classify messages by their embeddings, with logistic regression over a pretrained encoder.

    Args:
        train: Training sets; each makes a classifier of its own.
        test: The messages to classify. None classifies each training set's own messages, by
            classifiers that never saw their phrasings (five folds): what to choose a threshold on.
        embedder: The encoder (default: the one that ships with the package).

    Returns:
        The guesses for each training set.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: It failed.
    """
    if embedder is None:
        from llmops_kernel.embed import builtin

        embedder = builtin()
    # Each text is embedded once.
    texts = list({message.text: None for rows in (*train, test or ()) for message in rows})
    found = dict(zip(texts, embedder.embed_texts(texts), strict=True))
    jobs: list[dict[str, Any]] = [
        {
            "kind": "vectors",
            "train": [_rounded(found[m.text]) for m in rows],
            "labels": [m.intent for m in rows],
            "groups": [m.phrasing for m in rows] if test is None else None,
        }
        for rows in train
    ]
    if test is not None:
        return _guessed(jobs, [test] * len(jobs), [_rounded(found[m.text]) for m in test])
    return _guessed(jobs, train, [])


def by_model(folder: str | Path, test: Sequence[Message]) -> list[Guess]:
    """Classify messages with a trained model: its greedy answer, and how probable that was.

    Args:
        folder: Merged weights.
        test: The messages to classify.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: It failed.
    """
    job = {"kind": "model", "folder": str(folder)}
    return _guessed([job], [test], [each.text for each in test])[0]


def _rounded(vector: Any) -> list[float]:
    return [round(float(value), 5) for value in vector]


def _guessed(
    jobs: list[dict[str, Any]], asked_of: Sequence[Sequence[Message]], given: Sequence[Any]
) -> list[list[Guess]]:
    """Do jobs in one process; ``asked_of`` are the messages that each job's guesses are about."""
    with tempfile.TemporaryDirectory(prefix="llmops-intents-") as place:
        asked = Path(place) / "job.json"
        job = {"jobs": jobs, "test": list(given), "intents": intents()}
        asked.write_text(json.dumps(job), encoding="utf-8")
        said = run_beside(
            ["llmops_kernel.labs.intents_side", str(asked)], "The messages were not classified"
        )
    found: list[list[tuple[str, float]]] = json.loads(said.splitlines()[-1])
    return [
        [
            Guess(label, confidence, label == message.intent, message.phrasing)
            for (label, confidence), message in zip(guesses, messages, strict=True)
        ]
        for guesses, messages in zip(found, asked_of, strict=True)
    ]


def _filled(text: str, random: Random) -> str:
    for name, values in _SLOTS.items():
        while f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", random.choice(values), 1)
    return text


@cache
def _read() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for raw in _FILE.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if line.startswith("["):
            name = line[1:-1]
            found[name] = []
        elif line and not line.startswith("#"):
            found[name].append(line)
    return found
