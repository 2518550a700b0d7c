"""Counting tokens without a network: bounds before a call, estimates after one.

Three counters, from sure to likely:

- UTF-8 bytes: a true upper bound for the byte-level tokenizers in use;
- OpenAI's tokenizers, where tiktoken is installed and its data are on this machine;
- a regular expression that counts slightly too many, the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.calls.tokenizers import tokenizer_of

if TYPE_CHECKING:
    from llmops_kernel.calls.request import EmbeddingRequest, Request

# Pieces that tokenizers tend to make one token of: the first letters of a word, three letters of a
# long word's rest, three digits, ... Measured against o200k_base it counts 12 % more for English
# prose, 20 to 30 % for code and JSON, 0 to 30 % for other Western languages, Chinese and Japanese,
# and up to twice as many for other scripts, where older tokenizers do need that many.
_PIECE = re.compile(
    r" ?(?:(?<![a-z])[A-Z]?[a-z]{1,7}|[A-Z]{1,3})|[a-z]{1,3}"
    r"|[0-9]{1,3}"
    r"| ?[\u0370-\u052f]{1,3}|[\u0590-\u0eff]{1,2}"
    r"|[ \t]{0,32}[\r\n]{1,16}[ \t]{0,64}|[ \t]{1,64}(?=[ \t])|[ \t]"
    r"|[!-/:-@\[-`{-~]{1,3}"
    r"|.",
    re.DOTALL,
)
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")  # emoji take two tokens or more

# Beyond this many characters the exact count takes longer than a call should wait for it.
_EXACT_CHARS = 40_000

# What providers put around the content, in tokens: (per request, per message, per tool).
_LIKELY = (3, 4, 8)
_AT_MOST = (16, 8, 24)
_TOOL_PROMPT = 800  # some models are told how to use tools at this length

# Most tokens of an image, by the start of the model's name; the first that fits counts. OpenAI cuts
# an image into at most 8 tiles (85 + 170 each, 33 times that for gpt-4o-mini) or 1,536 patches
# (times up to 2.46).
_IMAGES = (
    ("gpt-4o-mini", 48_169),
    ("gpt-4o", 1_445),
    ("chatgpt-4o", 1_445),
    ("gpt-4-", 1_445),
    ("gpt-4.1-", 3_779),
    ("gpt-4.1", 1_445),
    ("gpt-5-", 3_779),
    ("o1", 1_445),
    ("o3", 1_445),
    ("o4-mini", 3_779),
)
_IMAGE = 16_384
_SMALL_IMAGES = {"gpt-4o": 85, "gpt-4o-mini": 2_833}  # detail: low

# Files, video and whatever comes next: a usual context window, which bounds them all.
_UNKNOWN_PART = 128_000

_TEXT_PARTS = {"text", "input_text", "output_text", "refusal"}
_SPOKEN_PARTS = {"thinking", "reasoning", "redacted_thinking", "tool_use", "tool_result"}
_IMAGE_PARTS = {"image_url", "input_image", "image"}
_AUDIO_PARTS = {"input_audio", "audio"}


def count_tokens(text: str, model: str | None = None) -> int:
    """Return about how many tokens a text has, rather too many than too few.

    Args:
        text: The text.
        model: A model's name, to use its tokenizer where it is at hand. None always uses the same
            built-in estimate, whatever is installed.
    """
    tokenizer = tokenizer_of(model) if model else None
    if tokenizer is not None and len(text) <= _EXACT_CHARS:
        return len(tokenizer.encode_ordinary(text))
    count = len(_PIECE.findall(text))
    return count if text.isascii() else count + len(_ASTRAL.findall(text))


def count_request(request: Request, model: str | None = None) -> int:
    """Return about how many input tokens a request has, for settling without usage."""
    content = _read(request, model or "")
    written = sum(count_tokens(text, model) for text in content.texts)
    return written + content.other + content.overhead(_LIKELY)


def bound_tokens(request: Request, model: str) -> int:
    """Return an upper bound on the input tokens of a request, for reserving.

    Images, audio and files are bounded by their kind, not by the length of their encoding.

    Args:
        request: The request.
        model: The model's name, bare or full. For ``sim/...`` and ``offline/...`` the bound is the
            built-in estimate, by which those models' usage is counted.
    """
    content = _read(request, model)
    overhead = content.overhead(_AT_MOST) + (_TOOL_PROMPT if content.tools else 0)
    if model.startswith(("sim/", "offline/")):
        return sum(map(count_tokens, content.texts)) + content.other + overhead
    tokenizer = None
    if sum(map(len, content.texts)) <= _EXACT_CHARS:
        tokenizer = tokenizer_of(model)
    if tokenizer is not None:
        # A model under a known name may be simulated, and then counts by the estimate.
        estimate = sum(map(count_tokens, content.texts))
        written = max(estimate, sum(len(tokenizer.encode_ordinary(t)) for t in content.texts))
    else:
        written = sum(len(text.encode("utf-8", "surrogatepass")) for text in content.texts)
    return written + content.other + overhead


def has_media(request: Request) -> bool:
    """Whether a request carries, or asks for, anything but text; that may have other prices."""
    if not isinstance(request, ChatRequest):
        return False
    modalities = request.extra.get("modalities")
    if isinstance(modalities, list) and any(kind != "text" for kind in modalities):
        return True
    return any(
        _kind(part) not in _TEXT_PARTS | _SPOKEN_PARTS
        for message in request.messages
        if isinstance(parts := message.get("content"), list)
        for part in parts
    )


@dataclass(slots=True)
class _Content:
    """What of a request is counted.

    Attributes:
        texts: Everything the model reads as text.
        other: Tokens of images, audio, files and token ids.
    """

    texts: list[str] = field(default_factory=list)
    other: int = 0
    messages: int = 0
    tools: int = 0

    def overhead(self, rates: tuple[int, int, int]) -> int:
        """Return the tokens around the content; embeddings have none."""
        if not self.messages:
            return 0
        request, message, tool = rates
        return request + message * self.messages + tool * self.tools


def _read(request: Request, model: str) -> _Content:
    if not isinstance(request, ChatRequest):
        return _read_embeddings(request)
    content = _Content(messages=len(request.messages), tools=len(request.tools))
    for message in request.messages:
        body = message.get("content")
        if isinstance(body, str):
            content.texts.append(body)
        elif isinstance(body, list):
            for part in body:
                _read_part(content, part, model)
        if len(message) > 2:
            content.texts.extend(
                value if isinstance(value, str) else dump(value)
                for key, value in message.items()
                if key not in {"role", "content"} and value
            )
    if request.tools:
        content.texts.append(dump(request.tools))
    for field_ in (request.response_format, request.extra.get("functions")):
        if field_:
            content.texts.append(dump(field_))
    return content


def _read_part(content: _Content, part: Any, model: str) -> None:
    kind = _kind(part)
    if kind in _TEXT_PARTS and isinstance(part.get("text", part.get("refusal")), str):
        content.texts.append(part.get("text", part.get("refusal")))
    elif kind in _SPOKEN_PARTS or kind in _TEXT_PARTS:
        content.texts.append(dump(part))
    elif kind in _IMAGE_PARTS:
        content.other += _image(part, model)
    elif kind in _AUDIO_PARTS:
        content.other += _audio(part)
    else:
        content.other += _UNKNOWN_PART


def _kind(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    kind = part.get("type")
    return kind if isinstance(kind, str) else "text" if "text" in part else ""


def _image(part: Mapping[str, Any], model: str) -> int:
    name = model.rpartition("/")[2]
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, Mapping) else part.get("detail")
    if detail == "low" and name in _SMALL_IMAGES:
        return _SMALL_IMAGES[name]
    if name == "gpt-5":
        return 1_445
    return next((most for start, most in _IMAGES if name.startswith(start)), _IMAGE)


def _audio(part: Mapping[str, Any]) -> int:
    audio = part.get("input_audio")
    data = audio.get("data") if isinstance(audio, Mapping) else None
    if not isinstance(data, str):
        return _UNKNOWN_PART
    # 32 tokens a second is the most that is charged, and speech takes 750 bytes a second or more,
    # that is 1,000 characters of base64. Four times that bound, and something for the start.
    return min(_UNKNOWN_PART, 1_000 + len(data) // 8)


def _read_embeddings(request: EmbeddingRequest) -> _Content:
    content = _Content()
    items = [request.input] if isinstance(request.input, str) else request.input
    for item in items:
        if isinstance(item, str):
            content.texts.append(item)
        elif isinstance(item, list):
            content.other += len(item)
        else:  # one token id
            content.other += 1
    return content
