"""TruLens' records: rows of its records table, or the spans of its OpenTelemetry tracing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.problems import WrongRow
from llmops_kernel.judge.data.rows import parse, rows_of
from llmops_kernel.judge.data.shape import collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.data.rows import Row, Source

# Attribute names differ between versions in what stands before them.
_PREFIXES = ("ai.observability.", "trulens.")
_ROOT_INPUT = ("record_root.input", "record_root.main_input")
_ROOT_OUTPUT = ("record_root.output", "record_root.main_output")
_ROOT_REFERENCE = ("record_root.ground_truth_output",)
_CONTEXTS = ("retrieval.retrieved_contexts", "sem.retrieval.retrieved_contexts")
_RECORD = ("record_id", "record_root.record_id")


def from_trulens(source: Source) -> Dataset:
    """Return the samples of TruLens records.

    Contexts are what a retrieval returned: of a record's spans those of kind retrieval, of a row
    with ``record_json`` the calls of a method named like a retriever's that returned texts.
    Feedback scores stay in ``extra``: they are another judge's.

    Args:
        source: Rows of ``get_records_and_feedback`` (``df.to_json(orient="records")``), spans as
            TruLens' event table holds them (``record_attributes``), in JSON, JSONL or as a list.

    Raises:
        UsageProblem: The file cannot be read.
    """
    problems: list[Problem] = []
    rows = _records(rows_of(source, problems))
    return collect(rows, problems, _renamed)


def _records(rows: Iterable[Row]) -> Iterator[Row]:
    """Put the spans of a record together; other rows pass."""
    records: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, row in rows:
        attributes = _decoded(row.get("record_attributes", row.get("attributes")))
        facts = _bare(attributes) if isinstance(attributes, dict) else {}
        name = _first(facts, _RECORD)
        if not name:
            yield line, row
            continue
        _, record = records.setdefault(str(name), (line, {"record_id": str(name)}))
        _add(record, facts)
    yield from records.values()


def _add(record: dict[str, Any], facts: dict[str, Any]) -> None:
    for name, places in (
        ("input", _ROOT_INPUT),
        ("output", _ROOT_OUTPUT),
        ("reference", _ROOT_REFERENCE),
    ):
        value = _first(facts, places)
        if value is not None:
            record[name] = value
    found = _decoded(_first(facts, _CONTEXTS))
    if isinstance(found, list):
        record.setdefault("contexts", []).extend(each for each in found if isinstance(each, str))


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    record = _decoded(row.get("record_json"))
    record = record if isinstance(record, dict) else {}
    contexts = row.get("contexts")
    own = {
        "id": row.get("record_id") or record.get("record_id"),
        "user_input": _said(row.get("input", record.get("main_input"))),
        "response": _said(row.get("output", record.get("main_output"))),
        "reference": row.get("reference"),
        "retrieved_contexts": contexts if contexts is not None else _returned(record),
        "tags": _tags(row.get("tags")),
        "trace_id": row.get("trace_id"),
    }
    taken = {*own, "record_id", "input", "output", "record_json", "contexts"}
    return own | {name: value for name, value in row.items() if name not in taken}


def _returned(record: dict[str, Any]) -> list[str]:
    """Return the texts that a record's retrievals returned."""
    found: list[str] = []
    calls = record.get("calls")
    for call in calls if isinstance(calls, list) else []:
        stack = call.get("stack") if isinstance(call, dict) else None
        last = stack[-1] if isinstance(stack, list) and stack else {}
        method = last.get("method", {}).get("name", "") if isinstance(last, dict) else ""
        rets = call.get("rets") if isinstance(call, dict) else None
        if "retriev" in str(method).lower() and isinstance(rets, list):
            texts = [_passage(each) for each in rets]
            found.extend(text for text in texts if text and text not in found)
    return found


def _passage(value: Any) -> str:
    """Return the text of a string, of LangChain's documents or of LlamaIndex' nodes."""
    if isinstance(value, dict):
        node = value.get("node", value)
        value = next((node[n] for n in ("page_content", "text") if n in node), "")
    return value if isinstance(value, str) else ""


def _bare(attributes: dict[str, Any]) -> dict[str, Any]:
    bare = {}
    for name, value in attributes.items():
        prefix = next((p for p in _PREFIXES if name.startswith(p)), None)
        if prefix:
            bare[name.removeprefix(prefix)] = value
    return bare


def _first(facts: dict[str, Any], names: Iterable[str]) -> Any:
    return next((facts[name] for name in names if facts.get(name) is not None), None)


def _decoded(value: Any) -> Any:
    """Return what a JSON text holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return parse(value)
        except WrongRow:
            return value
    return value


def _said(value: Any) -> Any:
    """Return input or output: the records table keeps texts as JSON, with quotes around them."""
    if isinstance(value, str) and value[:1] == value[-1:] == '"' and len(value) > 1:
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _tags(value: Any) -> Any:
    return [value] if isinstance(value, str) and value not in {"", "-"} else (
        value if isinstance(value, list) else None
    )  # fmt: skip
