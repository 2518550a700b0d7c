"""The loop breaker: stops runaway loops whatever they cost.

It looks at calls, not at dollars: how many one execution of a cell and one run make, how deep
they nest, whether the same request or the same round of tool calls comes back, whether one
conversation grows without end, and how fast money goes. All limits can be set; 0 is off.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.refusals import dollars
from llmops_kernel.budget.status import nano
from llmops_kernel.errors import LoopDetected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmops_kernel.calls import (
        CallContext,
        Handler,
        Outcome,
        Reply,
        ReplyStream,
        Request,
    )
    from llmops_kernel.settings import BreakerSettings

_MINUTE = 60.0
_MAX_CYCLE = 4
_KEPT_CELLS = 64


@dataclass
class _Conversation:
    """A message list that grows call by call: an agent at work."""

    length: int
    turns: int = 1
    tokens: int = 0
    rounds: deque[str] = field(default_factory=lambda: deque(maxlen=64))


@dataclass
class _Cell:
    """What one execution of a cell (or a script) has done."""

    calls: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    conversations: OrderedDict[str, _Conversation] = field(default_factory=OrderedDict)


@dataclass
class _Minute:
    """What was spent within the last minute, in nano-dollars."""

    total: int = 0
    costs: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, now: float, amount: int) -> None:
        self.costs.append((now, amount))
        self.total += amount
        while self.costs[0][0] < now - _MINUTE:
            self.total -= self.costs.popleft()[1]


class LoopBreaker:
    """Counts the calls of this process and refuses those of a loop.

    Args:
        limits: The limits.
        fingerprint: Hash of JSON-like data.
        clock: Seconds that only go forward; for tests.
    """

    def __init__(
        self,
        limits: BreakerSettings,
        *,
        fingerprint: Callable[[Any], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._fingerprint = fingerprint
        self._clock = clock
        # The loop's thread checks calls while a magic's thread resets: one lock for all counts.
        self._lock = Lock()
        self._cells: OrderedDict[str, _Cell] = OrderedDict()
        self._runs: Counter[str] = Counter()
        self._spent: dict[str, _Minute] = {}
        self._latched: str = ""

    def check(self, request: Request, context: CallContext) -> None:
        """Count a call, or raise `LoopDetected`."""
        limits = self.limits
        with self._lock:
            if self._latched:
                raise _refusal(self._latched, "%budget resume allows calls again")
            cell = self._cell(context.cell_run)
            self._too_many(context, cell)
            if limits.identical:
                cell.seen[request.fingerprint] += 1
                if cell.seen[request.fingerprint] > limits.identical:
                    raise _refusal(
                        "The same request was made again and again",
                        "Keep the first answer, or raise [breaker] identical in llmops.toml",
                        f"{limits.identical} identical requests in one cell",
                    )
            if messages := getattr(request, "messages", ()):
                self._check_conversation(cell, messages)
            cell.calls += 1
            self._runs[context.run_id] += 1

    def spent(self, book: str, amount: int) -> None:
        """Note what a call cost; the next check refuses if money goes too fast.

        Raises nothing: the call that was too much is paid for already.
        """
        limit = nano(self.limits.usd_per_minute)
        if not limit or not amount:
            return
        now = self._clock()
        with self._lock:
            minute = self._spent.setdefault(book, _Minute())
            minute.add(now, amount)
            if minute.total > limit:
                self._latched = (
                    f"Money goes too fast|{dollars(minute.total)} ({book}) within a minute, "
                    f"the limit is {dollars(limit)}"
                )

    def reset(self) -> None:
        """Forget everything counted so far: a person has looked and said go on."""
        with self._lock:
            self._latched = ""
            self._cells.clear()
            self._runs.clear()
            self._spent.clear()

    @property
    def tripped(self) -> str | None:
        """Why all calls are refused until `reset`; None when they are not."""
        return self._latched.partition("|")[0] or None

    def _cell(self, cell_run: str) -> _Cell:
        cell = self._cells.get(cell_run)
        if cell is None:
            cell = self._cells[cell_run] = _Cell()
            while len(self._cells) > _KEPT_CELLS:
                self._cells.popitem(last=False)
        return cell

    def _too_many(self, context: CallContext, cell: _Cell) -> None:
        limits = self.limits
        # Scripts have no cells; their run limit and their caps bound them.
        if limits.calls_per_cell and context.cell_id and cell.calls >= limits.calls_per_cell:
            raise _refusal(
                "This cell makes too many model calls",
                "Run the cell again to go on, or raise [breaker] calls_per_cell in llmops.toml",
                f"{cell.calls} calls in one execution",
            )
        if limits.calls_per_run and self._runs[context.run_id] >= limits.calls_per_run:
            raise _refusal(
                "This run makes too many model calls",
                "%budget resume starts counting again; [breaker] calls_per_run is the limit",
                f"{self._runs[context.run_id]} calls in one run",
            )
        if limits.depth and context.depth > limits.depth:
            raise _refusal(
                "Model calls are nested too deep",
                "Stop agents from calling agents, or raise [breaker] depth in llmops.toml",
                f"depth {context.depth}",
            )

    def _check_conversation(self, cell: _Cell, messages: tuple[Mapping[str, Any], ...]) -> None:
        """Follow a conversation that grows: count its rounds, and compare them."""
        # The start of a growing message list stays the same; it names the conversation.
        start = self._fingerprint([_plain(message) for message in messages[:2]])
        known = cell.conversations.get(start)
        if known is None or len(messages) <= known.length:
            if len(messages) < 2 and known is None:
                return
            cell.conversations[start] = _Conversation(len(messages))
            while len(cell.conversations) > _KEPT_CELLS:
                cell.conversations.popitem(last=False)
            return
        added = messages[known.length :]
        known.length = len(messages)
        known.turns += 1
        known.tokens += sum(len(str(message.get("content") or "")) for message in messages) // 4
        known.rounds.append(self._fingerprint([_plain(message) for message in added]))
        if any(message.get("role") == "tool" for message in added):
            self._check_cycles(known)
        if self.limits.turns and known.turns > self.limits.turns:
            raise _refusal(
                "One conversation goes on and on",
                "Give the agent a stop condition, or raise [breaker] turns in llmops.toml",
                f"{known.turns} rounds in one cell",
            )
        if self.limits.growth_tokens and known.tokens > self.limits.growth_tokens:
            raise _refusal(
                "One conversation grows without end; each round sends all of it again",
                "Summarise or cut the history, or raise [breaker] growth_tokens in llmops.toml",
                f"about {known.tokens} tokens sent in {known.turns} rounds",
            )

    def _check_cycles(self, conversation: _Conversation) -> None:
        repeats = self.limits.cycles
        rounds = list(conversation.rounds)
        for length in range(1, _MAX_CYCLE + 1) if repeats else ():
            needed = length * repeats
            tail = rounds[-needed:]
            if len(tail) == needed and tail == tail[:length] * repeats:
                raise _refusal(
                    "An agent repeats the same tool calls with the same results",
                    "Its next answer will not differ: change the tool, the prompt or the input",
                    f"a cycle of {length} round(s), {repeats} times",
                )


class BreakerStage:
    """Asks the loop breaker before a call and tells it what the call cost."""

    def __init__(self, following: Handler, *, breaker: LoopBreaker) -> None:
        self._next = following
        self._breaker = breaker

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Check, pass on. Raises `LoopDetected`."""
        self._breaker.check(request, context)
        reply = await self._next(request, context)
        return await reply.observed(self._note)

    def _note(self, outcome: Outcome) -> None:
        book = "simulated" if outcome.reply.simulated else "real"
        self._breaker.spent(book, outcome.reply.cost_nano)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without the ids that differ in every round."""
    plain = {key: value for key, value in message.items() if key not in ("id", "tool_call_id")}
    if calls := plain.get("tool_calls"):
        plain["tool_calls"] = [call.get("function") for call in calls]
    return plain


def _refusal(message: str, hint: str, detail: str = "") -> LoopDetected:
    head, _, figures = message.partition("|")
    return LoopDetected(head, hint=hint, detail=detail or figures)
