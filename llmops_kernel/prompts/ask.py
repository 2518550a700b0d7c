"""One question: the requests it takes, and what their replies add up to.

The core is a generator that yields requests and receives replies. It knows nothing of sessions,
threads or event loops, so the blocking and the asynchronous caller run the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.status import usd
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.calls.usage import Usage
from llmops_kernel.display.text import one_line
from llmops_kernel.errors import OutputInvalid, UsageProblem
from llmops_kernel.prompts.answer import Answer
from llmops_kernel.prompts.cot import split_answer, split_thinking
from llmops_kernel.prompts.fewshot import build_messages
from llmops_kernel.prompts.structured import OutputSchema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.prompts.compress import Compressed

MAX_REPAIRS = 5


@dataclass(frozen=True, slots=True)
class AskSpec:
    """One question to a model.

    Attributes:
        model: The model's name.
        prompt: The question.
        system: What the model is told about its task.
        examples: Pairs of an input and its output.
        context: Text to answer from.
        think: Whether to ask for reasoning before the answer.
        schema: What the output must match (whatever `OutputSchema.of` takes); None for free text.
        max_tokens: Bound on output tokens of each call.
        temperature: Sampling temperature.
        seed: Seed, where the provider knows one.
        repair: How many further calls may be made to correct typed output (0 to 5).
        compress: Whether the prompt is made shorter first: True, a number of tokens to aim at, or a
            `Compressor`.
    """

    model: str
    prompt: str
    system: str | None = None
    examples: Sequence[tuple[str, Any]] = ()
    context: str | None = None
    think: bool = False
    schema: Any = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    repair: int = 1
    compress: Any = None


@dataclass(frozen=True, slots=True)
class AskResult:
    """What a question came to, over all of its calls.

    Attributes:
        text: The answer; for typed output its JSON.
        data: Typed output, None for free text.
        reasoning: What was thought on the way, "" for none.
        usage: Tokens of all calls.
        cost_nano: Nano-dollars of all calls, in the book that ``simulated`` names.
        replies: The replies, in order.
    """

    text: str
    data: Any
    reasoning: str
    usage: Usage
    cost_nano: int
    replies: tuple[Reply, ...]

    @property
    def repairs(self) -> int:
        """Calls beyond the first."""
        return len(self.replies) - 1

    @property
    def latency_s(self) -> float | None:
        """Seconds on the virtual clock, of all calls; None unless all were simulated."""
        latencies = [reply.latency_s for reply in self.replies]
        known = [latency for latency in latencies if latency is not None]
        return sum(known) if len(known) == len(latencies) else None

    def answer(self, trace_id: str = "") -> Answer:
        """Return it as a person gets it."""
        last = self.replies[-1]
        return Answer(
            text=self.text,
            data=self.data,
            usage=self.usage,
            usd=usd(self.cost_nano),
            simulated=any(reply.simulated for reply in self.replies),
            cached=all(reply.cached for reply in self.replies),
            model=last.model,
            trace_id=trace_id,
            finish_reason=last.finish_reason,
            repairs=self.repairs,
            reasoning=self.reasoning,
            latency_s=self.latency_s,
        )


def build_request(spec: AskSpec) -> ChatRequest:
    """Return the first request of a question.

    Raises:
        UsageProblem: The prompt is empty, the examples are no pairs or a number is out of range.
    """
    _check(spec)
    schema = _schema(spec)
    form = schema.response_format(think=spec.think) if schema else None
    messages = build_messages(
        spec.prompt,
        system=spec.system,
        examples=spec.examples,
        context=spec.context,
        think=spec.think and schema is None,  # with a schema, reasoning is a property of it
    )
    if spec.compress:
        messages = compressed(spec, messages).messages
    return ChatRequest(
        model=spec.model,
        messages=messages,
        max_tokens=spec.max_tokens,
        temperature=spec.temperature,
        response_format=form,
        seed=spec.seed,
    )


def compressed(spec: AskSpec, messages: Sequence[Message]) -> Compressed:
    """Return the messages of a question as its compressor leaves them, with a report.

    With context, the prompt is the question that its sentences are chosen for; a long prompt
    without one is searched for its question.

    Raises:
        UsageProblem: ``compress`` is nothing that stands for a compressor.
    """
    from llmops_kernel.prompts.compress import Compressor

    compressor = Compressor.of(spec.compress) or Compressor(prefix=(), tail=())
    return compressor.compress(messages, spec.prompt if spec.context else None)


def ask_steps(spec: AskSpec) -> Generator[ChatRequest, Reply, AskResult]:
    """Yield the requests of a question, receive their replies, and return what they came to.

    Raises:
        UsageProblem: As `build_request`.
        OutputInvalid: Typed output stayed invalid, was refused by the model, or was cut off.
    """
    schema = _schema(spec)
    first = request = build_request(replace(spec, schema=schema))
    replies: list[Reply] = []
    while True:
        reply = yield request
        replies.append(reply)
        if schema is None:
            return _free_text(spec, reply)
        _refuse_hopeless(reply)
        parsed = schema.parse(reply.text, think=spec.think)
        if not parsed.problems:
            reasoning = parsed.reasoning or _native_reasoning(reply)
            return _result(replies, parsed.json, parsed.data, reasoning)
        if reply.finish_reason == "length":
            # A correction has the same bound and would be cut off as well.
            raise _invalid(
                "The model's typed output was cut off", reply, parsed.problems, "Raise max_tokens"
            )
        if len(replies) > spec.repair:
            raise _invalid(
                "The model's output does not match the schema",
                reply,
                parsed.problems,
                "Simplify the schema, add an example, allow more repairs or use a larger model",
            )
        # Only the latest attempt is sent back: earlier ones cost tokens and repeat the mistakes.
        turns = schema.repair_messages(reply.text, parsed.problems, think=spec.think)
        request = first.with_(messages=(*first.messages, *turns))


def run_ask(call: Callable[[ChatRequest], Reply], spec: AskSpec, *, trace_id: str = "") -> Answer:
    """Ask a question by a blocking ``call``; see `ask_steps` for errors."""
    steps = ask_steps(spec)
    request = next(steps)
    while True:
        reply = call(request)
        try:
            request = steps.send(reply)
        except StopIteration as end:
            return _answer(end, trace_id)


async def run_ask_async(
    call: Callable[[ChatRequest], Awaitable[Reply]], spec: AskSpec, *, trace_id: str = ""
) -> Answer:
    """Ask a question by an asynchronous ``call``; see `ask_steps` for errors."""
    steps = ask_steps(spec)
    request = next(steps)
    while True:
        reply = await call(request)
        try:
            request = steps.send(reply)
        except StopIteration as end:
            return _answer(end, trace_id)


def _answer(end: StopIteration, trace_id: str) -> Answer:
    result: AskResult = end.value
    return result.answer(trace_id)


def _schema(spec: AskSpec) -> OutputSchema | None:
    return None if spec.schema is None else OutputSchema.of(spec.schema)


def _check(spec: AskSpec) -> None:
    if not isinstance(spec.repair, int) or not 0 <= spec.repair <= MAX_REPAIRS:
        raise UsageProblem(f"repair must be a whole number from 0 to {MAX_REPAIRS}")
    if spec.max_tokens is not None and (
        not isinstance(spec.max_tokens, int) or spec.max_tokens < 1
    ):
        raise UsageProblem("max_tokens must be a whole number of at least 1")
    if spec.temperature is not None and (
        not isinstance(spec.temperature, int | float) or not 0 <= spec.temperature <= 2
    ):
        raise UsageProblem("temperature must be between 0 and 2")


def _free_text(spec: AskSpec, reply: Reply) -> AskResult:
    thinking, text = split_thinking(reply.text)
    if not text and (refusal := _refusal(reply)):
        text = refusal
    reasoning = "\n\n".join(part for part in (_native_reasoning(reply), thinking) if part)
    if spec.think:
        written, text = split_answer(text)
        reasoning = "\n\n".join(part for part in (reasoning, written) if part)
    return _result([reply], text, None, reasoning)


def _result(replies: list[Reply], text: str, data: Any, reasoning: str) -> AskResult:
    return AskResult(
        text=text,
        data=data,
        reasoning=reasoning,
        usage=sum((reply.usage or Usage() for reply in replies), Usage()),
        cost_nano=sum(reply.cost_nano for reply in replies),
        replies=tuple(replies),
    )


def _message(reply: Reply) -> dict[str, Any]:
    return dict(reply.choices[0].get("message") or {}) if reply.choices else {}


def _native_reasoning(reply: Reply) -> str:
    """Return the reasoning that servers of open-weight models send beside the content."""
    message = _message(reply)
    found = message.get("reasoning_content") or message.get("reasoning")
    return found.strip() if isinstance(found, str) else ""


def _refusal(reply: Reply) -> str:
    refusal = _message(reply).get("refusal")
    return refusal if isinstance(refusal, str) else ""


def _refuse_hopeless(reply: Reply) -> None:
    """Do not pay for a correction that cannot come."""
    if refusal := _refusal(reply):
        raise OutputInvalid(
            "The model refused to give the typed output",
            detail=one_line(refusal, 300),
            hint="Change the prompt",
        )
    if reply.finish_reason == "content_filter":
        raise OutputInvalid(
            "The provider's content filter stopped the typed output", hint="Change the prompt"
        )


def _invalid(sentence: str, reply: Reply, problems: Sequence[str], hint: str) -> OutputInvalid:
    listed = "; ".join(problems[:3]) + ("; …" if len(problems) > 3 else "")
    last = one_line(reply.text, 300) or "(empty)"
    return OutputInvalid(sentence, detail=f"{listed}. The last reply: {last}", hint=hint)
