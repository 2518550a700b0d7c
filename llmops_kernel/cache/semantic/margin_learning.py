"""What the margin tier learns from texts that were answered afresh."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.answers import normalized_answer, plain_answer
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.judging import OFFLINE, Said
from llmops_kernel.cache.semantic.neighbours import NOBODY
from llmops_kernel.cache.semantic.watch import given_up
from llmops_kernel.store.margin_rows import JudgedRow, VectorRow

if TYPE_CHECKING:
    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.lookup import Lookup
    from llmops_kernel.cache.near import Question
    from llmops_kernel.cache.semantic.judging import Comparer
    from llmops_kernel.cache.semantic.margin_book import Loaded
    from llmops_kernel.cache.semantic.margin_path import Seen
    from llmops_kernel.cache.semantic.neighbours import Nearest
    from llmops_kernel.cache.semantic.workshop import Workshop
    from llmops_kernel.calls import CallContext

_log = logging.getLogger(__name__)
_JUDGED_FROM = 0.6  # cosines below it say nothing: nobody would serve there
_MOST_WAITING = 256  # texts that wait to be learnt; more come faster than they can be
_MOST_JUDGES = 8


@dataclass(frozen=True, slots=True)
class _Unsure:
    """A judged lookup whose answers a model has to compare."""

    loaded: Loaded
    judged: JudgedRow
    mine: Said
    theirs: Said
    my_group: str
    their_group: str


class Learner:
    """Takes answered texts in, and judges where each stood before.

    Every text keeps the answer it was given. A verdict merges answer groups or is counted; it never
    decides which answer a text gets.

    Args:
        workshop: Thread, embedder and partitions.
        comparer: Compares answers.
    """

    def __init__(self, workshop: Workshop, comparer: Comparer) -> None:
        self._workshop = workshop
        self._comparer = comparer
        self._waiting = 0
        self.judging: set[asyncio.Task[None]] = set()

    def learn_soon(self, lookup: Lookup, entry: Entry, seen: Seen | None) -> None:
        """Take a text in that was answered afresh, and learn from where it stood; never fails."""
        question = lookup.question
        if question is None or self._workshop.off or self._waiting >= _MOST_WAITING:
            return
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self._waiting += 1
        self._workshop.thread().submit(self._learn, lookup, question, entry, seen, loop)

    def _learn(
        self,
        lookup: Lookup,
        question: Question,
        entry: Entry,
        seen: Seen | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        try:
            unsure = self._taken_in(lookup, question, entry, seen)
            if unsure is not None and loop is not None:
                loop.call_soon_threadsafe(self._judge_soon, unsure, lookup.context)
        except RuntimeError as error:  # the loop has stopped: it stays unjudged
            _log.debug("Nobody is left to judge: %s", error)
        except Exception as error:  # noqa: BLE001 - the call has its answer long since
            self._workshop.failed(error)
        finally:
            self._waiting -= 1

    def _taken_in(
        self, lookup: Lookup, question: Question, entry: Entry, seen: Seen | None
    ) -> _Unsure | None:
        answer = plain_answer(entry.reply()[0])
        if answer is None:
            return None
        place = self._workshop.place_of(question)
        loaded = self._workshop.open(lookup.tenant, place)
        vector = seen.vector if seen else self._workshop.embed(question.asked.text)
        partition = self._workshop.book.catch_up(loaded, dim=len(vector), evidence=True)
        self._workshop.carry_on(loaded)
        if loaded.refused:
            return None
        digest = self._workshop.shelf.sealer().key(
            f"answer\x1f{place}\x1f{normalized_answer(answer)}"
        )
        group = partition.group_of(digest) or digest
        gate = Gate.of(question.signature)
        unsure = None
        partition.remove(lookup.key)  # asked again after its time: its old self is no neighbour
        # While its texts are on their way to the record's server, nothing is said of the others.
        found = NOBODY if loaded.moving or not lookup.margin else partition.nearest(vector)
        near = found.best
        if near and found.standing.best >= _JUDGED_FROM and not gate.veto(near.gate):
            unsure = self._judged(
                loaded, found, lookup, question, Said(question.asked.text, answer), group
            )
        row = VectorRow(
            place, lookup.key, lookup.tenant, lookup.model, lookup.context.notebook,
            json.dumps(lookup.tags), group, digest, gate.text, b"",
            self._workshop.shelf.now() + int(lookup.ttl_s * 1e6),
        )  # fmt: skip
        self._workshop.book.keep(row, vector)
        partition.add(lookup.key, vector, group=group, answer=digest, gate=gate)
        return unsure

    def _judged(
        self,
        loaded: Loaded,
        found: Nearest,
        lookup: Lookup,
        question: Question,
        mine: Said,
        group: str,
    ) -> _Unsure | None:
        """Write down whether the nearest answer would have been right, or who has to say so."""
        near, stands = found.neighbours[0], found.standing
        row = JudgedRow(
            self._workshop.shelf.now(), loaded.row.place, stands.score, stands.lead, stands.best,
            stands.wordings, int(near.group == group), OFFLINE,
        )  # fmt: skip
        if row.verdict or not self._comparer.asks_a_model:
            self._workshop.book.learn(loaded, row)
            return None
        opened = self._workshop.opened(near.key, question, lookup.tenant)
        answer = plain_answer(opened[1].reply()[0]) if opened else None
        if opened is None or answer is None:
            return None
        return _Unsure(loaded, row, mine, Said(opened[2], answer), group, near.group)

    # ---- judges -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Give up the judges that are on their way."""
        await given_up(self.judging)

    def _judge_soon(self, unsure: _Unsure, context: CallContext) -> None:
        if len(self.judging) >= _MOST_JUDGES:
            return
        task = asyncio.get_running_loop().create_task(self._judge(unsure, context))
        self.judging.add(task)
        task.add_done_callback(self.judging.discard)

    async def _judge(self, unsure: _Unsure, context: CallContext) -> None:
        try:
            said = await self._comparer.compare(unsure.mine, unsure.theirs, context)
            if said.same is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(
                    self._workshop.thread(), self._told, unsure, said.same, said.by
                )
        except Exception as error:  # noqa: BLE001 - nobody awaits this task
            self._workshop.failed(error)

    def _told(self, unsure: _Unsure, same: bool, by: str) -> None:
        """Write a verdict down. It merges answer groups, and serves nobody anything."""
        try:
            place, tenant = unsure.loaded.row.place, unsure.loaded.row.tenant
            loaded = self._workshop.open(tenant, place)
            self._workshop.book.learn(
                loaded, unsure.judged._replace(verdict=int(same), judged_by=by)
            )
            if same:
                self._workshop.book.merge(loaded, unsure.their_group, unsure.my_group)
        except Exception as error:  # noqa: BLE001 - as for `learn_soon`
            self._workshop.failed(error)
