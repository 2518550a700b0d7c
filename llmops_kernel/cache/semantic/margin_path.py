"""The margin tier in the path: looks beside a call, learns after it.

Vectors, partitions and the record are touched in one thread of its own, so that a call waits for
them only where the tier serves: until a partition's evidence allows that, a call passes at once and
its text is embedded once it has its own answer. What is served is the answer of one recorded text,
opened under its seal; which texts share an answer only decides how clear the query's lead is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import MARGIN, Twin
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin import State
from llmops_kernel.cache.semantic.margin_learning import Learner
from llmops_kernel.cache.semantic.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.lookup import Lookup
    from llmops_kernel.cache.near import Question
    from llmops_kernel.cache.semantic.embedding import LateEmbedder
    from llmops_kernel.cache.semantic.judging import Comparer
    from llmops_kernel.cache.semantic.margin import Standing
    from llmops_kernel.cache.semantic.margin_book import Loaded
    from llmops_kernel.cache.shelf import Shelf
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

SERVED = "clearly nearest to the wordings of one answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """A query's vector, so that it is computed once."""

    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tier says of a query now.

    Attributes:
        reason: Why, in words.
        standing: How the query stands; None where it was not computed.
        twin: What would be served.
        threshold: The score from which it serves.
    """

    reason: str
    standing: Standing | None = None
    twin: Twin | None = None
    threshold: float | None = None


class Margin:
    """Serves re-wordings of what was answered, where a partition's evidence allows it.

    Args:
        store: The record.
        shelf: Where the answers lie.
        settings: Returns the settings in force.
        embedder: Turns texts into vectors; None where there is none.
        comparer: Compares answers.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        settings: Callable[[], CacheSettings],
        embedder: LateEmbedder | None,
        comparer: Comparer,
    ) -> None:
        self._workshop = Workshop(store, shelf, settings, embedder)
        self.learner = Learner(self._workshop, comparer)

    @property
    def off(self) -> str:
        """Why it cannot be used, if it cannot."""
        return self._workshop.off

    async def look(self, lookup: Lookup, question: Question) -> tuple[Twin | None, Seen | None]:
        """Return what may be served for a question, and its vector if it was computed."""
        place = self._workshop.place_of(question)
        loaded = self._workshop.loaded.get(place)
        if self.off or (loaded is not None and loaded.tier.state is not State.ON):
            return None, None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._workshop.thread(), self._look, lookup, question, place
        )

    def _look(
        self, lookup: Lookup, question: Question, place: str
    ) -> tuple[Twin | None, Seen | None]:
        try:
            loaded = self._workshop.open(lookup.tenant, place)
            if loaded.tier.state is not State.ON:
                return None, None
            vector = self._workshop.embed(question.asked.text)
            verdict = self._decide(loaded, question, vector, lookup.tenant)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the call goes on
            self._workshop.failed(error)
            return None, None
        return verdict.twin, Seen(vector)

    def explain(self, question: Question, tenant: str) -> Verdict:
        """Return what the tier would say of a question, and why; nothing is used or counted.

        Raises:
            LLMOpsError: The record cannot be used, or the embedder cannot be loaded.
        """
        if self.off:
            return Verdict(self.off)
        place = self._workshop.place_of(question)
        return self._workshop.thread().submit(self._explain, question, tenant, place).result()

    def _explain(self, question: Question, tenant: str, place: str) -> Verdict:
        loaded = self._workshop.open(tenant, place)
        if loaded.tier.state is not State.ON:
            return Verdict(str(loaded.tier.state))
        verdict = self._decide(loaded, question, self._workshop.embed(question.asked.text), tenant)
        threshold = loaded.tier.threshold
        return replace(verdict, threshold=threshold.score if threshold else None)

    def _decide(
        self, loaded: Loaded, question: Question, vector: NDArray[np.float32], tenant: str
    ) -> Verdict:
        partition = self._workshop.book.catch_up(loaded, dim=len(vector))
        if loaded.too_large:
            return Verdict("its partition has more texts than are compared in memory")
        found = partition.standing(vector)
        if not loaded.tier.serves(found):
            few = found.entry >= 0 and found.wordings < loaded.tier.min_wordings
            return Verdict("too few wordings of the nearest answer" if few else
                           "no answer leads clearly enough", found)  # fmt: skip
        if veto := Gate.of(question.signature).veto(partition.gate(found.entry)):
            return Verdict(veto, found)
        key = partition.keys[found.entry]
        opened = self._workshop.opened(key, question, tenant)
        if opened is None:
            # It expired, was cleared, or is not what it was: it must not count any more either.
            partition.remove(key)
            self._workshop.book.drop(loaded.row.place, key)
            return Verdict("the nearest answer is gone", found)
        row, entry, stored = opened
        twin = Twin(entry, row, stored, question.asked.text, SERVED, MARGIN, loaded.row.place)
        return Verdict(SERVED, found, twin)

    # ---- the rest -----------------------------------------------------------------------------

    def learn_soon(self, lookup: Lookup, entry: Entry, seen: Seen | None) -> None:
        """Take a text in that was answered afresh, and learn from where it stood; never fails."""
        self.learner.learn_soon(lookup, entry, seen)

    def finish(self) -> None:
        """Wait until everything that waited to be learnt has been; judges excepted."""
        self._workshop.finish()

    def close(self) -> None:
        """Learn what waits, and stop."""
        self._workshop.close()

    def reread(self) -> None:
        """Read every partition anew when it is needed next."""
        self._workshop.reread()
