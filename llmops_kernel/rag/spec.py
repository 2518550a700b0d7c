"""What an index is made of: settled when it is created, and checked whenever it is opened."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import StoreError, UsageProblem

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.rag.chunking import Chunker

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an index is made of.

    Attributes:
        name: Its name: a letter, then letters, digits, "_", "." or "-".
        embedder: Whose vectors it holds, as a person names it ("builtin", or a model).
        embedder_id: That embedder's id and version: others' vectors cannot be compared.
        dim: Length of a vector.
        chunker: Name of the chunker.
        size: Most tokens of a chunk.
        overlap: Tokens chunks share.
        chunker_spec: Everything that decides where the chunker cuts.
        store: URL of the vector store.
        collection: What the index is called there. A new one with each reindexing, so that the old
            one answers until the new one is whole.
    """

    name: str
    embedder: str
    embedder_id: str
    dim: int
    chunker: str
    size: int | None
    overlap: int | None
    chunker_spec: str
    store: str
    collection: str

    def to_json(self) -> str:
        """Return the spec as it is kept in the record."""
        facts = asdict(self)
        del facts["name"]
        return json.dumps(facts, sort_keys=True)

    @classmethod
    def from_json(cls, name: str, text: str) -> IndexSpec:
        """Read what `to_json` wrote (raises `StoreError`)."""
        try:
            return cls(name=name, **json.loads(text))
        except (ValueError, TypeError) as error:
            raise StoreError(
                "The description of an index cannot be read",
                detail=f"{name}: {error}",
                hint="Drop the index and build it again, or upgrade llmops-kernel",
            ) from error

    def with_(self, **changes: Any) -> IndexSpec:
        """Return a changed copy."""
        return replace(self, **changes)

    def check(self, embedder: Embedder, chunker: Chunker) -> None:
        """Refuse parts that do not belong to this index.

        Raises:
            UsageProblem: The embedder is another model or version than the one whose vectors are
                stored, or the chunker cuts elsewhere.
        """
        if embedder.id != self.embedder_id or embedder.dim != self.dim:
            raise UsageProblem(
                "The embedder is not the one that this index was built with",
                detail=f"{self.name} holds vectors of {self.embedder_id}, now it is {embedder.id}",
                hint=f"Embed it again: llmops rag reindex {self.name}",
            )
        if chunker.spec != self.chunker_spec:
            raise UsageProblem(
                "The chunker cuts otherwise than when this index was built",
                detail=f"{self.name} has {self.chunker_spec}, now it is {chunker.spec}",
                hint=f"Cut it again: llmops rag reindex {self.name}",
            )


def check_name(name: str) -> str:
    """Return an index's name (raises `UsageProblem`)."""
    if not _NAME.fullmatch(name):
        raise UsageProblem(
            "An index cannot have this name",
            detail=repr(name),
            hint="A letter, then up to 62 letters, digits, '_', '.' or '-'",
        )
    return name
