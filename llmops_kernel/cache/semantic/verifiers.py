"""The tiers that ask a verifier: the built-in one, and one of a person's own under its own name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.embed.minilm import ID
from llmops_kernel.errors import LLMOpsError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.cache.semantic.embedding import LateEmbedder
    from llmops_kernel.cache.semantic.neighbours import Neighbour
    from llmops_kernel.cache.semantic.strict import PairVerifier, StrictTier
    from llmops_kernel.cache.semantic.verbatim import Decision
    from llmops_kernel.embed.protocol import Vectors

STRICT = "strict"
_TAKEN = {"exact", "near_verbatim", "margin", "flight", "none", STRICT}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Plugged:
    """A person's verifier, and from where on it is asked and believed."""

    name: str
    verifier: PairVerifier
    least_probability: float
    least_cosine: float
    same_signature: bool


class Asked:
    """One verifier's tier, which is given the vectors that are known already.

    Args:
        tier: It.
        vectors: Its embedder's, if that is the one that candidates are found with.
        floor: Cosine below which candidates are not worth opening.
    """

    def __init__(self, tier: StrictTier, vectors: _Known | None, floor: float) -> None:
        self.floor = floor
        self._tier = tier
        self._vectors = vectors

    def decide(self, stored: str, near: Neighbour, asked: str, vector: Vectors) -> Decision:
        """Decide whether the answer to a stored text may be served for another one."""
        if self._vectors is not None:
            self._vectors.known = {stored: near.vector, asked: vector}
        return self._tier.decide(self._tier.entry(stored), asked)


class Verifiers:
    """The verifiers that are asked, in order.

    Args:
        embedder: What candidates are found with; None where there is none.

    Attributes:
        own: The person's own; None where there is none.
    """

    def __init__(self, embedder: LateEmbedder | None) -> None:
        self.own: Plugged | None = None
        self._embedder = embedder
        self._made: dict[str, Asked] = {}
        self._off: dict[str, str] = {}

    def use(self, plugged: Plugged | None) -> None:
        """Ask a person's verifier too, in place of an earlier one; None asks none any more.

        Raises:
            UsageProblem: It is no verifier, its name cannot be used, or a bound is no share.
        """
        if plugged is not None:
            _check(plugged)
        for name in {each.name for each in (self.own, plugged) if each is not None}:
            self._made.pop(name, None)
            self._off.pop(name, None)
        self.own = plugged

    def names(self, *, strict: bool, own: bool) -> tuple[str, ...]:
        """Return the names of the tiers that are asked: the built-in one, the person's own."""
        found = (STRICT,) if strict else ()
        return (*found, self.own.name) if own and self.own is not None else found

    def asked(self, name: str) -> Asked:
        """Return a tier by its name, made at the first call.

        Raises:
            LLMOpsError: It cannot be used: its file or a package is missing, or it is gone.
        """
        made = self._made.get(name)
        if made is None:
            if name in self._off:
                raise LLMOpsError(self._off[name])
            try:
                made = self._made[name] = self._make(name)
            except LLMOpsError as error:
                self._off[name] = error.sentence()
                raise
        return made

    def _make(self, name: str) -> Asked:
        from llmops_kernel.cache.semantic.strict import LEAST_COSINE, StrictTier

        own = self.own
        if name == STRICT:
            if self._embedder is None or self._embedder.id != ID:
                # Its trees know the built-in embedder's cosines only.
                return Asked(StrictTier(), None, -1.0)
            known = _Known(self._embedder.load().embed_query)
            return Asked(StrictTier(embed=known), known, LEAST_COSINE)
        if own is None or own.name != name or self._embedder is None:
            raise LLMOpsError("The verifier is not in use any more")
        known = _Known(self._embedder.load().embed_query)
        tier = StrictTier(
            own.verifier,
            embed=known,
            least_probability=own.least_probability,
            least_cosine=own.least_cosine,
            same_signature=own.same_signature,
        )
        return Asked(tier, known, own.least_cosine)


class _Known:
    """An embedder that need not compute what is known already.

    Attributes:
        known: Vectors by their text.
    """

    def __init__(self, embed: Callable[[str], Vectors]) -> None:
        self.known: dict[str, Vectors] = {}
        self._embed = embed

    def __call__(self, text: str) -> Vectors:
        found = self.known.get(text)
        return self._embed(text) if found is None else found


def _check(plugged: Plugged) -> None:
    if not callable(getattr(plugged.verifier, "probability", None)):
        raise UsageProblem(
            "A verifier has a method probability(cached, query)",
            hint="It returns how probable it is that the cached question's answer is right, 0 to 1",
        )
    if not _NAME.fullmatch(plugged.name) or plugged.name in _TAKEN:
        raise UsageProblem(
            "A verifier cannot have this name", detail=repr(plugged.name),
            hint="Small letters, digits and _, and no other tier's name: its hits count under it",
        )  # fmt: skip
    for bound in (plugged.least_probability, plugged.least_cosine):
        if not 0 <= bound <= 1:
            raise UsageProblem("A verifier's bounds are shares", detail=f"got {bound}")
