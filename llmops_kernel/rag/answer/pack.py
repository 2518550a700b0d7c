"""Fitting passages into a token budget, as data that cannot pass for instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.retrieve import Found

# A document that brings its own fence could end ours and go on as instructions.
_FENCE = re.compile(r"<(?=\s*/?\s*documents?\b)", re.IGNORECASE)
_FENCE_TOKENS = 30


@dataclass(frozen=True, slots=True)
class Packed:
    """A passage that goes to the model, under a number."""

    number: int
    found: Found

    @property
    def chunk(self) -> Chunk:
        """The passage."""
        return self.found.chunk


def pack(found: Sequence[Found], budget: int) -> list[Packed]:
    """Return the passages that fit, best first, without those that lie within another.

    The first one is always there, whatever its size: an answer needs something to rest on.

    Args:
        found: Passages, best first.
        budget: Tokens for all of them together.
    """
    chosen: list[Packed] = []
    left = budget
    for each in found:
        if any(_within(each.chunk, other.chunk) for other in chosen):
            continue
        cost = count_tokens(each.chunk.embedded_text) + _FENCE_TOKENS
        if cost > left and chosen:
            continue
        chosen.append(Packed(len(chosen) + 1, each))
        left -= cost
    return chosen


def fenced(packed: Sequence[Packed]) -> str:
    """Return passages as numbered documents, each within tags of its own."""
    parts = ["<documents>"]
    for each in packed:
        chunk = each.chunk
        above = " > ".join(part for part in (chunk.title, chunk.heading) if part)
        text = _FENCE.sub("&lt;", f"# {above}\n\n{chunk.text}" if above else chunk.text)
        facts = f'id="{each.number}" source="{escape(chunk.source)}"'
        parts.append(f"<document {facts}>\n{text}\n</document>")
    return "\n".join([*parts, "</documents>"])


def _within(inner: Chunk, outer: Chunk) -> bool:
    return inner.doc_id == outer.doc_id and outer.start <= inner.start and inner.end <= outer.end
