"""The tiers that need vectors, in the path: look beside a call, learn after it.

Verifiers are asked about the cached questions nearest to a query; the margin tier about how clearly
the query belongs to one answer. Both find them among the same partition's texts. Vectors,
partitions and the record are touched in one thread of its own, so that a call waits for them only
where something may be served: until a partition's evidence allows that, a call of the margin tier
passes at once and its text is embedded once it has its own answer. What is served is the answer of
one recorded text, opened under its seal; which texts share an answer only decides how clear the
query's lead is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import MARGIN, Twin
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin import State
from llmops_kernel.cache.semantic.margin_learning import Learner
from llmops_kernel.cache.semantic.watch import restarted_by
from llmops_kernel.cache.semantic.workshop import Workshop
from llmops_kernel.errors import LLMOpsError

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
    from llmops_kernel.cache.semantic.neighbours import Nearest
    from llmops_kernel.cache.semantic.verifiers import Verifiers
    from llmops_kernel.cache.shelf import Shelf
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

SERVED = "clearly nearest to the wordings of one answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """A query's vector, so that it is computed once."""

    vector: NDArray[np.float32]


@dataclass(slots=True)
class Verdict:
    """What the tiers say of a query now.

    Attributes:
        reasons: Why, in words, by the tiers that were asked, in order.
        standing: How the query stands; None where it was not computed.
        twin: What would be served.
        threshold: The score from which the margin tier serves.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    standing: Standing | None = None
    twin: Twin | None = None
    threshold: float | None = None


class Margin:
    """Serves other wordings of what was answered, where a verifier or the evidence allows it.

    Args:
        store: The record.
        shelf: Where the answers lie.
        settings: Returns the settings in force.
        embedder: Turns texts into vectors; None where there is none.
        comparer: Compares answers.
        verifiers: Those that can be asked.
        is_off: Tells whether a tenant's tier has switched itself off.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        settings: Callable[[], CacheSettings],
        embedder: LateEmbedder | None,
        comparer: Comparer,
        verifiers: Verifiers,
        is_off: Callable[[str, str], bool],
    ) -> None:
        self._workshop = Workshop(store, shelf, settings, embedder)
        self._verifiers = verifiers
        self._is_off = is_off
        self.learner = Learner(self._workshop, comparer)

    @property
    def off(self) -> str:
        """Why it cannot be used, if it cannot."""
        return self._workshop.off

    async def look(self, lookup: Lookup, question: Question) -> tuple[Twin | None, Seen | None]:
        """Return what may be served for a question, and its vector if it was computed."""
        place = self._workshop.place_of(question)
        loaded = self._workshop.loaded.get(place)
        if self.off or (loaded is not None and not self._may_serve(loaded, lookup)):
            return None, None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._workshop.thread(), self._look, lookup, question, place
        )

    def _may_serve(self, loaded: Loaded, lookup: Lookup) -> bool:
        if loaded.why_not:
            return False
        return bool(lookup.verifiers) or (lookup.margin and loaded.tier.state is State.ON)

    def _look(
        self, lookup: Lookup, question: Question, place: str
    ) -> tuple[Twin | None, Seen | None]:
        try:
            loaded = self._workshop.open(lookup.tenant, place)
            if not self._may_serve(loaded, lookup):
                return None, None
            vector = self._workshop.embed(question.asked.text)
            verdict = self._decide(loaded, question, vector, lookup)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the call goes on
            self._workshop.failed(error)
            return None, None
        return verdict.twin, Seen(vector)

    def explain(self, question: Question, lookup: Lookup) -> Verdict:
        """Return what the tiers would say of a question, and why; nothing is used or counted.

        Raises:
            LLMOpsError: The record cannot be used, or the embedder cannot be loaded.
        """
        if self.off:
            asked = [*lookup.verifiers, *([MARGIN] if lookup.margin else [])]
            return Verdict(dict.fromkeys(asked, self.off))
        place = self._workshop.place_of(question)
        return self._workshop.thread().submit(self._explain, question, lookup, place).result()

    def _explain(self, question: Question, lookup: Lookup, place: str) -> Verdict:
        loaded = self._workshop.open(lookup.tenant, place)
        if not lookup.verifiers and loaded.tier.state is not State.ON:
            return Verdict({MARGIN: str(loaded.tier.state)})
        vector = self._workshop.embed(question.asked.text)
        return self._decide(loaded, question, vector, lookup)

    def _decide(
        self, loaded: Loaded, question: Question, vector: NDArray[np.float32], lookup: Lookup
    ) -> Verdict:
        texts = self._workshop.book.catch_up(loaded, dim=len(vector))
        self._workshop.carry_on(loaded)
        if loaded.why_not:
            asked = [*lookup.verifiers, *([MARGIN] if lookup.margin else [])]
            return Verdict(dict.fromkeys(asked, loaded.why_not))
        found = texts.nearest(vector)
        said = Verdict(standing=found.standing)
        for name in lookup.verifiers:
            self._verify(name, said, loaded, question, vector, found, lookup.tenant)
            if said.twin is not None:
                return said
        if lookup.margin:
            self._margin(said, loaded, question, found, lookup.tenant)
        return said

    def _verify(
        self, name: str, said: Verdict, loaded: Loaded, question: Question,
        vector: NDArray[np.float32], found: Nearest, tenant: str,
    ) -> None:  # fmt: skip
        """Ask a verifier about the nearest texts, the best first."""
        said.reasons[name] = "no question near enough was answered"
        try:
            verifier = self._verifiers.asked(name)
        except LLMOpsError as error:  # the tiers after it go on
            self._workshop.failed(error)
            said.reasons[name] = error.message
            return
        text = question.asked.text
        first = True
        for near in found.neighbours:
            if near.cosine < verifier.floor:
                return
            opened = self._workshop.opened(near.key, question, tenant)
            if opened is None:
                self._forget(loaded, near.key)
                continue
            row, entry, stored = opened
            decision = verifier.decide(stored, near, text, vector)
            if first or decision.same:  # the nearest one's reason is the one that tells most
                said.reasons[name] = decision.reason
            first = False
            if decision.same:
                if self._is_off(tenant, name):
                    said.reasons[name] = f"it has switched itself off; {restarted_by(name)}"
                else:
                    said.twin = Twin(entry, row, stored, text, decision.reason, name)
                return

    def _margin(
        self, said: Verdict, loaded: Loaded, question: Question, found: Nearest, tenant: str
    ) -> None:
        """Ask the margin tier."""
        if loaded.tier.state is not State.ON:
            said.reasons[MARGIN] = str(loaded.tier.state)
            return
        threshold, standing, best = loaded.tier.threshold, found.standing, found.best
        said.threshold = threshold.score if threshold else None
        if best is None or not loaded.tier.serves(standing):
            few = best is not None and standing.wordings < loaded.tier.min_wordings
            said.reasons[MARGIN] = (
                "too few wordings of the nearest answer" if few else
                "no answer leads clearly enough"
            )  # fmt: skip
            return
        if veto := Gate.of(question.signature).veto(best.gate):
            said.reasons[MARGIN] = veto
            return
        opened = self._workshop.opened(best.key, question, tenant)
        if opened is None:
            self._forget(loaded, best.key)
            said.reasons[MARGIN] = "the nearest answer is gone"
            return
        row, entry, stored = opened
        said.reasons[MARGIN] = SERVED
        said.twin = Twin(entry, row, stored, question.asked.text, SERVED, MARGIN, loaded.row.place)

    def _forget(self, loaded: Loaded, key: str) -> None:
        """Remove a text whose answer is gone, or not what it was: it must not count either."""
        if loaded.partition is not None:
            loaded.partition.remove(key)
        self._workshop.book.drop(loaded.row.place, key)

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
