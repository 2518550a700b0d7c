"""Chunks as LlamaIndex nodes, and back."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.stores.fields import CHUNK, decode_facts, encode_facts, own_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.rag.documents import Chunk, Value

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NAMES = uuid.UUID("6f1de3a2-5f5e-4f0e-9d0e-2b6c1c8a7b11")  # any constant: ids must not change


def plain_id(chunk_id: str) -> str:
    """Return the id of a chunk's node: its own, unless a store could stumble over it."""
    return chunk_id if _PLAIN_ID.fullmatch(chunk_id) else uuid_id(chunk_id)


def uuid_id(chunk_id: str) -> str:
    """Return the id of a chunk's node in stores that take UUIDs only."""
    return str(uuid.uuid5(_NAMES, chunk_id.encode("utf-8", "backslashreplace").decode()))


def node_of(
    chunk: Chunk,
    vector: list[float],
    *,
    name: Callable[[str], str],
    text_bytes: int | None,
    linked: bool,
) -> Any:
    """Return a chunk as a ``TextNode`` with its vector.

    Args:
        chunk: The chunk.
        vector: Its vector.
        name: Gives a chunk's node its id.
        text_bytes: Longest text the store takes (UTF-8); the rest is left out of the store's copy.
        linked: Whether the node names its document, as LlamaIndex does.
    """
    schema = load("llama_index.core.schema", extra="rag")
    metadata = encode_facts(chunk.facts)
    node_id = name(chunk.chunk_id)
    if node_id != chunk.chunk_id:
        metadata[CHUNK] = chunk.chunk_id
    hidden = own_names(metadata)
    return schema.TextNode(
        id_=node_id,
        text=_storable_text(chunk.text, text_bytes),
        metadata=metadata,
        embedding=vector,
        start_char_idx=chunk.start,
        end_char_idx=chunk.end,
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=hidden,
        relationships={schema.NodeRelationship.SOURCE: schema.RelatedNodeInfo(node_id=chunk.doc_id)}
        if linked
        else {},
    )


def chunk_id_of(node: Any) -> str:
    """Return the id of the chunk that a node was made from."""
    return str(node.metadata.get(CHUNK, node.node_id))


def facts_of(node: Any) -> dict[str, Value]:
    """Return the facts of the chunk that a node was made from."""
    return decode_facts(node.metadata)


def _storable_text(text: str, longest: int | None) -> str:
    # PostgreSQL refuses NUL, and nobody writes half a surrogate pair as UTF-8.
    raw = text.replace("\0", "\ufffd").encode("utf-8", "replace")
    return raw[:longest].decode("utf-8", "ignore")
