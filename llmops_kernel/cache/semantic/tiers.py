"""The tiers that may serve a text's answer for another text, in order of trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llmops_kernel.cache.semantic.eligibility import Eligibility, eligible_text
from llmops_kernel.cache.semantic.verbatim import Decision, NearVerbatim, Signature, signature


@runtime_checkable
class Tier(Protocol):
    """Decides whether a cached text's answer is right for a query.

    Attributes:
        name: As it is shown and counted (``near_verbatim``).
    """

    @property
    def name(self) -> str:
        """As it is shown and counted."""
        ...

    def entry(self, text: str) -> object:
        """Return what the tier keeps of a cached text; computed once, when it is stored."""
        ...

    def decide(self, entry: object, query: str) -> Decision:
        """Decide whether the entry's answer may be served for a query."""
        ...


class ExactTier:
    """Serves the very same text; the rest of the request is compared by the cache's key."""

    name = "exact"

    def entry(self, text: str) -> str:
        """Return the text."""
        return text

    def decide(self, entry: object, query: str) -> Decision:
        """Compare letter for letter."""
        same = entry == query
        return Decision(same, "the same text" if same else "another text")


@dataclass(frozen=True, slots=True)
class VerbatimEntry:
    """What the near-verbatim tier keeps of a cached text."""

    signature: Signature
    eligibility: Eligibility


class NearVerbatimTier:
    """Serves a question asked again with other manners (see `verbatim`)."""

    name = "near_verbatim"

    def __init__(self) -> None:
        self._rule = NearVerbatim()

    def entry(self, text: str) -> VerbatimEntry:
        """Return the text's signature, and whether it may serve others at all."""
        return VerbatimEntry(signature(text), eligible_text(text))

    def decide(self, entry: object, query: str) -> Decision:
        """Check that both texts may be served by similarity, then apply the rule.

        Both, because a slip of the keys can hide from the check what makes one personal.
        """
        if not isinstance(entry, VerbatimEntry):
            raise TypeError("NearVerbatimTier.decide takes what entry() returned")
        for allowed in (entry.eligibility, eligible_text(query)):
            if not allowed.ok:
                return Decision(False, allowed.reason)
        return self._rule.compare_signatures(entry.signature, signature(query))


def default_tiers() -> tuple[Tier, ...]:
    """Return the tiers that are on without asking, in order."""
    return (ExactTier(), NearVerbatimTier())
