"""One streamed request, timed as the person who waits for it would."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

_LONGEST_LINE = 2**20
_ENDED = ("stop", "length", "tool_calls")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is measured: any OpenAI-compatible server.

    Attributes:
        url: Its base URL, up to ``/v1``.
        model: The model's name there.
        key: The bearer key; "" for none.
        label: What to call it in results.
        fields: Further fields of each request.
        about: What is known of the server: ``engine``, ``file_type``, ``ready_s``.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    label: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Sample:
    """One request. Times are seconds of one monotonic clock.

    Attributes:
        prompt: Which prompt was sent.
        due: When it was due: in an open loop its arrival, else when it was sent.
        sent: When it was sent.
        first: When its first token came; 0 if none did.
        last: When its last token came.
        done: When the answer had ended.
        prompt_tokens: Prompt tokens as the server counts them; 0 if it does not.
        cached: Those it had kept from earlier prompts; None if it does not tell.
        tokens: Output tokens: the server's count, else the pieces that came.
        text: The answer.
        finish: Why it ended, as the server says; "" if it does not.
        status: HTTP status; 0 without an answer.
        error: What went wrong; "" for nothing.
        lone: The answer to the same prompt when nothing else was asked; "" where it is not known.
    """

    prompt: int
    due: float
    sent: float = 0.0
    first: float = 0.0
    last: float = 0.0
    done: float = 0.0
    prompt_tokens: int = 0
    cached: int | None = None
    tokens: int = 0
    text: str = ""
    finish: str = ""
    status: int = 0
    error: str = ""
    lone: str = ""

    @property
    def complete(self) -> bool:
        """Whether the whole answer came: it has a text and a reason to end, and is not cut.

        An HTTP status says nothing of it: servers break streams off under a 200. A text that is
        the beginning of the same prompt's lone answer was cut, whatever reason is given.
        """
        if self.error or self.finish not in _ENDED or not self.text:
            return False
        cut = len(self.text) < len(self.lone) and self.lone.startswith(self.text)
        return not cut

    @property
    def ttft(self) -> float:
        """Seconds from when it was due to its first token."""
        return self.first - self.due

    @property
    def tpot(self) -> float | None:
        """Seconds between two tokens; None with fewer than two."""
        return (self.last - self.first) / (self.tokens - 1) if self.tokens > 1 else None

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its end."""
        return self.done - self.due


async def ask(
    session: aiohttp.ClientSession, goal: Goal, prompt: str, max_tokens: int, sample: Sample
) -> Sample:
    """Send one request and fill in its sample; errors are noted, never raised."""
    import aiohttp

    body = {
        "model": goal.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        **goal.fields,
    }
    headers = {"Authorization": f"Bearer {goal.key}"} if goal.key else {}
    sample.sent = time.monotonic()
    try:
        async with session.post(
            f"{goal.url}/chat/completions", json=body, headers=headers
        ) as response:
            sample.status = response.status
            if response.status != 200:
                sample.error = f"HTTP {response.status}"
                said = await response.content.read(300)
                sample.error += f": {said.decode('utf-8', 'replace')}"
            else:
                await _read(response, sample)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        sample.error = sample.error or type(error).__name__
    sample.done = time.monotonic()
    return sample


async def _read(response: aiohttp.ClientResponse, sample: Sample) -> None:
    pieces, counted = [], 0
    async for line in response.content:
        if len(line) > _LONGEST_LINE:
            raise ValueError("a line is too long")
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            break
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError("an event is no object")
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            counted = _count(usage, "completion_tokens") or counted
            sample.prompt_tokens = _count(usage, "prompt_tokens") or sample.prompt_tokens
            details = usage.get("prompt_tokens_details")
            if isinstance(details, dict):
                sample.cached = _count(details, "cached_tokens")
        if text := _note(chunk, sample):
            sample.last = time.monotonic()
            sample.first = sample.first or sample.last
            pieces.append(text)
    sample.text = "".join(pieces)
    sample.tokens = counted or len(pieces)


def _count(usage: dict[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) else None


def _note(chunk: dict[str, Any], sample: Sample) -> str:
    """Return the text of a chunk, and note why the answer ended."""
    choices = chunk.get("choices") or [{}]
    choice = choices[0] if isinstance(choices[0], dict) else {}
    if isinstance(finish := choice.get("finish_reason"), str):
        sample.finish = finish
    text = (choice.get("delta") or {}).get("content")
    return text if isinstance(text, str) else ""
