"""Phoenix' spans: its REST pages, its JSONL exports, and its data frames."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.importers.texts import answered, asked, passages
from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Row, Source

_PEOPLE = "HUMAN"
_DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.document\.(content|id)")


def from_phoenix(source: Source, annotations: Source | None = None) -> Dataset:
    """Return a sample for each trace.

    Question and answer are ``input.value`` and ``output.value`` of the span without a parent (of
    the first, where a trace was exported in part); passages are ``retrieval.documents`` of its
    retriever spans. Spans of one ``session.id`` are one cluster.

    Args:
        source: Spans in OpenInference's vocabulary: rows of ``GET /v1/projects/{name}/spans``, or
            of a data frame (``df.reset_index().to_json(orient="records")``), as JSON, JSONL, pages
            with ``data``, or a list.
        annotations: Rows of ``span_annotations``; those of people become labels, others are kept
            in ``extra``.

    Raises:
        UsageProblem: A file cannot be read.
    """
    problems: list[Problem] = []
    said = list(rows_of(annotations, problems)) if annotations is not None else []
    by_span: dict[str, list[dict[str, Any]]] = {}
    for _, row in said:
        by_span.setdefault(str(row.get("span_id", row.get("context.span_id", ""))), []).append(row)
    return collect(_traces(rows_of(source, problems), by_span), problems)


def _traces(rows: Iterable[Row], annotations: dict[str, list[dict[str, Any]]]) -> Iterator[Row]:
    found: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    for line, row in rows:
        span = _flat(row)
        name = str(span.get("context.trace_id") or span.get("trace_id") or "")
        found.setdefault(name or f"line {line}", (line, []))[1].append(span)
    for name, (line, spans) in found.items():
        yield line, _row(name, spans, annotations)


def _row(
    name: str, spans: list[dict[str, Any]], annotations: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    root = next((span for span in spans if not span.get("parent_id")), spans[0])
    given: dict[str, str] = {}
    for span in spans:
        if "RETRIEV" in str(_of(span, "openinference.span.kind") or span.get("span_kind")).upper():
            for key, text in _documents(span):
                given.setdefault(text, key)
    human, others = _annotations(
        [each for span in spans for each in annotations.get(_span_id(span), ())]
    )
    keys = list(given.values())
    return {
        "id": name,
        "user_input": asked(_of(root, "input.value")),
        "response": answered(_of(root, "output.value")),
        "retrieved_contexts": list(given),
        "retrieved_context_ids": keys if all(keys) else [],
        "cluster": str(_of(root, "session.id") or ""),
        "trace_id": name,
        "human": human,
        "extra": {
            **({"annotations": others} if others else {}),
            **({"name": root["name"]} if root.get("name") else {}),
        },
    }


def _documents(span: dict[str, Any]) -> list[tuple[str, str]]:
    whole = _of(span, "retrieval.documents")
    if whole is not None:
        return passages(whole)
    numbered: dict[int, dict[str, str]] = {}
    for name, value in span.items():
        match = _DOCUMENT.search(name)
        if match:
            numbered.setdefault(int(match[1]), {})[match[2]] = str(value)
    return passages([numbered[number] for number in sorted(numbered)])


def _annotations(rows: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    human: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for row in rows:
        result = row.get("result") if isinstance(row.get("result"), dict) else row
        assert isinstance(result, dict)
        name = str(row.get("name", row.get("annotation_name", "")))
        said: dict[str, Any] = {}
        if isinstance(result.get("score"), int | float):
            said["score"] = float(result["score"])
        if result.get("label") is not None:
            said["label"] = str(result["label"])
        if not name or not said:
            continue
        if str(row.get("annotator_kind", "")).upper() == _PEOPLE:
            human[name] = said | {
                key: str(row[field])
                for key, field in (("rater", "user_id"), ("at", "updated_at"))
                if row.get(field)
            }
        else:
            others[name] = said.get("score", said.get("label"))
    return human, others


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a span with dotted names, whether it came nested or flat; lists stay whole."""
    found: dict[str, Any] = {}

    def put(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for name, each in value.items():
                put(f"{prefix}.{name}" if prefix else str(name), each)
        else:
            found[prefix] = value

    put("", row)
    return found


def _of(span: dict[str, Any], name: str) -> Any:
    value = span.get(f"attributes.{name}")
    return span.get(name) if value is None else value


def _span_id(span: dict[str, Any]) -> str:
    return str(span.get("context.span_id") or span.get("span_id") or "")
