"""Answers from documents that the record holds, as samples."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.problems import Dataset, Problem, WrongRow
from llmops_kernel.judge.data.shape import collect
from llmops_kernel.trace.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.judge.data.rows import Row
    from llmops_kernel.store import Store
    from llmops_kernel.trace.spans import SpanNode

# The passages as `rag` gives them to a model. A passage's own fence is escaped there.
_PASSAGE = re.compile(r'<document id="\d+"[^>\n]*>\n(.*?)\n</document>', re.DOTALL)
_ESCAPED = re.compile(r"&lt;(?=\s*/?\s*documents?\b)", re.IGNORECASE)
_PREFIX = "rag "


def from_traces(
    store: Store,
    *,
    trace_ids: Sequence[str] | None = None,
    index: str | None = None,
    limit: int = 1_000,
) -> Dataset:
    """Return a sample for each answer from documents, newest trace first.

    A sample is what one `rag` span tells: its question and answer, and the passages of the model
    call below it. Answers of one trace are one cluster. What was not kept is a `Problem`: content
    that was not captured, a prompt that was cut, a search that did not end well.

    Args:
        store: The record.
        trace_ids: Which traces; the newest ones without.
        index: Only answers from this index.
        limit: How many traces are looked at.

    Raises:
        StoreError: The record cannot be read.
    """
    from llmops_kernel.store import Lease

    tracer = Tracer(store, Lease.mine())  # reads only: no row is written for it
    if trace_ids is None:
        trace_ids = list(dict.fromkeys(span.trace_id for span in tracer.roots(limit)))
    problems: list[Problem] = []
    rows: list[Row] = []
    place = 0
    for trace_id in trace_ids:
        top = tracer.trace(trace_id)
        answers = list(_answers(top, index)) if top else []
        for node in answers:
            place += 1
            try:
                rows.append((place, _row(node, alone=len(answers) == 1)))
            except WrongRow as wrong:
                problems.append(Problem(place, wrong.reason, node.span.span_id, wrong.detail))
    return collect(rows, problems)


def _answers(node: SpanNode, index: str | None) -> Iterator[SpanNode]:
    span = node.span
    named = span.name.startswith(_PREFIX) and index in (None, span.name.removeprefix(_PREFIX))
    if span.kind == "retrieval" and named:
        yield node
    # A trace with several roots hangs the later ones below the first, so this goes on inside.
    for child in node.children:
        yield from _answers(child, index)


def _row(node: SpanNode, *, alone: bool) -> dict[str, Any]:
    span = node.span
    if span.status != "ok":
        raise WrongRow("the answer did not end well", span.status)
    if not span.input:
        raise WrongRow("the content was not captured")
    passages, model = _passages(node)
    ids = _chunk_ids(node)
    return {
        "id": span.span_id,
        "user_input": span.input,
        "response": span.output,
        "retrieved_contexts": passages,
        "retrieved_context_ids": ids if len(ids) == len(passages) else [],
        "cluster": "" if alone else span.trace_id,
        "trace_id": span.trace_id,
        "extra": {
            "index": span.name.removeprefix(_PREFIX),
            "model": model,
            "found": span.attributes.get("found"),
        },
    }


def _passages(node: SpanNode) -> tuple[list[str], str]:
    """Return the passages that the last model call with passages was given, and its model."""
    for child in reversed(_own(node)):
        if child.span.kind != "llm":
            continue
        try:
            messages = json.loads(child.span.input)["messages"]
            said = messages[-1]["content"]
        except (ValueError, LookupError, TypeError):
            raise WrongRow("the prompt was not kept whole") from None
        if isinstance(said, str) and said.startswith("<documents>"):
            texts = [_ESCAPED.sub("<", text) for text in _PASSAGE.findall(said)]
            return texts, str(child.span.attributes.get("model", ""))
    return [], ""


def _own(node: SpanNode) -> list[SpanNode]:
    return [child for child in node.children if child.span.parent_id == node.span.span_id]


def _chunk_ids(node: SpanNode) -> list[str]:
    for child in _own(node):
        if child.span.name == "retrieve":
            try:
                return [str(each["chunk"]) for each in json.loads(child.span.output)]
            except (ValueError, LookupError, TypeError):
                return []
    return []
