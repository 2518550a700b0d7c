"""An embedding model behind a call, as one of our embedders.

The call is whatever leads to the model. For an OpenAI-compatible provider it goes through the door,
so that it is capped, traced and settled like every other call::

    def call(texts):
        reply = session.call(EmbeddingRequest("openai/text-embedding-3-small", texts))
        return vectors_of(reply.choices)

    embedder = RemoteEmbedder(call, id="openai/text-embedding-3-small@1")
"""

from __future__ import annotations

import base64
import binascii
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmops_kernel.embed.checks import check_texts, package
from llmops_kernel.errors import LLMOpsError, ProviderError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmops_kernel.embed.protocol import Vectors

# What OpenAI takes in one request is 2,048 texts and 300,000 tokens; passages are a few hundred.
_BATCH = 128
_MAX_TOKENS = 8_191
_HINT = "Ask for another model, or see what the provider answered with %trace"


class RemoteEmbedder:
    """Embeds by a call that takes a list of texts and returns a list of vectors.

    Vectors are brought to length 1. Threads may share one if they may share the call.

    Args:
        call: Returns one vector for each text, in their order.
        query: Returns the vector of a question, for models that read questions differently; None
            asks ``call``.
        id: Model and version, stored with every vector.
        dim: Length of a vector; None finds it out at the first use, which embeds a word if nothing
            else was embedded before.
        max_tokens: Tokens of a text that the model reads.
        batch: Most texts of one call.

    Raises:
        UsageProblem: The id is empty, or a number is not positive.
    """

    def __init__(
        self,
        call: Callable[[list[str]], Sequence[Sequence[float]]],
        *,
        id: str,  # noqa: A002 - the protocol's name for it
        query: Callable[[str], Sequence[float]] | None = None,
        dim: int | None = None,
        max_tokens: int = _MAX_TOKENS,
        batch: int = _BATCH,
    ) -> None:
        if not id.strip():
            raise UsageProblem("An embedder needs an id", hint='For example "my-model@1"')
        if min(max_tokens, batch, 1 if dim is None else dim) < 1:
            raise UsageProblem("dim, max_tokens and batch must be at least 1")
        self._call = call
        self._query = query
        self._id = id
        self._dim = dim
        self._max_tokens = max_tokens
        self._batch = batch
        self._lock = Lock()

    @property
    def id(self) -> str:
        """Model and version."""
        return self._id

    @property
    def dim(self) -> int:
        """Length of a vector; the first look may make a call."""
        if self._dim is None:
            self.embed_query("dimension")
        assert self._dim is not None, "every vector that passes sets it"
        return self._dim

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read."""
        return self._max_tokens

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (number of texts, dim), float32, rows of length 1.

        Raises:
            UsageProblem: It is no list of texts.
            ProviderError: The call failed, or what came back are not the vectors of these texts.
            LLMOpsError: Whatever the call raises of these (`BudgetExceeded`, ...).
        """
        np = package("numpy")
        listed = check_texts(texts)
        if not listed:
            return np.empty((0, self.dim), np.float32)  # type: ignore[no-any-return]
        parts = []
        for start in range(0, len(listed), self._batch):
            batch = listed[start : start + self._batch]
            parts.append(self._checked(_called(self._call, batch), len(batch)))
        found: Vectors = np.concatenate(parts)
        return found

    def embed_query(self, text: str) -> Vectors:
        """Return one vector of shape (dim,), float32, length 1; errors as for `embed_texts`."""
        texts = check_texts([text])
        query = self._query
        answer = _called(self._call, texts) if query is None else [_called(query, text)]
        vector: Vectors = self._checked(answer, 1)[0]
        return vector

    def _checked(self, answer: Any, texts: int) -> Vectors:
        np = package("numpy")
        try:
            found: Vectors = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError) as error:  # rows of several lengths, or no numbers
            raise _wrong(
                "The embedding model's answer is no table of numbers", str(error)
            ) from error
        if found.ndim != 2 or len(found) != texts:
            rows = len(found) if found.ndim else 0
            raise _wrong(
                "The embedding model did not return one vector for each text",
                f"{rows} vectors for {texts} texts",
            )
        with self._lock:
            if self._dim is None and found.shape[1]:
                self._dim = found.shape[1]
        if found.shape[1] != self._dim:
            raise _wrong(
                "The embedding model returned vectors of another length",
                f"{found.shape[1]} numbers instead of {self._dim}",
            )
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise _wrong("The embedding model returned a vector without a direction")
        return (found / lengths).astype(np.float32)  # type: ignore[no-any-return]


def vectors_of(data: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the vectors of an OpenAI embeddings answer (its ``data``), in the texts' order.

    Vectors may be lists of numbers, or base64 of 4-byte floats, the lowest byte first.

    Raises:
        ProviderError: An item has no vector.
    """
    ordered = sorted(enumerate(data), key=lambda item: _index(item[1], item[0]))
    return [_vector(item.get("embedding")) for _, item in ordered]


def _index(item: Mapping[str, Any], place: int) -> int:
    index = item.get("index")
    return index if isinstance(index, int) else place


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        try:
            packed = base64.b64decode(value, validate=True)
            numbers: list[float] = package("numpy").frombuffer(packed, "<f4").tolist()
        except (binascii.Error, ValueError) as error:
            raise _wrong("The embedding model's answer is not base64 of floats") from error
        return numbers
    if not isinstance(value, list):
        raise _wrong("The embedding model's answer has an item without a vector")
    return value


def _called(call: Callable[[Any], Any], value: Any) -> Any:
    try:
        return call(value)
    except LLMOpsError:
        raise
    except Exception as error:  # anybody's call may raise anything
        raise _wrong("The embedding model failed", f"{type(error).__name__}: {error}") from error


def _wrong(message: str, detail: str = "") -> ProviderError:
    return ProviderError(message, detail=detail, hint=_HINT)
