"""What a session is asked: calls, questions, and answers from documents."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget import nano
from llmops_kernel.calls import ChatRequest, Reply, ReplyStream
from llmops_kernel.cells import Whereabouts
from llmops_kernel.path import retrieval
from llmops_kernel.prompts import Answer, AskSpec, run_ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from threading import RLock

    from llmops_kernel.calls import CallContext, Chunk, Handler, Message, Request
    from llmops_kernel.calls.loop import BackgroundLoop
    from llmops_kernel.housekeeping import Housekeeping
    from llmops_kernel.rag.answer import RagAnswer
    from llmops_kernel.rag.library import Library


class Calling(Whereabouts):
    """The part of a session that sends requests down the path."""

    _path: Handler
    _loop: BackgroundLoop
    _housekeeping: Housekeeping
    _library: Library | None
    _lock: RLock

    async def acall(
        self, request: Request, context: CallContext | None = None
    ) -> Reply | ReplyStream:
        """Serve a request on the session's own loop.

        A `ReplyStream` comes back for a streaming request; iterate it to its end or close it.
        """
        cell = self._cell
        self._housekeeping.call_begins()
        try:
            reply = await self._path(request, context or self.context())
        except BaseException:
            self._housekeeping.call_ended()
            raise

        def ended(outcome: Any) -> None:
            cell.add(outcome)
            self._housekeeping.call_ended()

        return await reply.observed(ended)

    def call(self, request: Request, **context: Any) -> Reply:
        """Serve a request and wait for the whole reply; Ctrl-C cancels and settles it."""
        return self._loop.run(self._whole(request, self.context(**context)))

    def stream(self, request: ChatRequest, **context: Any) -> Iterator[Chunk]:
        """Serve a request and yield OpenAI chunk objects as they arrive."""
        opened = self._loop.run(self.acall(request.with_(stream=True), self.context(**context)))
        assert isinstance(opened, ReplyStream)
        try:
            yield from self._loop.iterate(opened)
        finally:
            self._loop.run(opened.aclose())

    async def _whole(self, request: Request, context: CallContext) -> Reply:
        reply = await self.acall(request, context)
        return await reply.collect() if isinstance(reply, ReplyStream) else reply

    def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        context: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Reply:
        """Call a model with OpenAI-shaped messages; ``fields`` are fields of the request body."""
        body = {"model": model or self.settings.model, "messages": list(messages), **fields}
        if tools:
            body["tools"] = list(tools)
        return self.call(ChatRequest.from_body(body), **(context or {}))

    def ask(self, prompt: str, **options: Any) -> Answer:
        """Ask a model and return an `Answer`.

        Args:
            prompt: The question or instruction.
            options: ``model``, ``system``, ``max_tokens``, ``temperature``, ``seed``, ``schema``
                (a pydantic model, a JSON schema: typed output in ``answer.data``), ``examples``
                (pairs of input and output), ``think`` (reason first), ``context`` (text to answer
                from), ``repair`` (tries to correct invalid typed output), ``max_usd`` (a cap for
                each call this question makes).

        Raises:
            CallRefused: A cap, a stop or the loop breaker refused; nothing was spent.
            OutputInvalid: Typed output stayed invalid after repair.
            ProviderError: The provider failed.
        """
        max_usd = options.pop("max_usd", None)
        spec = AskSpec(prompt=prompt, model=options.pop("model", None) or self.settings.model,
                       **options)  # fmt: skip
        with self.span("ask", "ask") as span:
            return self._run_ask(spec, span.trace_id, "ask", max_usd)

    def rag(self, question: str, index: str, **options: Any) -> RagAnswer:
        """Answer a question from the documents of an index.

        Args:
            question: The question.
            index: Name of the index; `indexes` makes and fills them.
            options: ``model``, ``k`` and the other fields of `SearchOptions`, ``tenant`` (default:
                the settings' own), ``filters`` (like ``version=2026``), ``budget`` (tokens of
                passages), ``max_tokens``, ``rewrite``, ``rerank`` (a model that orders candidates
                anew), ``reranker`` (a function that does), ``system``, ``max_usd``.

        Raises:
            UsageProblem: There is no such index, or an option cannot be.
            CallRefused: A cap, a stop or the loop breaker refused; nothing was spent.
            StoreError: Record or vector store cannot be used.
            ProviderError: The provider failed.
        """
        told: RagAnswer = retrieval().answer(self, question, index, **options)
        return told

    def _run_ask(
        self, spec: AskSpec, trace_id: str, purpose: str, max_usd: object = None
    ) -> Answer:
        cap = None if max_usd is None else nano(Decimal(str(max_usd)))

        def call(request: ChatRequest) -> Reply:
            return self.call(request, max_usd_nano=cap, purpose=purpose)

        return run_ask(call, spec, trace_id=trace_id)

    @property
    def indexes(self) -> Library:
        """The retrieval indexes of this session's record."""
        with self._lock:
            if self._library is None:
                self._library = retrieval().make_library(self)
            return self._library
