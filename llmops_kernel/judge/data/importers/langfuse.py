"""Langfuse's traces: its JSON and JSONL exports, and pages of its public API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.importers.texts import answered, asked, decoded, passages
from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Row, Source

_PEOPLE = "ANNOTATION"


def from_langfuse(source: Source) -> Dataset:
    """Return a sample for each trace.

    Question and answer are the trace's input and output, or those of its first observation without
    a parent; passages are what observations of type RETRIEVER (or with "retriev" in their name)
    gave back. Scores that people gave (source ANNOTATION) become labels; other scores stay in
    ``extra``: they are another judge's. Traces of one session are one cluster.

    Args:
        source: Traces with their observations, as the download of a trace and the API's
            ``/traces/{id}`` have them, or rows of observations with ``traceId``; in JSON, JSONL,
            pages with ``data``, or as a list.

    Raises:
        UsageProblem: The file cannot be read.
    """
    problems: list[Problem] = []
    return collect(_traces(rows_of(source, problems)), problems, _renamed)


def _traces(rows: Iterable[Row]) -> Iterator[Row]:
    """Put observations of a trace together; whole traces pass."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, row in rows:
        if isinstance(row.get("trace"), dict):
            row = {**row, **row["trace"]}
        name = row.get("traceId", row.get("trace_id"))
        if not name or "observations" in row:
            yield line, row
            continue
        _, trace = found.setdefault(str(name), (line, {"id": str(name), "observations": []}))
        trace["observations"].append(row)
    yield from found.values()


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    observations = [each for each in row.get("observations") or [] if isinstance(each, dict)]
    root = next((each for each in observations if not _parent(each)), {})
    given = passages_of(observations)
    human, others = _scores(row.get("scores"))
    tags = row.get("tags")
    return {
        "id": row.get("id"),
        "user_input": asked(row.get("input")) or asked(root.get("input")),
        "response": answered(row.get("output")) or answered(root.get("output")),
        "retrieved_contexts": [text for _, text in given],
        "retrieved_context_ids": [name for name, _ in given] if all(n for n, _ in given) else [],
        "cluster": str(row.get("sessionId") or root.get("sessionId") or ""),
        "tags": [str(each) for each in tags] if isinstance(tags, list) else [],
        "trace_id": str(row.get("id") or ""),
        "human": human,
        "extra": {
            **({"scores": others} if others else {}),
            **{k: row[k] for k in ("name", "version", "release") if row.get(k) is not None},
        },
    }


def passages_of(observations: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the passages that retrievals gave back, each once, in order."""
    found: dict[str, str] = {}
    for each in observations:
        kind, name = str(each.get("type", "")).upper(), str(each.get("name", "")).lower()
        if kind == "RETRIEVER" or (kind != "GENERATION" and "retriev" in name):
            for key, text in passages(each.get("output")):
                found.setdefault(text, key)
    return [(key, text) for text, key in found.items()]


def _parent(observation: dict[str, Any]) -> Any:
    return observation.get("parentObservationId", observation.get("parent_observation_id"))


def _scores(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what people said, by name, and what else is known of a trace."""
    human: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for each in decoded(value) or []:
        if not isinstance(each, dict) or not each.get("name"):
            continue
        name, number, text = str(each["name"]), each.get("value"), each.get("stringValue")
        said: dict[str, Any] = {}
        if text is not None and str(each.get("dataType", "")).upper() != "NUMERIC":
            said["label"] = str(text)
        elif isinstance(number, int | float) and not isinstance(number, bool):
            said["score"] = float(number)
        else:
            continue
        if str(each.get("source", "")).upper() == _PEOPLE:
            human[name] = said | {
                key: str(each[field])
                for key, field in (("rater", "authorUserId"), ("at", "timestamp"))
                if each.get(field)
            }
        else:
            others[name] = said.get("score", said.get("label"))
    return human, others
