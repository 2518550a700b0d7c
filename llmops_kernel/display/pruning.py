"""Which spans of a large trace are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.trace.spans import Span, SpanNode

_FAILED = ("error", "refused", "cancelled", "interrupted")
_FAILURES = 5  # failed spans kept from either end


@dataclass(frozen=True, slots=True)
class Pruned:
    """A tree of bounded size.

    Attributes:
        spans: All spans of the trace, parents before children.
        items: For each span that is shown (an index into ``spans``), what is shown below it, in
            order: spans, and notes of how many spans were left out at that place.
    """

    spans: list[Span]
    items: dict[int, list[int | str]]


def prune(root: SpanNode, limit: int) -> Pruned:
    """Choose at most ``limit`` spans, and at least the root.

    A runaway loop's trace is a thousand equal calls and one refusal: failures and the last span
    come first, then spans in order. A span is only shown below its parents.
    """
    spans, parents = _flatten(root)
    kept = _choose(spans, parents, max(limit, 1))
    sizes = [1] * len(spans)
    for index in range(len(spans) - 1, 0, -1):
        sizes[parents[index]] += sizes[index]
    items: dict[int, list[int | str]] = {index: [] for index in sorted(kept)}
    missing: dict[int, int] = dict.fromkeys(kept, 0)
    for index in range(1, len(spans)):
        parent = parents[index]
        if index in kept:
            _note(items[parent], missing, parent)
            items[parent].append(index)
        elif parent in kept:
            missing[parent] += sizes[index]
    for parent in kept:
        _note(items[parent], missing, parent)
    return Pruned(spans, items)


def _flatten(root: SpanNode) -> tuple[list[Span], list[int]]:
    # With a stack of its own: a trace may be nested deeper than Python recurses.
    spans: list[Span] = []
    parents: list[int] = []
    todo = [(root, -1)]
    while todo:
        node, parent = todo.pop()
        index = len(spans)
        spans.append(node.span)
        parents.append(parent)
        todo.extend((child, index) for child in reversed(node.children))
    return spans, parents


def _choose(spans: list[Span], parents: list[int], limit: int) -> set[int]:
    kept = {0}
    failed = [index for index, span in enumerate(spans) if span.status in _FAILED]
    for index in [*failed[-_FAILURES:], *failed[:_FAILURES], len(spans) - 1]:
        path = set()
        step = index
        while step not in kept and step not in path:
            path.add(step)
            step = parents[step]
        if len(kept) + len(path) <= limit:
            kept |= path
    for index in range(len(spans)):
        if len(kept) >= limit:
            break
        if parents[index] in kept:
            kept.add(index)
    return kept


def _note(items: list[int | str], missing: dict[int, int], parent: int) -> None:
    if missing[parent]:
        items.append(f"… {missing[parent]:,} more")
        missing[parent] = 0
