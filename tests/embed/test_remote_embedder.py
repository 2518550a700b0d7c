"""Embedding models behind a call, whatever they answer."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from llmops_kernel.embed import Embedder, RemoteEmbedder, vectors_of
from llmops_kernel.errors import BudgetExceeded, LLMOpsError, ProviderError, UsageProblem


class Model:
    """Returns (characters, words, 1) for each text, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        return [[len(text), len(text.split()), 1] for text in texts]


def _unit(*numbers: float) -> Any:
    vector = np.array(numbers, np.float64)
    return pytest.approx(vector / np.linalg.norm(vector), abs=1e-6)


def test_it_is_an_embedder() -> None:
    embedder = RemoteEmbedder(Model(), id="counts@1", max_tokens=99)
    assert isinstance(embedder, Embedder)
    assert (embedder.id, embedder.max_tokens) == ("counts@1", 99)


def test_vectors_have_length_one_and_keep_their_order() -> None:
    embedder = RemoteEmbedder(Model(), id="counts@1", batch=2)
    found = embedder.embed_texts(["a", "b c", "d e f"])
    assert found.dtype == np.float32
    assert found.shape == (3, 3)
    assert found[2] == _unit(5, 3, 1)
    assert embedder.embed_query("b c") == _unit(3, 2, 1)
    assert (embedder.embed_query("b c") == found[1]).all()


def test_texts_go_in_batches() -> None:
    model = Model()
    RemoteEmbedder(model, id="counts@1", batch=2).embed_texts(list("abcde"))
    assert model.asked == [["a", "b"], ["c", "d"], ["e"]]


def test_the_length_is_found_at_the_first_use() -> None:
    model = Model()
    embedder = RemoteEmbedder(model, id="counts@1")
    embedder.embed_texts(["a"])
    assert embedder.dim == 3
    assert model.asked == [["a"]]
    fresh = RemoteEmbedder(model, id="counts@1")
    assert fresh.dim == 3
    assert len(model.asked) == 2
    assert fresh.dim == 3
    assert len(model.asked) == 2
    assert fresh.embed_texts([]).shape == (0, 3)
    assert RemoteEmbedder(model, id="counts@1", dim=3).embed_texts([]).shape == (0, 3)
    assert len(model.asked) == 2


def test_questions_may_go_another_way() -> None:
    model = Model()
    embedder = RemoteEmbedder(model, id="counts@1", query=lambda text: [0, 0, len(text)])
    assert embedder.embed_query("question") == _unit(0, 0, 1)
    assert model.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([[1.0, 2.0]], "one vector for each text"),
        ([[1.0], [2.0], [3.0]], "one vector for each text"),
        ([], "one vector for each text"),
        ([1.0, 2.0], "one vector for each text"),
        (None, "one vector for each text"),
        ([[[1.0]], [[2.0]]], "one vector for each text"),
        ([[1.0, 2.0], [1.0]], "no table of numbers"),
        ([["a"], ["b"]], "no table of numbers"),
        ([[], []], "another length"),
        ([[0.0, 0.0], [1.0, 0.0]], "without a direction"),
        ([[float("nan"), 0.0], [1.0, 0.0]], "without a direction"),
        ([[float("inf"), 0.0], [1.0, 0.0]], "without a direction"),
    ],
)
def test_wrong_answers_are_refused(answer: Any, said: str) -> None:
    embedder = RemoteEmbedder(lambda _: answer, id="wrong@1")
    with pytest.raises(ProviderError, match=said) as caught:
        embedder.embed_texts(["a", "b"])
    assert caught.value.hint


def test_a_change_of_length_is_refused() -> None:
    lengths = iter([2, 3])
    embedder = RemoteEmbedder(lambda texts: [[1.0] * next(lengths)], id="wrong@1")
    embedder.embed_query("a")
    with pytest.raises(ProviderError, match="another length") as caught:
        embedder.embed_query("b")
    assert caught.value.detail == "3 numbers instead of 2"
    with pytest.raises(ProviderError, match="another length"):
        RemoteEmbedder(Model(), id="counts@1", dim=5).embed_query("a")


def test_errors_of_the_call() -> None:
    refusal = BudgetExceeded(
        "Used up", scope="user", window="day", book="real", limit=1, spent=1, held=0, needed=1
    )

    def failing(error: Exception) -> RemoteEmbedder:
        def call(_: list[str]) -> list[list[float]]:
            raise error

        return RemoteEmbedder(call, id="failing@1")

    with pytest.raises(BudgetExceeded) as caught:
        failing(refusal).embed_query("a")
    assert caught.value is refusal
    with pytest.raises(ProviderError) as wrapped:
        failing(RuntimeError("out of memory")).embed_texts(["a"])
    assert wrapped.value.detail == "RuntimeError: out of memory"
    assert isinstance(wrapped.value.__cause__, RuntimeError)


@pytest.mark.parametrize("options", [{"id": " "}, {"id": "x", "dim": 0}, {"id": "x", "batch": 0}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem):
        RemoteEmbedder(Model(), **options)


def test_only_texts_are_sent() -> None:
    model = Model()
    embedder = RemoteEmbedder(model, id="counts@1")
    with pytest.raises(UsageProblem):
        embedder.embed_texts("text")
    with pytest.raises(UsageProblem):
        embedder.embed_query(3)  # type: ignore[arg-type]
    assert model.asked == []


# ---- OpenAI's answers -----------------------------------------------------------------------


def test_answers_are_read_in_both_encodings_and_by_index() -> None:
    packed = base64.b64encode(np.array([0.5, -2.0], "<f4").tobytes()).decode()
    data = [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [1, 2.5]}]
    assert vectors_of(data) == [[1, 2.5], [0.5, -2.0]]
    assert vectors_of([{"embedding": [1.0]}, {"embedding": [2.0]}]) == [[1.0], [2.0]]
    assert vectors_of([]) == []


@pytest.mark.parametrize("value", [None, 3, {}, "not base64!", "AAA=", "AAAAAAA="])
def test_answers_without_vectors_are_refused(value: Any) -> None:
    with pytest.raises(LLMOpsError):
        vectors_of([{"embedding": value}])


def test_numpy_alone_is_imported() -> None:
    code = """
import sys
from llmops_kernel.embed import RemoteEmbedder
RemoteEmbedder(lambda texts: [[1.0]], id="one@1").embed_query("a")
print(sorted({"onnxruntime", "llama_index", "llmops_kernel.calls"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
