"""Moorhen, a fictional neobank: its documents, and labelled questions about them.

About 120 policy and help documents, two versions of the fee table among them, documents of three
business customers that nobody else may see, and one document that was poisoned: it carries
instructions to whoever reads it. All names, figures and rules are invented.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmops_kernel.rag.ingesting import IngestReport
    from llmops_kernel.session import Session

KINDS = ("answerable", "indirect", "paraphrase", "near_miss", "unanswerable", "injection")
TENANTS = ("harbor-foods", "kite-logistics", "lumen-clinics")
POISONED = "shared/support/community-tips.md"
OLD_FEES = "shared/fees/fee-table-2025.md"
FEES = "shared/fees/fee-table-2026.md"

_FOLDER = Path(__file__).parent / "data" / "bank"


@dataclass(frozen=True, slots=True)
class Gold:
    """A passage that answers a question.

    Attributes:
        source: The document, as `ingest_into` names it.
        quote: The passage, as it stands once in the document's file.
    """

    source: str
    quote: str


@dataclass(frozen=True, slots=True)
class Question:
    """A labelled question.

    Attributes:
        id: Area and number, like "cards-017".
        kind: "answerable" is asked plainly, "indirect" as a story or without the subject's words,
            "paraphrase" is one of several wordings that share an answer, "near_miss" one of two
            that sound alike and do not, "unanswerable" is not in the documents, and "injection"
            carries an instruction to break the rules.
        group: The group of a paraphrase or near miss; "" for the others.
        question: As a customer wrote it.
        answer: A reference answer, or the refusal.
        key_facts: What a right answer must say, in some form.
        gold: Where the documents say it; empty where they do not.
        tenant: The business customer who asks; "" for everybody else.
    """

    id: str
    kind: str
    group: str
    question: str
    answer: str
    key_facts: tuple[str, ...]
    gold: tuple[Gold, ...]
    tenant: str

    @property
    def area(self) -> str:
        """What it is about, like "cards"."""
        return self.id.rpartition("-")[0]


def documents_folder() -> Path:
    """Return the folder of the documents: ``shared``, and ``tenants`` with one for each tenant."""
    return _FOLDER / "docs"


def questions(kinds: Iterable[str] | None = None) -> list[Question]:
    """Return the labelled questions, ordered by id.

    Args:
        kinds: Of these kinds only (`KINDS`).

    Raises:
        UsageProblem: There is no such kind.
    """
    wanted = KINDS if kinds is None else ((kinds,) if isinstance(kinds, str) else tuple(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise UsageProblem(
                f"There is no kind of question {kind!r}{nearest(kind, KINDS)}",
                hint=f"Known are {', '.join(KINDS)}",
            )
    found = [
        _question(json.loads(line))
        for file in (_FOLDER / "questions").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    return sorted((each for each in found if each.kind in wanted), key=lambda each: each.id)


def ingest_into(
    session: Session, index: str = "bank", **made_of: str | int | None
) -> list[IngestReport]:
    """Bring the bank's documents into an index, each tenant's behind their wall.

    Args:
        session: Whose record holds the index.
        index: Its name; it is made where there is none.
        made_of: ``chunker``, ``size``, ``overlap``, ``embedder`` and ``store`` of a new index.

    Returns:
        What was done: the shared documents, then each tenant's.

    Raises:
        UsageProblem: The index exists and is made of something else.
        StoreError: Record or vector store cannot be used.
    """
    from llmops_kernel.rag.ingesting import ingest

    opened = session.indexes.open_or_create(index, **made_of)
    folder = documents_folder()
    reports = [ingest(opened, [str(folder / "shared")], prefix="shared/")]
    reports += [
        ingest(
            opened,
            [str(folder / "tenants" / tenant)],
            tenant=tenant,
            prefix=f"tenants/{tenant}/",
        )
        for tenant in TENANTS
    ]
    return reports


def write_questions(path: str | Path, kinds: Iterable[str] | None = None) -> int:
    """Write the questions as ``llmops rag evaluate`` reads them.

    Args:
        path: The file; it is replaced.
        kinds: Of these kinds only.

    Returns:
        How many were written.

    Raises:
        UsageProblem: There is no such kind, or the file cannot be written.
    """
    rows = [json.dumps(_row(each), ensure_ascii=False) for each in questions(kinds)]
    try:
        Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageProblem(
            "The questions cannot be written", detail=f"{path}: {error.strerror}"
        ) from error
    return len(rows)


def _question(row: dict[str, Any]) -> Question:
    return Question(
        id=row["id"],
        kind=row["kind"],
        group=row["group"],
        question=row["question"],
        answer=row["answer"],
        key_facts=tuple(row["key_facts"]),
        gold=tuple(Gold(each["source"], each["quote"]) for each in row["gold"]),
        tenant=row["tenant"],
    )


def _row(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "kind": question.kind,
        "tenant": question.tenant,
        "gold_spans": [{"source": each.source, "quote": each.quote} for each in question.gold],
    }
