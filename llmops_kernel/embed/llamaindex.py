"""LlamaIndex's embeddings and ours, each as the other.

Importing this module imports LlamaIndex.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmops_kernel.embed.remote import RemoteEmbedder
from llmops_kernel.errors import MissingExtra, UsageProblem

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
except ImportError as error:
    raise MissingExtra("rag", "llama-index-core") from error

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Embedder

# Enough for our embedder to put texts of one length together.
_BATCH = 256
_UNNAMED = "unknown"


class LlamaIndexEmbedding(BaseEmbedding):
    """One of our embedders where LlamaIndex wants an ``embed_model``.

    Its ``model_name`` is the embedder's id, so that LlamaIndex's ingestion cache tells versions
    apart.

    Args:
        embedder: What embeds.
        fields: Further fields of ``BaseEmbedding`` (``embed_batch_size``, ``num_workers``, ...).
    """

    _embedder: Any = PrivateAttr()

    def __init__(self, embedder: Embedder, **fields: Any) -> None:
        super().__init__(
            model_name=embedder.id,
            embed_batch_size=fields.pop("embed_batch_size", _BATCH),
            **fields,
        )
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """Return the name LlamaIndex shows."""
        return "LlamaIndexEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed_texts(texts).tolist()
        return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def from_llamaindex(
    model: BaseEmbedding,
    *,
    id: str | None = None,  # noqa: A002 - the protocol's name for it
    max_tokens: int = 512,
) -> RemoteEmbedder:
    """Return a LlamaIndex embedding model as one of our embedders.

    A model that calls a provider does so by its own client, which the door meters if it was led
    there (as in the llmops kernel).

    Args:
        model: The model.
        id: Model and version; by default LlamaIndex's names of class and model.
        max_tokens: Tokens of a text that the model reads.

    Raises:
        UsageProblem: It is no such model, or has no name and no id was given.
    """
    if not isinstance(model, BaseEmbedding):
        raise UsageProblem(
            "This is no embedding model of LlamaIndex", detail=f"type {type(model).__name__}"
        )
    if id is None:
        if model.model_name in ("", _UNNAMED):
            raise UsageProblem(
                "The embedding model has no name", hint='Give it an id: id="my-model@1"'
            )
        id = f"{model.class_name()}/{model.model_name}"  # noqa: A001
    return RemoteEmbedder(
        model.get_text_embedding_batch,
        id=id,
        query=model.get_query_embedding,
        max_tokens=max_tokens,
    )
