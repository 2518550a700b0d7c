"""What the near-verbatim tier serves, how much of it wrongly, and what a decision costs.

Pairs are made from public questions by `_rewrites`, which knows nothing of the rule: each question
beside a light rewrite of itself (must be served) and beside copies with one decisive thing changed
(must not). `natural` rows are different questions of one data set that the rule takes for the same,
held against the set's own intent labels: there an error is mostly a label that differs between two
wordings of one question, so they are listed for reading and are no target.

Needs the public data folder (``../shared/data`` from the project's root, or ``LLMOPS_DATA``).
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import sys
import time
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure
import _rewrites as rewrites

from llmops_kernel.cache.semantic.evaluate import Evaluation, Pair, evaluate
from llmops_kernel.cache.semantic.verbatim import NearVerbatim, Signature, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Texts = list[tuple[str, str]]  # a question and its label
_SEED = 20_261
_ENTRIES = 10_000
_SHOWN = 8


def data_folder() -> Path:
    default = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("LLMOPS_DATA", default))


def banking(folder: Path) -> Texts:
    with (folder / "intents/banking77_train.csv").open(encoding="utf-8") as file:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]


def clinc(folder: Path) -> Texts:
    parts = json.loads((folder / "intents/clinc150_train_val.json").read_text(encoding="utf-8"))
    return [(text, intent) for part in parts.values() for text, intent in part]


def bitext_rows(folder: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for part in ("train", "val"):
        with (folder / f"intents/bitext_support_{part}.csv").open(encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def bitext(folder: Path) -> Texts:
    return [
        (row["utterance"], f"{row['intent']} {row['entity_value'].lower()}")
        for row in bitext_rows(folder)
    ]


def xquad(folder: Path) -> Texts:
    data = json.loads((folder / "retrieval/xquad_en.json").read_text(encoding="utf-8"))["data"]
    return [
        (question["question"].strip(), question["id"])
        for article in data
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def clapnq(folder: Path) -> Texts:
    lines = (folder / "retrieval/clapnq_dev_answerable.jsonl").read_text(encoding="utf-8")
    return [(json.loads(line)["input"], str(n)) for n, line in enumerate(lines.splitlines())]


def halueval(folder: Path) -> Texts:
    lines = (folder / "answers/halueval_general.jsonl").read_text(encoding="utf-8")
    return [(json.loads(line)["user_query"], str(n)) for n, line in enumerate(lines.splitlines())]


def bank_rows() -> list[dict[str, Any]]:
    room = files("llmops_kernel.labs").joinpath("data/bank/questions")
    return [
        json.loads(line)
        for file in sorted(room.iterdir(), key=lambda one: one.name)
        if file.name.endswith(".jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def bank(_: Path) -> Texts:
    return [(row["question"], row["id"]) for row in bank_rows()]


SETS: dict[str, Callable[[Path], Texts]] = {
    "banking77": banking, "clinc150": clinc, "bitext": bitext, "xquad": xquad, "clapnq": clapnq,
    "halueval": halueval, "bank": bank,
}  # fmt: skip


def made_pairs(texts: Texts, count: int, seed: int) -> list[Pair]:
    rng = random.Random(seed)
    chosen = [text for text, _ in texts if 10 < len(text) < 500]
    rng.shuffle(chosen)
    pairs: list[Pair] = []
    for text in chosen[:count]:
        pairs.append(Pair(text, rewrites.light(text, rng)[0], True, len(pairs)))
        for kind in rewrites.KINDS:
            other = rewrites.contrast(text, kind, rng)
            if other is None:
                continue
            if rng.random() < 0.3:  # a light rewrite on top must not hide the difference
                other = rewrites.light(other, rng)[0]
            if other.casefold() != text.casefold():  # it may have taken the change back
                pairs.append(Pair(text, other, False, len(pairs)))
    return pairs


def other_entities(folder: Path, count: int) -> list[Pair]:
    """Bitext's utterances beside themselves with another order number, sum or account type."""
    rng = random.Random(_SEED)
    rows = [row for row in bitext_rows(folder) if row["entity_value"]]
    values: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        values[row["entity_type"]].add(row["entity_value"])
    pairs: list[Pair] = []
    for row in rng.sample(rows, min(count, len(rows))):
        text, start, end = row["utterance"], int(row["start_offset"]), int(row["end_offset"])
        said = text[start:end].casefold()
        others = sorted(v for v in values[row["entity_type"]] if v.casefold() != said)
        if others:
            other = text[:start] + rng.choice(others) + text[end:]
            pairs.append(Pair(text, rewrites.light(other, rng)[0], False, len(pairs)))
    return pairs


def bank_groups() -> list[Pair]:
    """The bank's own groups: paraphrases have one answer, near misses have several."""
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in bank_rows():
        if row["group"]:
            groups[row["group"]].append(row)
    return [
        Pair(a["question"], b["question"], a["answer"] == b["answer"])
        for rows in groups.values()
        for a, b in itertools.combinations(rows, 2)
    ]


def natural_pairs(texts: Texts) -> list[Pair]:
    """Pairs of different texts that the rule takes for the same, by their keys."""
    labels = dict(texts)
    known = [(text, signature(text)) for text in labels]
    buckets: defaultdict[str, list[int]] = defaultdict(list)
    for number, (_, found) in enumerate(known):
        for key in set(found.keys):  # a text compared letter for letter has one
            buckets[key].append(number)
    rule = NearVerbatim()
    candidates = {pair for found in buckets.values() for pair in itertools.combinations(found, 2)}
    return [
        Pair(known[a][0], known[b][0], labels[known[a][0]] == labels[known[b][0]])
        for a, b in sorted(candidates)
        if rule.compare_signatures(known[a][1], known[b][1]).same
    ]


def lookup_ms(texts: Texts, count: int) -> list[float]:
    """CPU milliseconds of a whole decision beside many entries: signature, keys, comparison."""
    buckets: defaultdict[str, list[Signature]] = defaultdict(list)
    entries = [text for text, _ in texts][:_ENTRIES]
    for text in entries:
        found = signature(text)
        for key in found.keys:
            buckets[key].append(found)
    rng = random.Random(_SEED)
    rule = NearVerbatim()
    queries = [rewrites.light(rng.choice(entries), rng)[0] for _ in range(count)]
    spent: list[float] = []
    for query in queries:
        began = time.thread_time_ns()
        found = signature(query)
        for key in found.keys:
            if any(rule.compare_signatures(one, found).same for one in buckets.get(key, ())):
                break
        spent.append((time.thread_time_ns() - began) / 1e6)
    return sorted(spent)


def add_row(report: measure.Report, name: str, kind: str, found: Evaluation) -> None:
    facts = found.as_dict()
    share = facts["errors_per_hit"]
    report.add(
        set=name, pairs=kind, positives=facts["positives"], negatives=facts["negatives"],
        hits=facts["hits"], errors=facts["errors"], err_per_hit=share["value"], low=share["low"],
        high=share["high"], recall=facts["recall"], cpu_us=facts["cpu_us_per_decision"],
    )  # fmt: skip


def show(name: str, pairs: Iterable[Pair]) -> None:
    """Print pairs for reading; the data's rows stay out of the results file."""
    for pair in itertools.islice(pairs, _SHOWN):
        print(f"{name}: {pair.a!r} / {pair.b!r}", file=sys.stderr)


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    folder = data_folder()
    if not folder.is_dir():
        sys.exit(f"the public data folder is not there: {folder}")
    count = 150 if options.quick else 1_000
    report = measure.Report(
        "cache",
        "Near-verbatim tier: what is served, how much of it wrongly, at which cost",
        ("set", "pairs", "positives", "negatives", "hits", "errors", "err_per_hit", "low", "high",
         "recall", "cpu_us"),
        setup={"questions per set": count, "seed": _SEED, "entries of the lookup": _ENTRIES},
    )  # fmt: skip
    every: list[Pair] = []
    for number, (name, load) in enumerate(SETS.items()):
        texts = load(folder)
        pairs = made_pairs(texts, count, _SEED + number)
        every += pairs
        found = evaluate(pairs)
        add_row(report, name, "made", found)
        show(f"wrong, {name}", (served.pair for served in found.wrong))
        same = natural_pairs(texts)
        right = sum(pair.right for pair in same)
        report.add(set=name, pairs="natural", hits=len(same), errors=len(same) - right)
        show(f"other label, {name}", (pair for pair in same if not pair.right))
    entities = other_entities(folder, 4 * count)
    add_row(report, "bitext", "other entity", evaluate(entities))
    groups = bank_groups()
    add_row(report, "bank", "groups", evaluate(groups))
    add_row(report, "all", "made", made := evaluate(every))
    whole = evaluate([*every, *entities, *groups])
    add_row(report, "all", "made, other entity, groups", whole)
    show("decided one way only", whole.one_way)
    spent = lookup_ms(banking(folder), count)
    report.setup["lookup CPU ms"] = {
        "median": spent[len(spent) // 2], "p99": spent[int(len(spent) * 0.99)]
    }  # fmt: skip
    facts = whole.as_dict()
    report.targets += [
        measure.Target("errors per hit, upper bound", 0.01, facts["errors_per_hit"]["high"], ""),
        measure.Target("light rewrites served", 0.7, made.recall or 0.0, "", at_least=True),
        measure.Target("decision beside 10,000 entries, median", 1.0, spent[len(spent) // 2],
                       "ms CPU"),
    ]  # fmt: skip
    report.finish(options)


if __name__ == "__main__":
    main()
