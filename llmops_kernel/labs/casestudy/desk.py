"""The bank's assistant as it grew: a long system prompt with tables, passages, and the question."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.labs import bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.messages import Message
    from llmops_kernel.session import Session

INDEX = "casestudy"
PUBLIC = "public"  # the tenant of private customers, in the cache
# Tables that somebody pasted into the system prompt, so that the assistant always has them.
TABLES = (
    ("Price list 2026", "shared/fees/fee-table-2026.md"),
    ("Decline codes of card payments", "shared/cards/decline-codes.csv"),
    ("Destination countries of transfers", "shared/payments/destination-countries.csv"),
    ("Error codes of payroll files", "shared/business/payroll-error-codes.csv"),
    ("Loan rates by band", "shared/lending/apr-bands.csv"),
    ("History of savings rates", "shared/savings/savings-rate-history.csv"),
    ("Known issues of the app", "shared/app/known-issues.csv"),
)
_PASSAGES = 1_800  # tokens of passages
_CANDIDATES = 24
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# What people say around a question. A search that reads it finds other passages for the same
# question, and then the cache, which is keyed by passages, does not know it again.
_BEFORE = re.compile(
    r"^(?:(?:hi|hello|hey)(?: there)?|good (?:morning|afternoon|evening)|quick question)[\s,.!:]+",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?:[\s,.!?]+(?:thanks|thx|thank you|please|pls|asap|cheers))*[\s.!?]*$", re.IGNORECASE
)


def system_prompt() -> str:
    """Return the assistant's system prompt, tables included."""
    rules = (Path(__file__).parent / "prompt.md").read_text(encoding="utf-8")
    folder = bank.documents_folder()
    tables = [
        f"## {title}\n\n{_FRONT.sub('', (folder / source).read_text(encoding='utf-8')).strip()}"
        for title, source in TABLES
    ]
    return "\n\n".join([rules.strip(), *tables])


def plain_question(text: str) -> str:
    """Return a question as it is searched for: without greeting, thanks, case and final marks."""
    return _AFTER.sub("", _BEFORE.sub("", text.strip())).lower()


class Desk:
    """Builds the assistant's prompts.

    Args:
        session: Whose record holds the index; the bank's documents are ingested at the first use.
        areas: Folders of shared documents to ingest, like "cards"; empty for all documents, those
            of tenants included.
    """

    def __init__(self, session: Session, areas: Sequence[str] = ()) -> None:
        self._session = session
        self._system = system_prompt()
        self._found: dict[tuple[str, str], str] = {}
        if INDEX not in session.indexes.names():
            _ingest(session, areas)

    def messages(self, text: str, tenant: str = "") -> tuple[Message, ...]:
        """Return the prompt of a question: system text, passages, and the question alone.

        The passages have a message of their own, so that the last one is the very question: what
        the cache compares.
        """
        return (
            {"role": "system", "content": self._system},
            {"role": "system", "content": self.passages(text, tenant)},
            {"role": "user", "content": text},
        )

    def passages(self, text: str, tenant: str = "") -> str:
        """Return the passages of a question, fenced; the same search is made once only."""
        from llmops_kernel.rag.answer.pack import fenced, pack
        from llmops_kernel.retrieval import search

        asked = plain_question(text) or text
        if (asked, tenant) not in self._found:
            pasted = {source for _, source in TABLES}
            found: list[Any] = [
                each
                for each in search(self._session, asked, INDEX, k=_CANDIDATES, tenant=tenant)
                if each.chunk.source not in pasted
            ]
            self._found[asked, tenant] = fenced(pack(found, _PASSAGES))
        return self._found[asked, tenant]


def _ingest(session: Session, areas: Sequence[str]) -> None:
    if not areas:
        bank.ingest_into(session, INDEX)
        return
    from llmops_kernel.rag.ingesting import ingest

    index = session.indexes.open_or_create(INDEX)
    for area in areas:
        folder = bank.documents_folder() / "shared" / area
        ingest(index, [str(folder)], prefix=f"shared/{area}/")
