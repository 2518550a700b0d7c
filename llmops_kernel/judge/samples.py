"""What is judged: a question, an answer, and what they came from.

Field names are those of Ragas' data sets, so that files can go both ways.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Sample:
    """One row of an evaluation set.

    Attributes:
        id: Unique within the set.
        user_input: The question.
        response: The answer that is judged.
        retrieved_contexts: Passages the answer was made from, best first.
        retrieved_context_ids: Their ids.
        reference: The right answer, where one is known.
        reference_contexts: Passages that hold it.
        reference_context_ids: Their ids.
        cluster: Samples of one cluster are not independent (one document, one conversation); "" for
            a sample of its own.
        tags: Words to group results by.
        trace_id: The trace the answer came from.
        human: What people said: metric to ``{"score" or "label", "rater", "at"}``.
        split: "dev", "test", ...
        extra: Further fields of the row, kept.
    """

    id: str
    user_input: str
    response: str = ""
    retrieved_contexts: tuple[str, ...] = ()
    retrieved_context_ids: tuple[str, ...] = ()
    reference: str = ""
    reference_contexts: tuple[str, ...] = ()
    reference_context_ids: tuple[str, ...] = ()
    cluster: str = ""
    tags: tuple[str, ...] = ()
    trace_id: str = ""
    human: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    split: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Hash of everything a judge sees (hex, 32 characters); not of id, labels or tags."""
        seen = [
            self.user_input,
            self.response,
            self.retrieved_contexts,
            self.reference,
            self.reference_contexts,
        ]
        text = json.dumps(seen, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
