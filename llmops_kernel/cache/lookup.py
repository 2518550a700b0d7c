"""One request as the cache sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cache.near import Asking, Question
    from llmops_kernel.calls import CallContext


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request as the cache sees it: its key, and what its answer would be kept under.

    Attributes:
        asking: Its question, read when first needed; or why only the same request may answer it.
        near: Whether the same question in other manners may answer it.
        margin: Whether a re-wording may, where the evidence for that is there.
        verifiers: Names of the tiers that ask a verifier whether a near question's answer may.
    """

    key: str
    tenant: str
    model: str
    context: CallContext
    tags: tuple[str, ...]
    ttl_s: float
    asking: Asking | str = field(compare=False)
    near: bool = True
    margin: bool = False
    verifiers: tuple[str, ...] = ()

    @property
    def question(self) -> Question | None:
        """The question, if what was answered to a near one may serve it."""
        asking = self.asking if isinstance(self.asking, str) else self.asking.question
        return None if isinstance(asking, str) else asking


@dataclass(frozen=True, slots=True)
class Claim:
    """This process has taken a request on."""

    key: str
    claim_id: str
