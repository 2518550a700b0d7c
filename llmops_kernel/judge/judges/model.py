"""A model as a judge: typed answers, one repair, then no score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.cache.options import caching
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.errors import (
    AuthMissing,
    BadRequest,
    CallRefused,
    LLMOpsError,
    SettingsError,
    UnknownModel,
    UnknownPrice,
)
from llmops_kernel.judge.judges.protocol import Ruling

if TYPE_CHECKING:
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.loop import BackgroundLoop
    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.judge.judges.protocol import Call, Via
    from llmops_kernel.judge.prompts.text import Task

_MAX_TOKENS = 2_048
# About 100,000 tokens: what does not fit common models is not sent.
_MAX_CHARS = 400_000
_HOPELESS = (AuthMissing, UnknownModel, UnknownPrice, SettingsError)


class ModelJudge:
    """Asks a model, checks what it says, and lets it correct itself once.

    Its answer must fit the schema and the task's own check (as many verdicts as claims, the same
    ids). After one repair there is no score: a number is never made up.

    Args:
        call: Sends a request; see `door` for a session's.
        model: The model's name.
        target: Where calls go and what they cost, for estimates and caps.
        loop: The loop that ``call`` must be made on.
        temperature: None leaves it out, for models that take none.
        max_tokens: Bound on an answer.
        max_chars: Material longer than this is not sent: ``unscored:too_long``.
    """

    def __init__(
        self,
        call: Call,
        model: str,
        *,
        target: Target | None = None,
        loop: BackgroundLoop | None = None,
        temperature: float | None = 0.0,
        max_tokens: int = _MAX_TOKENS,
        max_chars: int = _MAX_CHARS,
    ) -> None:
        self._call = call
        self._model = model
        self._target = target
        self._loop = loop
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._max_chars = max_chars

    @property
    def id(self) -> str:
        """The model's full name where it is known."""
        return self._target.name if self._target is not None else self._model

    @property
    def params(self) -> dict[str, Any]:
        """Temperature and the bound on output."""
        return {"temperature": self._temperature, "max_tokens": self._max_tokens}

    @property
    def loop(self) -> BackgroundLoop | None:
        """The loop its calls must be made on."""
        return self._loop

    @property
    def simulated(self) -> bool:
        """Whether no real model answers."""
        return self._target is not None and self._target.simulated

    def request(self, task: Task, repeat: int = 0) -> ChatRequest:
        """Return the first request of a task."""
        return ChatRequest(
            model=self._model,
            messages=task.messages,
            temperature=self._temperature,
            max_tokens=self._max_tokens,
            response_format=task.response_format,
            seed=repeat or None,  # a draw of its own, and a key of its own in an exact cache
        )

    def bound(self, task: Task) -> tuple[int, int, int, int]:
        """Return likely input and output tokens, likely and highest cost of one call."""
        from llmops_kernel.calls.tokens import count_request
        from llmops_kernel.calls.usage import Usage

        request = self.request(task)
        given = count_request(request)
        # Verdicts quote and repeat what they judge: about a third of the material, and never less
        # than a few words.
        written = min(self._max_tokens, 60 + given // 4)
        if self._target is None:
            return given, written, 0, 0
        likely = self._target.price.cost(Usage(given, written))
        return given, written, likely, self._worst(request)

    async def ask(self, task: Task, *, repeat: int = 0, via: Via | None = None) -> Ruling:
        """Answer a task; see `Judge.ask`."""
        if task.chars > self._max_chars:
            detail = f"{task.chars:,} characters, the judge takes {self._max_chars:,}"
            return Ruling(unscored="too_long", detail=detail)
        request = self.request(task, repeat)
        told: _Told = _Told()
        problems: tuple[str, ...] = ()
        for _ in range(2):
            try:
                reply = await self._send(request, via)
                told.add(reply)
                if reply.cached and not _refused(reply) and task.read(reply.text)[1]:
                    # Kept from a judge that may have been mended since: ask that one.
                    with caching(mode="off"):
                        reply = await self._send(request, via)
                    told.add(reply)
            except LLMOpsError as error:
                return told.failed(error)
            if _refused(reply):
                return told.ruling(unscored="refused", detail=reply.text[:200])
            data, problems = task.read(reply.text)
            if not problems:
                return told.ruling(data=data)
            again: tuple[Message, ...] = task.output.repair_messages(reply.text, problems)
            request = request.with_(messages=(*task.messages, *again))
        return told.ruling(unscored="parse", detail="; ".join(problems)[:300])

    async def _send(self, request: ChatRequest, via: Via | None) -> Reply:
        if via is None:
            return await self._call(request)
        return await via(request, lambda: self._worst(request), self._call)

    def _worst(self, request: ChatRequest) -> int:
        if self._target is None:
            return 0
        from llmops_kernel.calls.counting import TokenCounting

        tokens = TokenCounting().bound(request, self._target.model)
        return self._target.price.worst(tokens, self._max_tokens)


class _Told:
    """What the calls of one task came to so far."""

    def __init__(self) -> None:
        self.calls = 0
        self.usd_nano = 0
        self.simulated = False

    def add(self, reply: Reply) -> None:
        self.calls += 1
        self.usd_nano += reply.cost_nano
        self.simulated = reply.simulated

    def ruling(self, **said: Any) -> Ruling:
        return Ruling(calls=self.calls, usd_nano=self.usd_nano, simulated=self.simulated, **said)

    def failed(self, error: LLMOpsError) -> Ruling:
        if isinstance(error, CallRefused):
            return self.ruling(unscored="budget", detail=error.sentence(), fatal=True)
        too_long = isinstance(error, BadRequest) or "context" in error.message.lower()
        if too_long and "long" in error.sentence().lower():
            return self.ruling(unscored="too_long", detail=error.sentence())
        hopeless = isinstance(error, _HOPELESS)
        return self.ruling(unscored="error", detail=error.sentence(), fatal=hopeless)


def _refused(reply: Reply) -> bool:
    if reply.finish_reason == "content_filter":
        return True
    message = reply.choices[0].get("message") or {} if reply.choices else {}
    return bool(message.get("refusal")) and not reply.text
