"""Audits of what was served for another text, and tiers that switch themselves off.

A share of the hits is drawn. For each, the model is asked afresh in the background where a cap
allows it, and the answers are compared; what nobody could say waits for a person. Every verdict is
held against the bound on errors per hit at once: a tier that breaks it is off for every kernel that
shares the record. It stays off until somebody restarts it, or a person's verdicts (a corrected one,
or others) leave evidence that does not break the bound: what a person says counts the same in
whatever order it is said. No model's verdict switches a tier on, or overrules a person's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import MARGIN
from llmops_kernel.cache.semantic.answers import plain_answer
from llmops_kernel.cache.semantic.evidence import Evidence, Verdict
from llmops_kernel.cache.semantic.judging import Said
from llmops_kernel.errors import StoreError
from llmops_kernel.store import hit_rows, margin_rows
from llmops_kernel.store.margin_rows import TierRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.cache.near import Twin
    from llmops_kernel.cache.semantic.background import Background
    from llmops_kernel.cache.semantic.judging import Comparer
    from llmops_kernel.calls import CallContext, Request
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store, Tx

BROKEN = "broken"
PERSON = "person"
_log = logging.getLogger(__name__)
_MOST_AUDITS = 8


class Watch:
    """Audits hits, and switches tiers off.

    Args:
        store: The record.
        settings: Returns the settings in force.
        background: Asks models afresh.
        comparer: Compares answers.
        now: Returns microseconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], CacheSettings],
        background: Background,
        comparer: Comparer,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._background = background
        self._comparer = comparer
        self._now = now
        self._auditing: set[asyncio.Task[None]] = set()

    # ---- audits -------------------------------------------------------------------------------

    def draws(self, call_id: str) -> bool:
        """Tell whether a hit is drawn; the same call is always drawn or never."""
        digest = hashlib.blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._settings().audit_share * 2**64

    def audit_soon(self, request: Request, context: CallContext, twin: Twin) -> None:
        """Ask afresh what was served from a near answer, on the running loop; never fails."""
        settings = self._settings()
        if not settings.judge_usd or len(self._auditing) >= _MOST_AUDITS:
            return
        task = asyncio.get_running_loop().create_task(self._audit(request, context, twin))
        self._auditing.add(task)
        task.add_done_callback(self._auditing.discard)

    async def settled(self) -> None:
        """Wait until every audit that was begun has ended."""
        while self._auditing:
            await asyncio.wait(set(self._auditing))

    async def stop(self) -> None:
        """Give up the audits that are on their way."""
        await given_up(self._auditing)

    async def _audit(self, request: Request, context: CallContext, twin: Twin) -> None:
        try:
            fresh = await self._background.call(request, context)
            mine = plain_answer(fresh) if fresh is not None else None
            theirs = plain_answer(twin.entry.reply()[0])
            if mine is None or theirs is None:
                return
            one, other = Said(twin.asked, mine), Said(twin.stored, theirs)
            said = await self._comparer.compare(one, other, context)
            if said.same is not None:
                await self._store.arun(self._said, context, said.same, said.by)
        except StoreError as error:
            _log.warning("An audit was lost: %s", error.sentence())
        except Exception:  # noqa: BLE001 - nobody awaits this task: it must not fail unheard
            _log.exception("An audit failed")

    def _said(self, context: CallContext, right: bool, by: str) -> None:
        self._store.flush()
        with self._store.transaction() as tx:
            number = hit_rows.of_call(tx, context.tenant, context.call_id)
            if number is not None:
                self._judge(tx, context.tenant, number, right, by)

    # ---- verdicts -----------------------------------------------------------------------------

    def judge(self, tenant: str, number: int, *, right: bool, by: str = PERSON) -> bool:
        """Write down whether a hit was right; False when there is no such hit.

        A tier whose bound that breaks is switched off with it. One that is off is switched on
        again where a person says "right" and all that was judged of it does not break it any more.
        """
        with self._store.transaction() as tx:
            return self._judge(tx, tenant, number, right, by)

    def _judge(self, tx: Tx, tenant: str, number: int, right: bool, by: str) -> bool:
        row = hit_rows.hit(tx, tenant, number)
        if row is None:
            return False
        if by != PERSON and row.judged_by == PERSON:
            return True
        hit_rows.judge(tx, tenant, number, int(right), by)
        if not right or by == PERSON:
            self._hold(tx, row, mend=right)
        return True

    def _hold(self, tx: Tx, row: hit_rows.HitRow, *, mend: bool) -> None:
        """Switch a tier off if what was judged of it breaks its bound, or on if it does not."""
        judged = Evidence()
        for each in hit_rows.counts(tx, row.tenant):
            if (each.tier, each.place) == (row.tier, row.place):
                judged = Evidence(each.judged, each.wrong)
        now = TierRow(row.tenant, row.tier, row.place, row.model, changed=self._now())
        if not self._breaks(tx, row, judged):
            counted = row.at >= margin_rows.tier(tx, row.tenant, row.tier, row.place).since
            if mend and counted and margin_rows.mend_tier(tx, now, BROKEN):
                _log.warning("The %s tier is on again: %s", shown(row.tier), MENDED)
        elif margin_rows.break_tier(tx, now, BROKEN):
            _log.warning("%s. %s", off_sentence(row.tier), WAY_BACK)

    def _breaks(self, tx: Tx, row: hit_rows.HitRow, judged: Evidence) -> bool:
        settings = self._settings()
        if row.tier != MARGIN:
            return judged.verdict(settings.target) is Verdict.BROKEN
        from llmops_kernel.cache.semantic.margin_book import counts, new_tier

        tier = new_tier(settings)
        for _, lookup in margin_rows.judged(tx, row.place, 0):
            if counts(lookup, settings):
                tier.learn(lookup.score, bool(lookup.verdict))
        return tier.breaks(judged)

    # ---- states -------------------------------------------------------------------------------

    def is_off(self, tenant: str, tier: str, place: str = "") -> bool:
        """Tell whether a tier has switched itself off."""
        return margin_rows.tier(self._store, tenant, tier, place).state == BROKEN

    def broken(self, tenant: str) -> list[TierRow]:
        """Return the tiers of a tenant that have switched themselves off."""
        return [row for row in margin_rows.tiers(self._store, tenant) if row.state == BROKEN]

    def restart(self, tenant: str, tier: str, place: str = "") -> bool:
        """Let a tier begin anew, without what was judged of it; False when it is not known.

        The margin tier serves when it has new evidence, the others at once.
        """
        with self._store.transaction() as tx:
            margin_rows.unlearn(tx, place)
            return margin_rows.restart(tx, TierRow(tenant, tier, place), self._now())


async def given_up(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    some = [*tasks]
    for task in some:
        task.cancel()
    await asyncio.gather(*some, return_exceptions=True)


WAY_BACK = (
    "`%cache audit` shows what was judged, and takes a corrected verdict; "
    "`%cache tune --restart` lets it begin anew"
)
MENDED = "what was judged of it does not break its target any more"


def off_sentence(tier: str) -> str:
    """Say that a tier has switched itself off."""
    return f"The {shown(tier)} tier has switched itself off: its judged errors passed the target"


def restarted_by(tier: str) -> str:
    """Say how a tier that has switched itself off is switched on again."""
    return (
        f"a corrected verdict (%cache audit --right NUMBER) or %cache tune --restart {shown(tier)} "
        "switches it on again"
    )


def shown(tier: str) -> str:
    """Return a tier's name as people see it."""
    return tier.replace("_", "-")
