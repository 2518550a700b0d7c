"""Labelled questions, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class GoldSpan:
    """A passage that answers a question: characters of a document's text, or a quote from it.

    Attributes:
        source: The document's source, as `rag ingest` named it, or its id.
        start: First character; None with a quote.
        end: One past the last character; None with a quote.
        quote: The passage itself; it is looked up in the document.
    """

    source: str
    start: int | None = None
    end: int | None = None
    quote: str = ""


@dataclass(frozen=True, slots=True)
class EvalQuestion:
    """A question and what a search should find for it.

    Attributes:
        id: Its name in reports; the line's number where the row has none.
        question: What is asked.
        gold_ids: Chunk ids, document ids or sources. A document is found with any chunk of it.
        gold_spans: Passages.
        tenant: Who asks; None for the evaluation's tenant.
        kind: A label to group scores by.
        line: Where the row stands in its file, from 1.
    """

    id: str
    question: str
    gold_ids: tuple[str, ...] = ()
    gold_spans: tuple[GoldSpan, ...] = ()
    tenant: str | None = None
    kind: str = ""
    line: int = 0

    @property
    def has_gold(self) -> bool:
        """Whether anything should be found; False for a question that has no answer."""
        return bool(self.gold_ids or self.gold_spans)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be scored.

    Attributes:
        line: Where it stands in its file, from 1.
        id: Its id, or "" where it has none.
        reason: What is wrong, without figures.
        detail: What was found.
    """

    line: int
    id: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        name = f" ({self.id})" if self.id and self.id != str(self.line) else ""
        return f"line {self.line}{name}: {self.reason}{f': {self.detail}' if self.detail else ''}"


class _Wrong(Exception):
    """A row of another form; carries (reason, detail)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def load_questions(path: str | Path) -> tuple[list[EvalQuestion], list[BadRow]]:
    """Read a JSONL file of labelled questions.

    A row has ``question``, and ``gold_ids`` (chunk ids, document ids or sources) or ``gold_spans``
    (``{"source", "start", "end"}`` or ``{"source", "quote"}``), or both. An empty list says that
    the documents hold no answer. ``id``, ``tenant`` and ``kind`` are optional.

    Args:
        path: The file, in UTF-8.

    Returns:
        The questions, and the rows that are none.

    Raises:
        UsageProblem: The file cannot be read, or has no rows.
    """
    file = Path(path).expanduser()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageProblem(
            "The questions cannot be read",
            detail=f"{file}: {error.strerror or type(error).__name__}",
            hint="Name a JSONL file with one question a line",
        ) from error
    questions, bad = parse_questions(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    if not questions and not bad:
        raise UsageProblem(
            "There are no questions in the file",
            detail=str(file),
            hint='A row is {"question": "...", "gold_ids": ["..."]}',
        )
    return questions, bad


def parse_questions(
    lines: Iterable[str | bytes],
) -> tuple[list[EvalQuestion], list[BadRow]]:
    """Read labelled questions from lines; empty lines are passed over.

    Returns:
        The questions, and the rows that are none.
    """
    questions: list[EvalQuestion] = []
    bad: list[BadRow] = []
    taken: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name = ""
        try:
            row = _object(line)
            name = _name(row, number)
            if name in taken:
                raise _Wrong("the id is used twice", name)
            taken.add(name)
            questions.append(_question(row, name, number))
        except _Wrong as wrong:
            bad.append(BadRow(number, name, wrong.reason, wrong.detail))
    return questions, bad


def _object(line: str | bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise _Wrong("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise _Wrong("not JSON", str(error)) from None
    if not isinstance(row, dict):
        raise _Wrong("not a JSON object", type(row).__name__)
    return row


def _name(row: dict[str, Any], number: int) -> str:
    name = row.get("id")
    if name is None or name == "":
        return str(number)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise _Wrong("the id is no text", repr(name))
    return str(name)


def _question(row: dict[str, Any], name: str, number: int) -> EvalQuestion:
    question = row.get("question")
    if not isinstance(question, str) or not question.strip():
        raise _Wrong("there is no question")
    given = [row.get("gold_ids"), row.get("gold_spans")]
    if given == [None, None]:
        raise _Wrong("there are neither gold_ids nor gold_spans")
    ids, spans = ([] if each is None else each for each in given)
    if not isinstance(ids, list) or not all(isinstance(each, str) and each for each in ids):
        raise _Wrong("gold_ids is not a list of texts")
    if not isinstance(spans, list):
        raise _Wrong("gold_spans is not a list")
    tenant = row.get("tenant")
    if tenant is not None and not isinstance(tenant, str):
        raise _Wrong("the tenant is no text", repr(tenant))
    kind = row.get("kind")
    return EvalQuestion(
        id=name,
        question=question,
        gold_ids=tuple(ids),
        gold_spans=tuple(_span(each) for each in spans),
        tenant=tenant,
        kind=kind if isinstance(kind, str) else "",
        line=number,
    )


def _span(given: Any) -> GoldSpan:
    if not isinstance(given, dict):
        raise _Wrong("a gold span is not a JSON object", repr(given)[:80])
    source, quote = given.get("source"), given.get("quote")
    if not isinstance(source, str) or not source:
        raise _Wrong("a gold span has no source")
    if quote is not None:
        if not isinstance(quote, str) or not quote.strip():
            raise _Wrong("a gold span has an empty quote", source)
        return GoldSpan(source, quote=quote)
    start, end = given.get("start"), given.get("end")
    if not (_is_place(start) and _is_place(end) and start < end):
        raise _Wrong("a gold span needs a quote, or start and end", source)
    return GoldSpan(source, start, end)


def _is_place(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
