"""LlamaIndex runs on our embedders, and we on LlamaIndex's."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding, MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter

from llmops_kernel.embed import Embedder, LlamaIndexEmbedding, builtin, from_llamaindex
from llmops_kernel.errors import ProviderError, UsageProblem

FACTS = [
    "The basic account costs 4.90 euros a month.",
    "A lost card can be frozen in the app at once.",
    "Savings pots pay 2.1 percent interest a year.",
]


class Counting(BaseEmbedding):
    """Questions and passages get different vectors."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return [3.0, 4.0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        if text == "fail":
            raise RuntimeError("no memory")
        return [float(len(text)), 0.0]


# ---- ours in LlamaIndex ---------------------------------------------------------------------


def test_an_index_finds_by_our_vectors() -> None:
    model = LlamaIndexEmbedding(builtin())
    assert isinstance(model, BaseEmbedding)
    assert model.model_name == builtin().id
    index = VectorStoreIndex.from_documents([Document(text=f) for f in FACTS], embed_model=model)
    retriever = index.as_retriever(similarity_top_k=1)
    for question, fact in (
        ("What is the monthly price?", FACTS[0]),
        ("I cannot find my card", FACTS[1]),
        ("What do I earn on what I put aside?", FACTS[2]),
    ):
        (found,) = retriever.retrieve(question)
        assert found.node.get_content() == fact
        expected = builtin().embed_query(question) @ builtin().embed_texts(FACTS).T
        assert found.score == pytest.approx(expected.max(), abs=0.03)


def test_the_same_vectors() -> None:
    model = LlamaIndexEmbedding(builtin())
    assert model.get_query_embedding(FACTS[0]) == builtin().embed_query(FACTS[0]).tolist()
    assert model.get_text_embedding(FACTS[0]) == builtin().embed_query(FACTS[0]).tolist()
    assert model.get_text_embedding_batch(FACTS) == builtin().embed_texts(FACTS).tolist()


async def test_the_same_vectors_without_blocking() -> None:
    model = LlamaIndexEmbedding(builtin())
    assert await model.aget_query_embedding("a") == model.get_query_embedding("a")
    assert await model.aget_text_embedding("a") == model.get_text_embedding("a")
    assert await model.aget_text_embedding_batch(FACTS) == model.get_text_embedding_batch(FACTS)


def test_an_ingestion_pipeline() -> None:
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            LlamaIndexEmbedding(builtin()),
        ]
    )
    nodes = pipeline.run(documents=[Document(text=" ".join(FACTS))])
    assert all(len(node.embedding) == 384 for node in nodes)


def test_it_goes_to_another_process() -> None:
    again = pickle.loads(pickle.dumps(LlamaIndexEmbedding(builtin())))
    assert again.get_query_embedding("a") == builtin().embed_query("a").tolist()


def test_fields_are_handed_on() -> None:
    assert LlamaIndexEmbedding(builtin(), embed_batch_size=7).embed_batch_size == 7


# ---- LlamaIndex's as ours -------------------------------------------------------------------


def test_their_model_is_an_embedder() -> None:
    embedder = from_llamaindex(Counting(model_name="counting-1"), max_tokens=77)
    assert isinstance(embedder, Embedder)
    assert (embedder.id, embedder.max_tokens) == ("base_component/counting-1", 77)
    assert embedder.dim == 2
    found = embedder.embed_texts(["a", "bcd"])
    assert found.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert embedder.embed_query("x") == pytest.approx(np.array([0.6, 0.8]))


def test_there_and_back() -> None:
    embedder = from_llamaindex(LlamaIndexEmbedding(builtin()), id=builtin().id)
    np.testing.assert_allclose(
        embedder.embed_query(FACTS[0]), builtin().embed_query(FACTS[0]), atol=1e-6
    )
    np.testing.assert_allclose(embedder.embed_texts(FACTS), builtin().embed_texts(FACTS), atol=1e-6)


def test_many_texts_keep_their_order() -> None:
    texts = ["x" * length for length in range(1, 300)]
    model = MockEmbedding(embed_dim=4)
    assert from_llamaindex(model, id="mock@1").embed_texts(texts).shape == (299, 4)


def test_their_failures_are_ours() -> None:
    embedder = from_llamaindex(Counting(model_name="counting-1"))
    with pytest.raises(ProviderError) as caught:
        embedder.embed_texts(["fail"])
    assert caught.value.detail == "RuntimeError: no memory"


def test_a_model_without_a_name_needs_an_id() -> None:
    with pytest.raises(UsageProblem, match="no name"):
        from_llamaindex(Counting())
    assert from_llamaindex(Counting(), id="mine@2").id == "mine@2"
    with pytest.raises(UsageProblem, match="no embedding model"):
        from_llamaindex("text-embedding-3-small")  # type: ignore[arg-type]


def test_a_missing_llamaindex_is_named() -> None:
    code = """
import sys
sys.modules["llama_index"] = sys.modules["llama_index.core"] = None
import llmops_kernel.embed
from llmops_kernel.errors import MissingExtra
try:
    llmops_kernel.embed.LlamaIndexEmbedding
except MissingExtra as error:
    print(error.sentence())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "llama-index-core" in ran.stdout
