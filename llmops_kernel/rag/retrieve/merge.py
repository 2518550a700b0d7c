"""Small chunks find, large ones tell: replacing neighbours by their parent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.rag.record import IndexRecord
    from llmops_kernel.rag.retrieve.found import Found


def merged(found: Sequence[Found], record: IndexRecord, share: float) -> list[Found]:
    """Replace found chunks by their parent where enough of its children are among them.

    The parent stands where its best child stood, with that child's scores.

    Args:
        found: Chunks, best first.
        record: The index they are from.
        share: Share of a parent's children that must be found, above 0.
    """
    families: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        if each.chunk.parent_id:
            families[each.chunk.parent_id].append(each)
    if not families:
        return list(found)
    counts = record.children_counts(list(families))
    complete = [
        parent
        for parent, children in families.items()
        if len(children) >= share * counts.get(parent, 1)
    ]
    parents = record.chunks(complete)
    told: set[str] = set()
    result: list[Found] = []
    for each in found:
        parent = parents.get(each.chunk.parent_id)
        if parent is None:
            result.append(each)
        elif parent.chunk_id not in told:
            told.add(parent.chunk_id)
            result.append(replace(each, chunk=parent))
    return result
