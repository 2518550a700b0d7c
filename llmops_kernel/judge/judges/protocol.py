"""What every judge offers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llmops_kernel.calls.loop import BackgroundLoop
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.calls.request import ChatRequest
    from llmops_kernel.judge.prompts.text import Task
    from llmops_kernel.judge.scores import Unscored

Call = Callable[["ChatRequest"], Awaitable["Reply"]]
# What a run puts around every single call: its cap, its pace, its stop. It gets the request, the
# most the call can cost (nano-dollars), its book, and the call itself.
Via = Callable[["ChatRequest", Callable[[], int], Call], Awaitable["Reply"]]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a judge answered to one task.

    Attributes:
        data: The checked answer; None when there is none.
        unscored: Why there is none.
        detail: More about why, for people.
        calls: Calls it took, repairs included.
        usd_nano: What they cost, in the book ``simulated`` names.
        fatal: Whether further calls would fail in the same way (no key, a cap).
    """

    data: Any = None
    unscored: Unscored | None = None
    detail: str = ""
    calls: int = 0
    usd_nano: int = 0
    simulated: bool = False
    fatal: bool = False


@runtime_checkable
class Judge(Protocol):
    """Answers tasks.

    Attributes:
        id: Who it is: the model's full name, or the heuristic's name and version.
        params: What shapes its answers (temperature, seed, bound on output): JSON-like.
        loop: The loop its calls must be made on; None for any.
        simulated: Whether no real model answers.
    """

    @property
    def id(self) -> str:
        """Who it is."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """What shapes its answers."""
        ...

    @property
    def loop(self) -> BackgroundLoop | None:
        """The loop its calls must be made on."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether no real model answers."""
        ...

    async def ask(self, task: Task, *, repeat: int = 0, via: Via | None = None) -> Ruling:
        """Answer a task; never raises an `LLMOpsError`: a failure is a ruling without data.

        Args:
            task: The question.
            repeat: Which of several draws this is; each may come out differently.
            via: What each call goes through.
        """
        ...

    def bound(self, task: Task) -> tuple[int, int, int, int]:
        """Return likely input tokens, likely output tokens, likely and highest cost of a call.

        Costs are in nano-dollars; 0 for judges whose price is not known here.
        """
        ...
