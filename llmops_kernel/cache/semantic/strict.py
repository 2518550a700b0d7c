"""The strict tier: a verifier's opinion on pairs that the near-verbatim rule turned down.

Off by default, and for the built-in trees there is little reason to turn it on: in streams of
11,520 requests they brought 2,010 hits where the near-verbatim rule alone brought 1,955, none of
them known to be wrong, and next to no real re-wordings (``benchmarks/results/semantic.json``). No
small model that was not trained on the traffic at hand tells other wordings from other questions.
The tier is here for who has such a model: a cross-encoder or an NLI model fine-tuned on their own
pairs can be plugged in as a `PairVerifier`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from llmops_kernel.cache.semantic.eligibility import Eligibility, eligible_text
from llmops_kernel.cache.semantic.strict_gates import full_veto, hard_veto
from llmops_kernel.cache.semantic.verbatim import Decision, Signature, signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.embed.protocol import Vectors

    Embed = Callable[[str], Vectors]

LEAST_PROBABILITY = 0.95
LEAST_COSINE = 0.8
_REMEMBERED = 512
_log = logging.getLogger(__name__)


@runtime_checkable
class PairVerifier(Protocol):
    """Says how probable it is that one question's answer is right for another.

    Any object with this method will do: a cross-encoder, an NLI model, a call to a small server.

    Example:
        A cross-encoder that was fine-tuned on pairs of one's own, for the pairs between:

        >>> class MyModel:
        ...     def __init__(self, encoder):
        ...         self._encoder = encoder
        ...     def probability(self, cached, query):
        ...         return float(self._encoder.predict([(cached, query)])[0])
        >>> tier = StrictTier(MyModel(encoder), same_signature=False)  # doctest: +SKIP
    """

    def probability(self, cached: str, query: str) -> float:
        """Return how probable it is that the cached question's answer is right, 0 to 1."""
        ...


class TreeVerifier:
    """The built-in verifier: boosted trees over how two texts differ.

    Args:
        embed: Returns a text's unit vector (default: the built-in embedder's).

    Raises:
        LLMOpsError: Its file cannot be read.
        MissingExtra: numpy or, with the built-in embedder, onnxruntime is not installed.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        from llmops_kernel.cache.semantic.strict_trees import builtin_trees

        self._trees = builtin_trees()
        self._embed = remembered(embed)

    def probability(self, cached: str, query: str) -> float:
        """Return how probable the same answer is, as the trees see it."""
        from llmops_kernel.cache.semantic.strict_features import features

        cosine = float(self._embed(cached) @ self._embed(query))
        return self._trees.probability(features(_signed(cached), _signed(query), cosine))


@dataclass(frozen=True, slots=True)
class StrictEntry:
    """What the strict tier keeps of a cached text."""

    text: str
    signature: Signature
    eligibility: Eligibility


class StrictTier:
    """Serves a differently worded question where every gate agrees and a verifier is sure.

    In order: both texts may be reused at all, the gates of `strict_gates`, a cosine floor, and the
    verifier's probability. A verifier that fails, or answers no number from 0 to 1, serves nothing.

    Args:
        verifier: Who is asked (default: `TreeVerifier`).
        embed: Returns a text's unit vector (default: the built-in embedder's).
        least_probability: From which probability on a pair is served.
        least_cosine: From which cosine on the verifier is asked.
        same_signature: Whether question word, modal verb, person, times, quantities and
            prepositions must be the same too. Turn it off for a verifier of one's own that was
            measured on such pairs (``llmops cache evaluate`` runs any tiers on labelled pairs).

    Raises:
        ValueError: A bound is not from 0 to 1.
        LLMOpsError: The built-in verifier cannot be read.
        MissingExtra: A package that is needed is not installed.
    """

    name = "strict"

    def __init__(
        self,
        verifier: PairVerifier | None = None,
        *,
        embed: Embed | None = None,
        least_probability: float = LEAST_PROBABILITY,
        least_cosine: float = LEAST_COSINE,
        same_signature: bool = True,
    ) -> None:
        if not 0 <= least_probability <= 1 or not 0 <= least_cosine <= 1:
            raise ValueError("StrictTier needs bounds from 0 to 1")
        self._embed = remembered(embed)
        self._verifier = TreeVerifier(self._embed) if verifier is None else verifier
        self._least_probability = least_probability
        self._least_cosine = least_cosine
        self._veto = full_veto if same_signature else hard_veto

    def entry(self, text: str) -> StrictEntry:
        """Return the text's signature, and whether it may serve others at all."""
        return StrictEntry(text, _signed(text), eligible_text(text))

    def decide(self, entry: object, query: str) -> Decision:
        """Apply the gates, then ask the verifier."""
        if not isinstance(entry, StrictEntry):
            raise TypeError("StrictTier.decide takes what entry() returned")
        for allowed in (entry.eligibility, eligible_text(query)):
            if not allowed.ok:
                return Decision(False, allowed.reason)
        if veto := self._veto(entry.signature, _signed(query)):
            return Decision(False, veto)
        if float(self._embed(entry.text) @ self._embed(query)) < self._least_cosine:
            return Decision(False, "the texts are not near")
        return self._asked(entry.text, query)

    def _asked(self, cached: str, query: str) -> Decision:
        try:
            probability = float(self._verifier.probability(cached, query))
        except Exception:  # noqa: BLE001 - whatever a plug-in trips over, the call goes on
            _log.exception("The verifier failed, and nothing is served on its word")
            return Decision(False, "the verifier failed")
        if not math.isfinite(probability) or not 0 <= probability <= 1:
            return Decision(False, "the verifier gave no probability")
        if probability < self._least_probability:
            return Decision(False, "the verifier is not sure")
        return Decision(True, "the verifier is sure")


def strict_tiers(verifier: PairVerifier | None = None, **options: Any) -> tuple[Any, ...]:
    """Return the default tiers with the strict one behind them.

    Args:
        verifier: See `StrictTier`.
        options: Further arguments of `StrictTier`.
    """
    from llmops_kernel.cache.semantic.tiers import default_tiers

    return (*default_tiers(), StrictTier(verifier, **options))


def remembered(embed: Embed | None) -> Embed:
    """Return an embedder that keeps the last few hundred texts' vectors.

    A query is compared with several candidates, and asked about by gate and verifier.
    """
    if isinstance(embed, _Remembered):
        return embed
    if embed is None:
        from llmops_kernel.embed import builtin

        embed = builtin().embed_query
    return _Remembered(embed)


class _Remembered:
    def __init__(self, embed: Embed) -> None:
        self._kept = lru_cache(_REMEMBERED)(embed)

    def __call__(self, text: str) -> Vectors:
        return self._kept(text)


@lru_cache(_REMEMBERED)
def _signed(text: str) -> Signature:
    return signature(text)
