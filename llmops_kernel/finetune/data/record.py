"""What models were asked and answered on this machine, as rows to train on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.data.reading import RECORD, Source
from llmops_kernel.judge.data.problems import Problem, WrongRow
from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.trace.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.store import Store
    from llmops_kernel.trace.spans import Span, SpanNode

_MOST = 10_000  # traces


def trace_rows(
    path: str, problems: list[Problem], *, store: Store | None = None, limit: int | None = None
) -> Iterator[Source]:
    """Yield a row of ``messages`` for each whole answer of a model.

    Args:
        path: ``record``, or a JSONL file of spans (``kind``, ``status``, ``input``, ``output``).
        problems: Where calls are put that cannot be learnt from.
        store: The record (for ``record``; by default that of the settings).
        limit: How many calls are looked at.

    Raises:
        StoreError: The record cannot be read.
        UsageProblem: The file cannot be read.
    """
    spans = _recorded(store, limit) if path == RECORD else rows_of(path, problems)
    calls = others = 0
    for number, span in spans:
        if span.get("kind") != "llm":
            others += 1
            if "kind" not in span:
                problems.append(Problem(number, "the line is no span of a trace"))
            continue
        calls += 1
        try:
            yield number, _row(span)
        except WrongRow as wrong:
            problems.append(Problem(number, wrong.reason, "", wrong.detail))
    if not calls:
        where = "the record" if path == RECORD else "the file"
        told = f"{where} holds no call of a model (kind: llm) among {others} spans"
        problems.insert(0, Problem(0, "no span is a call of a model", "", told))


def _row(span: dict[str, Any]) -> dict[str, Any]:
    facts = span.get("attributes") or {}
    if span.get("status") != "ok":
        raise WrongRow("the call did not end well", str(span.get("status")))
    if facts.get("book") == "simulated":
        raise WrongRow("no model answered, the call was simulated")
    if facts.get("finish_reason") == "length":
        raise WrongRow("the answer was cut off")
    try:
        messages = json.loads(span.get("input") or "")["messages"]
    except (ValueError, LookupError, TypeError):
        raise WrongRow("the prompt was not kept whole") from None
    output = str(span.get("output") or "")
    if not output or output.startswith("[{"):
        raise WrongRow("the answer is no text")
    return {
        "messages": [*messages, {"role": "assistant", "content": output}],
        "model": facts.get("model", ""),
        "trace_id": span.get("trace_id", ""),
    }


def _recorded(store: Store | None, limit: int | None) -> Iterator[Source]:
    from llmops_kernel.settings import Settings
    from llmops_kernel.store import Lease, open_store

    opened = store or open_store(Settings.load().store)
    try:
        tracer = Tracer(opened, Lease.mine())  # reads only: no row is written for it
        number = 0
        for root in tracer.roots(min(limit or _MOST, _MOST)):
            for span in _calls(tracer.trace(root.trace_id)):
                number += 1
                yield (
                    number,
                    {
                        "kind": span.kind,
                        "status": span.status,
                        "attributes": span.attributes,
                        "input": span.input,
                        "output": span.output,
                        "trace_id": span.trace_id,
                    },
                )
    finally:
        if store is None:
            opened.close()


def _calls(node: SpanNode | None) -> Iterator[Span]:
    if node is None:
        return
    if node.span.kind == "llm":
        yield node.span
    for child in node.children:
        yield from _calls(child)
