"""Plain LlamaIndex and LangChain over Chroma, with our embedder: what the speed is held against."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from llmops_kernel.embed import builtin

LANGCHAIN = Path(__file__).parent / ".envs" / "langchain-chroma"
_LANGCHAIN_CHROMA = "langchain-chroma==1.1.0"
SIZE = 240  # tokens of a chunk; the documents are shorter, so that each is one chunk everywhere


class Rival(Protocol):
    """A framework: fills a store, and finds five chunks for a question."""

    name: str

    def ingest(self, docs: Path, place: Path) -> int:
        """Read, cut, embed and store a folder; returns the chunks."""
        ...

    def search(self, question: str) -> int:
        """Find five chunks; returns how many came."""
        ...


class LlamaIndex:
    """A persistent Chroma collection below a `VectorStoreIndex`."""

    name = "LlamaIndex"

    def ingest(self, docs: Path, place: Path) -> int:
        import chromadb
        from chromadb.config import Settings
        from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.vector_stores.chroma import ChromaVectorStore

        from llmops_kernel.embed.llamaindex import LlamaIndexEmbedding

        client = chromadb.PersistentClient(
            str(place), settings=Settings(anonymized_telemetry=False)
        )
        self._collection = client.create_collection("docs", metadata={"hnsw:space": "cosine"})
        store = ChromaVectorStore(chroma_collection=self._collection)
        documents = SimpleDirectoryReader(str(docs)).load_data()
        index = VectorStoreIndex.from_documents(
            documents,
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=LlamaIndexEmbedding(builtin()),
            transformations=[SentenceSplitter(chunk_size=SIZE, chunk_overlap=0)],
        )
        self._retriever = index.as_retriever(similarity_top_k=5)
        return int(self._collection.count())

    def search(self, question: str) -> int:
        return len(self._retriever.retrieve(question))


class LangChain:
    """A persistent Chroma collection below LangChain's vector store."""

    name = "LangChain"

    def ingest(self, docs: Path, place: Path) -> int:
        from langchain_chroma import Chroma
        from langchain_core.documents import Document
        from langchain_core.embeddings import Embeddings

        class Embedding(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return builtin().embed_texts(texts).tolist()  # type: ignore[no-any-return]

            def embed_query(self, text: str) -> list[float]:
                return builtin().embed_query(text).tolist()  # type: ignore[no-any-return]

        # Its loaders and splitters are two more packages; texts this short need neither.
        documents = [
            Document(file.read_text(encoding="utf-8"), metadata={"source": file.name})
            for file in sorted(docs.iterdir())
        ]
        self._store: Any = Chroma(
            "docs",
            Embedding(),
            persist_directory=str(place),
            collection_metadata={"hnsw:space": "cosine"},
        )
        self._store.add_documents(documents)
        return len(documents)

    def search(self, question: str) -> int:
        return len(self._store.similarity_search_with_score(question, k=5))


def langchain_missing() -> str:
    """Make LangChain's Chroma package importable; "" or the reason why it is not."""
    if find_spec("langchain_chroma") is None and LANGCHAIN.exists():
        sys.path.append(str(LANGCHAIN))
    if find_spec("langchain_core") is None:
        return "langchain-core is not installed"
    if find_spec("langchain_chroma") is None:
        return "run bench_retrieval.py --install-langchain first"
    return ""


def install_langchain() -> None:
    """Put LangChain's Chroma package, without its dependencies, into a folder of its own.

    Raises:
        SystemExit: pip failed.
    """
    clean = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q",
               "--no-deps", "--target", str(LANGCHAIN), _LANGCHAIN_CHROMA]  # fmt: skip
    if subprocess.run(command, env=clean, check=False).returncode:
        sys.exit(f"pip could not install {_LANGCHAIN_CHROMA}")
