"""The offline model as the end of the path of a call."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump
from llmops_kernel.calls.offline.answering.compose import write_text
from llmops_kernel.calls.offline.calling.plan import plan_calls
from llmops_kernel.calls.offline.draw import Draw
from llmops_kernel.calls.offline.embeddings import EMBED_MODEL, embed
from llmops_kernel.calls.offline.filling.structured import wanted_schema, write_json
from llmops_kernel.calls.offline.latency import latency_s
from llmops_kernel.calls.offline.limits import cut_at_stop, cut_to_tokens, stop_sequences
from llmops_kernel.calls.offline.reading.prompt import Prompt, message_content
from llmops_kernel.calls.offline.reading.reader import read_prompt
from llmops_kernel.calls.offline.reading.tasks import read_task
from llmops_kernel.calls.offline.stream import streamed
from llmops_kernel.calls.reply import Reply, ReplyStream
from llmops_kernel.calls.request import EmbeddingRequest
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import BadRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.request import ChatRequest, Request

FINGERPRINT = "llmops-offline-1"

_MOST_CHOICES = 128
# What a chat format adds around the content, in tokens: per request, per message, per tool.
_OVERHEAD = (3, 4, 8)


class OfflineEngine:
    """Answers requests in this process, without a model, a network or a cost.

    Equal requests get equal answers, in any order and in any process. The answers are extractive:
    sentences, values and labels that the request itself gives.

    Args:
        count: Counts the tokens of a text, for usage and for ``max_tokens``.
    """

    def __init__(self, count: Callable[[str], int] | None = None) -> None:
        if count is None:
            from llmops_kernel.calls.tokens import count_tokens

            count = count_tokens
        self._count: Callable[[str], int] = count

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve a chat request, or embeddings by the built-in embedder.

        Raises:
            UnknownModel: The offline model does not exist, or is of the other kind.
            BadRequest: ``tool_choice``, ``n`` or a field for embeddings cannot be followed.
            MissingExtra: Embeddings were asked for without the packages that compute them.
        """
        target = context.target
        assert target is not None, "the resolving stage comes before this one"
        if isinstance(request, EmbeddingRequest):
            return await embed(request, target)
        if target.provider == "offline" and target.model == EMBED_MODEL:
            raise UnknownModel(
                "This offline model answers requests for embeddings only",
                hint='Use "offline/extractive"',
            )
        if target.provider == "offline" and target.model != "extractive":
            raise UnknownModel(
                "There is no offline model of this name", hint='Use "offline/extractive"'
            )
        return self.answer(request, target.name, target.provider, target.model)

    def answer(
        self, request: ChatRequest, name: str, provider: str, model: str
    ) -> Reply | ReplyStream:
        """Answer a chat request, at once or as a stream.

        Args:
            request: The request.
            name: The full name the reply carries, ``sim/gpt-4o``.
            provider: ``offline`` or ``sim``; only the latter has a (virtual) latency.
            model: The simulated model's name, ``gpt-4o``.
        """
        if request.n > _MOST_CHOICES:
            raise BadRequest(f"n must be at most {_MOST_CHOICES}", param="n")
        choices, outputs = self._choices(request)
        usage = Usage(self._input_tokens(request), sum(outputs), estimated=False)
        digest = blake2b(f"{name}|{request.fingerprint}".encode(), digest_size=14).hexdigest()
        latency = None
        if provider == "sim":
            latency = latency_s(model, request.fingerprint, usage.input_tokens, max(outputs))
        reply = Reply(
            id=f"chatcmpl-{digest}",
            model=name,
            created=int(time.time()),
            choices=tuple(choices),
            usage=usage,
            provider=provider,
            simulated=True,
            latency_s=latency,
            extra={"system_fingerprint": FINGERPRINT},
        )
        if not request.stream:
            return reply
        return ReplyStream(streamed(reply), reply.with_(choices=(), usage=None))

    def _choices(self, request: ChatRequest) -> tuple[list[dict[str, Any]], list[int]]:
        prompt = read_prompt(request.messages)
        plan = plan_calls(request, prompt)
        if plan.calls:
            made = [self._calling(request, plan.calls, number) for number in range(request.n)]
        else:
            made = [self._writing(request, prompt, plan.question, n) for n in range(request.n)]
        return [choice for choice, _ in made], [tokens for _, tokens in made]

    def _writing(
        self, request: ChatRequest, prompt: Prompt, question: str, number: int
    ) -> tuple[dict[str, Any], int]:
        draw = Draw(request.fingerprint, number, request.temperature or 0.0, request.seed)
        task = read_task(prompt)
        schema = None if question else wanted_schema(request.response_format, prompt)
        if question:
            text = question
        elif schema is not None:
            text = write_json(schema, prompt, task, draw)
        else:
            text = write_text(prompt, task, draw)
        text = cut_at_stop(text, stop_sequences(request.stop))
        whole = text
        if request.max_tokens is not None:
            text = cut_to_tokens(text, request.max_tokens, self._count)
        choice = {
            "index": number,
            "finish_reason": "stop" if text == whole else "length",
            "message": {"role": "assistant", "content": text},
        }
        return choice, self._count(text)

    def _calling(
        self, request: ChatRequest, calls: Iterable[tuple[str, str]], number: int
    ) -> tuple[dict[str, Any], int]:
        left = request.max_tokens
        made: list[dict[str, Any]] = []
        spent = 0
        cut = False
        for index, (name, arguments) in enumerate(calls):
            kept = arguments
            if left is not None:
                room = left - spent - self._count(name)
                kept = cut_to_tokens(arguments, room, self._count)
                if room <= 0:
                    cut = True
                    break
            spent += self._count(name) + self._count(kept)
            key = f"{request.fingerprint}|{number}|{index}|{name}|{arguments}"
            digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
            function = {"name": name, "arguments": kept}
            made.append({"id": f"call_{digest}", "type": "function", "function": function})
            if kept != arguments:
                cut = True
                break
        message: dict[str, Any] = {"role": "assistant", "content": None if made else ""}
        if made:
            message["tool_calls"] = made
        reason = "length" if cut else "tool_calls"
        return {"index": number, "finish_reason": reason, "message": message}, spent

    def _input_tokens(self, request: ChatRequest) -> int:
        """Count what is read: text, names, calls, tools and schema, but no images or sound."""
        per_request, per_message, per_tool = _OVERHEAD
        total = per_request + per_message * len(request.messages) + per_tool * len(request.tools)
        total += sum(self._message_tokens(message) for message in request.messages)
        if request.tools:
            total += self._count(dump(request.tools))
        if request.response_format:
            total += self._count(dump(request.response_format))
        return total

    def _message_tokens(self, message: Message) -> int:
        total = self._count(message_content(message))
        if len(message) > 2:
            for key, value in message.items():
                if key not in {"role", "content"} and value:
                    total += self._count(value if isinstance(value, str) else dump(value))
        return total
