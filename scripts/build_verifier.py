"""Builds llmops_kernel/cache/semantic/strict.npz: the trees of the strict verifier.

Usage: python scripts/build_verifier.py [--data FOLDER] [--out FILE]

Trained on pairs made from Banking77's training questions (CC BY 4.0; the half whose checksum is
even), CLINC150's (CC BY 3.0), a grammar and triples of our own (``scripts/verifier``). Nothing from
sets that must not be shared on, or that forbid it, goes in. The same data and the same version of
scikit-learn give the same file; scikit-learn is needed here only, not where the trees are used.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import sys
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums of floats depend on who adds what first

import numpy as np

from llmops_kernel.cache.semantic.strict_features import features
from llmops_kernel.cache.semantic.strict_gates import full_veto
from llmops_kernel.cache.semantic.strict_trees import FILE, Trees
from llmops_kernel.cache.semantic.verbatim import NearVerbatim, signature
from llmops_kernel.embed import builtin

if TYPE_CHECKING:
    from numpy.typing import NDArray

OWN = Path(__file__).parent / "verifier"
SEED = 7
_PUBLIC = 2_500  # questions drawn from each public set
_PER_BLOCK = 40
_OWN_WEIGHT = 4.0
_REWORDINGS = (
    (r"\bhow (?:do|can) i\b", ("how would i", "what do i do to", "what is the way to")),
    (r"\bwhat is\b", ("what would be", "tell me what is")),
    (r"\bi want to\b", ("i would like to", "i wish to", "i am trying to")),
    (r"\bi need to\b", ("i have to", "i must")),
    (r"\bcan you\b", ("could you", "would you")),
    (r"\bthe\b", ("", "that", "this")),
    (r"\bmy\b", ("the",)),
    (r"\bwill\b", ("is going to",)),
    (r"\bpurchase\b", ("order",)),
    (r"\bget\b", ("obtain", "receive")),
    (r"\bbuy\b", ("purchase",)),
    (r"\bhelp me\b", ("assist me", "")),
    (r"^", ("actually, ", "so basically ", "i have a problem: ", "again: ", "just checking, ")),
    (r"$", (" again", " right away", " asap", " i am confused", " any idea", " if possible")),
)
_CHANGES = (
    ("from", "to"), ("with", "without"), ("before", "after"), ("can", "can not"),
    ("is", "is not"), ("activate", "deactivate"), ("open", "close"), ("send", "receive"),
    ("add", "remove"), ("lost", "stolen"), ("deposit", "withdraw"), ("increase", "decrease"),
    ("first", "last"), ("card", "account"), ("transfer", "refund"), ("pin", "password"),
    ("debit", "credit"), ("buy", "sell"), ("virtual", "physical"), ("domestic", "foreign"),
    ("my", "your"), ("how", "why"), ("when", "where"), ("monthly", "yearly"), ("atm", "app"),
    ("cancel", "confirm"), ("block", "unblock"), ("fee", "limit"), ("cheapest", "fastest"),
    ("change", "check"), ("declined", "pending"), ("cash", "cheque"), ("song", "movie"),
    ("hotel", "flight"), ("hot", "cold"), ("morning", "evening"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, whether they have the same answer, and how much the pair counts."""

    a: str
    b: str
    same: bool
    weight: float = 1.0


def own_triples() -> list[Pair]:
    """Read our triples: each gives a pair of either kind, and a second near miss."""
    pairs: list[Pair] = []
    for line in (OWN / "triples.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        question, same, other = (part.strip() for part in line.split("|"))
        pairs += [
            Pair(question, same, True, _OWN_WEIGHT),
            Pair(question, other, False, _OWN_WEIGHT),
            Pair(same, other, False, _OWN_WEIGHT),
        ]
    return pairs


def grammar(rng: random.Random) -> list[Pair]:
    """Fill the grammar's wordings: one block and filling is one answer, everything else another."""
    slots: dict[str, list[str]] = {}
    blocks: list[list[str]] = []
    for line in (OWN / "grammar.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("slot "):
            name, *values = (part.strip() for part in line.removeprefix("slot ").split("|"))
            slots[name] = values
        elif line.startswith("ask "):
            blocks.append([])
        elif line.startswith(" "):
            blocks[-1].append(line.strip())
    pairs: list[Pair] = []
    for number, wordings in enumerate(blocks):
        for _ in range(_PER_BLOCK):
            filling = {name: rng.choice(values) for name, values in slots.items()}
            one, other = rng.sample(wordings, 2)
            pairs.append(Pair(one.format(**filling), other.format(**filling), True))
            used = [name for name in slots if f"{{{name}}}" in one and f"{{{name}}}" in other]
            name = rng.choice(used)
            changed = rng.choice([value for value in slots[name] if value != filling[name]])
            twisted = {**filling, name: changed}
            pairs.append(Pair(one.format(**filling), other.format(**twisted), False))
            foreign = rng.choice(blocks[(number + rng.choice((-1, 1))) % len(blocks)])
            pairs.append(Pair(one.format(**filling), foreign.format(**filling), False))
    return pairs


def public(texts: list[tuple[str, str]], rng: random.Random) -> list[Pair]:
    """Make pairs from labelled questions: rewordings, one thing changed, the nearest of others."""
    drawn = rng.sample(texts, min(_PUBLIC, len(texts)))
    vectors = builtin().embed_texts([text for text, _ in drawn])
    intents = np.array([intent for _, intent in drawn])
    pairs: list[Pair] = []
    for number, (text, intent) in enumerate(drawn):
        pairs += [Pair(text, made, True) for made in _reworded(text, rng)]
        pairs += [Pair(text, made, False) for made in _changed(text, rng)]
        cosines = vectors @ vectors[number]
        cosines[intents == intent] = -1.0
        pairs.append(Pair(text, drawn[int(cosines.argmax())][0], False))
        pairs.append(
            Pair(text, _word_swapped(text, drawn[rng.randrange(len(drawn))][0], rng), False)
        )
    return [pair for pair in pairs if pair.a.casefold() != pair.b.casefold()]


def _reworded(text: str, rng: random.Random) -> list[str]:
    made = []
    for shape, others in rng.sample(_REWORDINGS, len(_REWORDINGS)):
        after = re.sub(shape, rng.choice(others), text, count=1, flags=re.IGNORECASE).strip()
        if after != text:
            made.append(after)
    return made[:2]


def _changed(text: str, rng: random.Random) -> list[str]:
    made = []
    for one, other in rng.sample(_CHANGES, len(_CHANGES)):
        for old, new in ((one, other), (other, one)):
            after = re.sub(rf"\b{old}\b", new, text, count=1, flags=re.IGNORECASE)
            if after != text:
                made.append(after)
    return made[:2]


def _word_swapped(text: str, other: str, rng: random.Random) -> str:
    """Return the text with one longer word replaced by one of another question."""
    ours = list(re.finditer(r"[A-Za-z]{4,}", text))
    theirs = re.findall(r"[A-Za-z]{4,}", other)
    if not ours or not theirs:
        return other
    word = rng.choice(ours)
    return text[: word.start()] + rng.choice(theirs) + text[word.end() :]


def banking(folder: Path) -> list[tuple[str, str]]:
    """Banking77's training questions with an even checksum; the others are left to measure with."""
    with (folder / "banking77_train.csv").open(encoding="utf-8") as file:
        rows = [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
    return [row for row in rows if zlib.crc32(row[0].encode()) % 2 == 0]


def clinc(folder: Path) -> list[tuple[str, str]]:
    """CLINC150's questions within its intents."""
    parts = json.loads((folder / "clinc150_train_val.json").read_text(encoding="utf-8"))
    return [(t, i) for name, part in sorted(parts.items()) if "oos" not in name for t, i in part]


def examples(pairs: list[Pair]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[Any]]:
    """Return features, labels and weights of the pairs that the rule leaves over."""
    rule = NearVerbatim()
    texts = sorted({text for pair in pairs for text in (pair.a, pair.b)})
    vectors = dict(zip(texts, builtin().embed_texts(texts), strict=True))
    signed = {text: signature(text) for text in texts}
    rows: list[list[float]] = []
    labels: list[int] = []
    weights: list[float] = []
    for pair in pairs:
        a, b = signed[pair.a], signed[pair.b]
        if a.is_literal or b.is_literal or rule.compare_signatures(a, b).same:
            continue
        rows.append(features(a, b, float(vectors[pair.a] @ vectors[pair.b])))
        labels.append(int(pair.same))
        # What the gates turn down never reaches the trees; it only teaches them a little.
        weights.append(pair.weight * (0.3 if full_veto(a, b) else 1.0))
    return np.array(rows), np.array(labels), np.array(weights)


def exported(model: Any) -> Trees:
    """Return a fitted ``HistGradientBoostingClassifier`` (two classes) as plain trees."""
    roots, feature, number, left, right = [], [], [], [], []
    for (predictor,) in model._predictors:  # noqa: SLF001 - it shows its trees in no other way
        start = len(feature)
        roots.append(start)
        for node in predictor.nodes:
            leaf = bool(node["is_leaf"])
            feature.append(-1 if leaf else int(node["feature_idx"]))
            number.append(float(node["value"] if leaf else node["num_threshold"]))
            left.append(0 if leaf else start + int(node["left"]))
            right.append(0 if leaf else start + int(node["right"]))
    base = float(model._baseline_prediction.ravel()[0])  # noqa: SLF001
    arrays = (np.array(each) for each in (roots, feature, number, left, right))
    return Trees(*arrays, base=base)


def fitted(
    rows: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any], trees: int = 120
) -> Any:
    """Fit so many trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.08, max_iter=trees, max_leaf_nodes=15, min_samples_leaf=40,
        l2_regularization=1.0, early_stopping=False, random_state=SEED,
    )  # fmt: skip
    return model.fit(rows, labels, sample_weight=weights)


def main() -> None:
    """Make the pairs, fit, check the walk against the library, write the file."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    default = Path(__file__).parents[2] / "shared" / "data" / "intents"
    parser.add_argument("--data", type=Path, default=default, help="folder of the intents")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    if not (options.data / "banking77_train.csv").exists():
        sys.exit(f"the public data folder is not there: {options.data}")
    rng = random.Random(SEED)  # noqa: S311
    parts = {
        "own triples": own_triples(), "grammar": grammar(rng),
        "Banking77": public(banking(options.data), rng),
        "CLINC150": public(clinc(options.data), rng),
    }  # fmt: skip
    counts: defaultdict[str, int] = defaultdict(int)
    pairs = [pair for part in parts.values() for pair in part]
    for name, part in parts.items():
        counts[name] = len(part)
    rows, labels, weights = examples(pairs)
    held = np.array([zlib.crc32(repr(row.tolist()).encode()) % 8 == 0 for row in rows])
    model = fitted(rows[~held], labels[~held], weights[~held])
    trees = exported(model)
    theirs = model.predict_proba(rows[held])[:, 1]
    ours = np.array([trees.probability(row) for row in rows[held].tolist()])
    sure = ours >= 0.95
    trees.save(options.out)
    sys.stdout.write(
        f"pairs: {dict(counts)}; {len(rows)} left by the rule, {int(labels.sum())} the same\n"
        f"greatest difference to scikit-learn: {np.abs(theirs - ours).max():.1e}\n"
        f"rows held out, p >= .95: {int(sure.sum())}, {int((1 - labels[held][sure]).sum())} wrong\n"
        f"{options.out.name}: {options.out.stat().st_size:,} bytes\n"
    )


if __name__ == "__main__":
    main()
