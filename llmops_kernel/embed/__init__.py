"""Embedders: texts in, unit vectors out, under an id that is stored with every vector.

`builtin` is the one that ships in the wheel and needs no network. `RemoteEmbedder` is any model
behind a call (for a provider, a call through the door), `LlamaIndexEmbedding` and `from_llamaindex`
carry embedders to LlamaIndex and back. `Embedder` says what all of them offer.
"""

from typing import TYPE_CHECKING

from llmops_kernel.lazy import lazily

if TYPE_CHECKING:
    from llmops_kernel.embed.llamaindex import LlamaIndexEmbedding, from_llamaindex
    from llmops_kernel.embed.minilm import MiniLM, builtin
    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.embed.remote import RemoteEmbedder, vectors_of

# Looked up when they are asked for: LlamaIndex takes seconds to import.
_HOMES = {
    "Embedder": "protocol",
    "LlamaIndexEmbedding": "llamaindex",
    "MiniLM": "minilm",
    "RemoteEmbedder": "remote",
    "builtin": "minilm",
    "from_llamaindex": "llamaindex",
    "vectors_of": "remote",
}

__all__ = [
    "Embedder",
    "LlamaIndexEmbedding",
    "MiniLM",
    "RemoteEmbedder",
    "builtin",
    "from_llamaindex",
    "vectors_of",
]

__getattr__ = lazily(__name__, _HOMES)
