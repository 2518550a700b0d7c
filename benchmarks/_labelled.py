"""Labelled document collections: public ones where they are present, and the bank's.

Each is written as files, so that reading, chunking, embedding and searching are all ours.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

from llmops_kernel.labs import bank
from llmops_kernel.rag.evaluate import EvalQuestion, GoldSpan

DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))
PUBLIC = DATA / "retrieval"


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents as files below a folder, and questions about them.

    Attributes:
        reference: nDCG@10 and recall@5 by method, measured in plain numpy and bm25s with the same
            model, on chunks of 800 characters.
        chunker: What cuts it; None for the default.
        size: Tokens of a chunk; None for the chunker's own.
    """

    name: str
    folder: Path
    questions: list[EvalQuestion]
    reference: dict[str, tuple[float, float]]
    chunker: str | None = None
    size: int | None = None


def xquad(folder: Path) -> Collection:
    """One paragraph a document, its questions' gold is the paragraph."""
    questions: list[EvalQuestion] = []
    number = 0
    for article in _load("xquad_en.json")["data"]:
        for paragraph in article["paragraphs"]:
            name = f"{number:04}.txt"
            number += 1
            (folder / name).write_text(paragraph["context"], encoding="utf-8")
            questions += [
                EvalQuestion(each["id"], each["question"], (name,)) for each in paragraph["qas"]
            ]
    reference = {
        "bm25": (0.963, 0.986), "dense": (0.941, 0.982), "hybrid": (0.979, 0.995),
        "hybrid rrf": (0.971, 0.992),
    }  # fmt: skip
    return Collection("xquad_en", folder, questions, reference)


def clapnq(folder: Path) -> Collection:
    """One passage a document."""
    names: dict[str, str] = {}
    questions: list[EvalQuestion] = []
    for line in (PUBLIC / "clapnq_dev_answerable.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = []
        for passage in row["passages"]:
            text = f"{passage['title']}\n\n{passage['text']}"
            name = names.setdefault(text, f"{len(names):04}.txt")
            (folder / name).write_text(text, encoding="utf-8")
            gold.append(name)
        questions.append(EvalQuestion(row["id"], row["input"], tuple(gold)))
    reference = {
        "bm25": (0.946, 0.970), "dense": (0.985, 1.0), "hybrid": (0.987, 0.993),
        "hybrid rrf": (0.974, 0.993),
    }  # fmt: skip
    return Collection("clapnq", folder, questions, reference)


def chunking_eval(folder: Path) -> Collection:
    """Three long documents with character spans; chunks of the reference's size."""
    texts = {}
    for file in sorted((PUBLIC / "chunking_eval").glob("*.md")):
        texts[file.stem] = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(texts[file.stem], encoding="utf-8")
    questions = []
    with (PUBLIC / "chunking_eval" / "questions.csv").open(encoding="utf-8", newline="") as rows:
        for number, row in enumerate(csv.DictReader(rows)):
            source = f"{row['corpus_id']}.md"
            spans = tuple(
                GoldSpan(source, each["start_index"], each["end_index"])
                for each in json.loads(row["references"])
            )
            questions.append(EvalQuestion(str(number), row["question"], gold_spans=spans))
    reference = {
        "bm25": (0.843, 0.906), "dense": (0.744, 0.844), "hybrid": (0.843, 0.930),
        "hybrid rrf": (0.809, 0.896),
    }  # fmt: skip
    return Collection("chunking_eval", folder, questions, reference, "sentence", 240)


def bank_questions() -> list[EvalQuestion]:
    """Return the bank's questions that have gold."""
    return [
        EvalQuestion(
            each.id,
            each.question,
            gold_spans=tuple(GoldSpan(gold.source, quote=gold.quote) for gold in each.gold),
            tenant=each.tenant,
            kind=each.kind,
        )
        for each in bank.questions()
        if each.gold
    ]


def _load(name: str) -> dict[str, list[dict[str, list[dict[str, object]]]]]:
    found: dict[str, list[dict[str, list[dict[str, object]]]]] = json.loads(
        (PUBLIC / name).read_text(encoding="utf-8")
    )
    return found
