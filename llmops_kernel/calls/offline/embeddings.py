"""Embeddings requests, answered by the embedder that ships with the package."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.reply import Reply
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import BadRequest, UnknownModel

if TYPE_CHECKING:
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.request import EmbeddingRequest
    from llmops_kernel.embed.protocol import Vectors

EMBED_MODEL = "embed"

_MOST_TEXTS = 2_048  # as at OpenAI
# Texts after which a cancelled call is noticed: some seconds of long passages.
_SLICE = 64


async def embed(request: EmbeddingRequest, target: Target) -> Reply:
    """Answer an embeddings request, off the event loop.

    A single text is computed alone, so equal requests get equal bits.

    Raises:
        UnknownModel: The model asked for does not embed.
        BadRequest: The input is no text, or a field cannot be followed.
        MissingExtra: onnxruntime is not installed.
    """
    if (target.provider, target.model) != ("offline", EMBED_MODEL):
        raise UnknownModel(
            "This model cannot embed without a provider",
            detail=target.name,
            hint='Use "offline/embed", which is built in, or name a provider\'s model in '
            'llmops.toml, [aliases] embed = "openai/text-embedding-3-small"',
        )
    texts = _texts(request.input)
    packed = _packed(request.extra.get("encoding_format"))

    from llmops_kernel.embed import builtin

    embedder = await asyncio.to_thread(builtin)
    _check_dimensions(request.extra.get("dimensions"), embedder.dim)
    items: list[dict[str, Any]] = []
    tokens = 0
    for start in range(0, len(texts), _SLICE):
        part = texts[start : start + _SLICE]
        vectors, counted = await asyncio.to_thread(_compute, embedder, part)
        tokens += counted
        items += (
            {"object": "embedding", "index": start + number, "embedding": _encoded(row, packed)}
            for number, row in enumerate(vectors)
        )
    return Reply(
        id="",
        model=target.name,
        created=int(time.time()),
        choices=tuple(items),
        usage=Usage(tokens, 0, estimated=False),
        provider=target.provider,
        simulated=target.simulated,
        kind="embeddings",
        extra={"embedder": embedder.id},
    )


def _compute(embedder: Any, texts: list[str]) -> tuple[Vectors, int]:
    return embedder.embed_texts(texts), sum(map(embedder.count_tokens, texts))


def _encoded(vector: Vectors, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise BadRequest("input must be a string or a non-empty list", param="input")
    if len(texts) > _MOST_TEXTS:
        raise BadRequest(f"input must have at most {_MOST_TEXTS} texts", param="input")
    for number, text in enumerate(texts):
        if isinstance(text, int | list):
            raise BadRequest(
                "The built-in embedder reads texts, not token ids",
                param="input",
                hint="Send the texts themselves; for LangChain: "
                "OpenAIEmbeddings(..., check_embedding_ctx_length=False)",
            )
        if not isinstance(text, str):
            raise BadRequest("Each input must be a string", param=f"input[{number}]")
    return texts


def _packed(value: Any) -> bool:
    if value not in (None, "float", "base64"):
        raise BadRequest("encoding_format must be float or base64", param="encoding_format")
    return bool(value == "base64")


def _check_dimensions(value: Any, dim: int) -> None:
    if value is not None and (isinstance(value, bool) or value != dim):
        raise BadRequest(
            f"The built-in embedder's vectors have {dim} dimensions",
            param="dimensions",
            hint="Leave dimensions out",
        )
