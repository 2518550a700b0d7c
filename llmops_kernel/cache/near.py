"""The near-verbatim tier in the path: where a question looks for its twins, and which one serves.

Everything of a request but its last message's text is its place: tenant, provider, model, system
text, every field. Two questions meet only in one place, so another context, tenant or model is
never compared at all. Within it, three digests of the question's canonical form find candidates,
and the rule then compares both texts as they were typed. The answer's own question and place are
sealed with it: an index that was edited can hide an answer and never give one away.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmops_kernel.cache.entry import Asked
from llmops_kernel.cache.key import place_of
from llmops_kernel.store.near_rows import NearRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.seal import Seal
    from llmops_kernel.cache.semantic.verbatim import Signature
    from llmops_kernel.calls import Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.store.cache_rows import EntryRow

NEAR = "near_verbatim"
MARGIN = "margin"
_log = logging.getLogger(__name__)
# A question that brings the text to answer from is another one with every other text.
_CARRIES = re.compile(
    r"\b(?:contexts?|passages?|sources?|excerpts?|documents?|text|input|data|article)\s*\d*\s*:"
    r"|\[\d+\]|<[a-z/!]|^[^\S\n]*(?:[-*#>|]|\d+[.)])\s",
    re.IGNORECASE | re.MULTILINE,
)
_MOST_LINES = 5
CANDIDATES = 5
"""Near questions that are compared for a call."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that may be served by what was answered to one like it."""

    asked: Asked
    near: NearRow
    signature: Signature


@dataclass(frozen=True, slots=True)
class Twin:
    """An answer that was given to the same question in other manners or words.

    Attributes:
        entry: The answer.
        row: The row it lies in.
        stored: The question it was given to.
        asked: The question it is served for.
        reason: Why it is served, in words.
        tier: Which tier says so: ``near_verbatim``, ``strict``, the name of a person's own
            verifier, or ``margin``.
        place: The tier's partition; "" where it has one state for a whole tenant.
    """

    entry: Entry
    row: EntryRow
    stored: str
    asked: str
    reason: str
    tier: str = NEAR
    place: str = ""


class Asking:
    """A request on its way to becoming a question; read only when somebody wants to know.

    Args:
        request: The request.
        target: Where it goes.
        tenant: Whose answers are looked at.
        salt: Versions of policies.
        seal: Makes digests under the secret.
        redact: Takes secrets out of a text; a question that holds one is not kept.
    """

    def __init__(
        self,
        request: Request,
        target: Target,
        *,
        tenant: str,
        salt: str,
        seal: Seal,
        redact: Callable[[str], str],
    ) -> None:
        self._request = request
        self._target = target
        self._tenant = tenant
        self._salt = salt
        self._seal = seal
        self._redact = redact

    @cached_property
    def question(self) -> Question | str:
        """The question; or, in words, why only the very same request may answer this one."""
        try:
            return self._read()
        except Exception:  # noqa: BLE001 - whatever text the rule trips over, the call goes on
            _log.exception("A question could not be read, and is only answered exactly")
            return "it could not be read"

    def _read(self) -> Question | str:
        from llmops_kernel.cache.semantic.eligibility import eligible
        from llmops_kernel.cache.semantic.verbatim import RULE, signature

        request: Any = self._request
        extra = request.extra
        tools = (*request.tools, *(extra.get("functions") or ()))
        allowed = eligible(
            request.messages, tools=tools, temperature=request.temperature, n=request.n
        )
        if not allowed.ok:
            return allowed.reason
        text = question_in(request.messages[-1])
        if text is None:
            return "it holds more than one text"
        if _CARRIES.search(text) or text.strip().count("\n") >= _MOST_LINES:
            return "it brings the text to answer from"
        if not _is_storable(text):
            return "it is no plain text"
        if self._redact(text) != text:
            return "it holds a secret"
        signed = signature(text)
        if signed.is_literal:
            return "it is no plain English question"
        try:
            facts = place_of(request, self._target, tenant=self._tenant, salt=self._salt)
        except (KeyError, TypeError, ValueError):
            return "the request is no plain JSON"
        place = self._seal.key(f"place\x1f{RULE}\x1f{facts}")
        signs = tuple(
            self._seal.key(f"sign\x1f{place}\x1f{number}\x1f{key}")
            for number, key in enumerate(signed.keys)
        )
        return Question(Asked(text, place), NearRow(place, signs), signed)


def question_in(message: Any) -> str | None:
    """Return the only text of a message; None if it has another form."""
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1:
        part = content[0]
        content = part.get("text") if isinstance(part, dict) else None
    return content if isinstance(content, str) else None


def _is_storable(text: str) -> bool:
    """Tell whether a record can keep a text: no unpaired surrogates, no zeros."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def first_twin(question: Question, found: Iterable[tuple[EntryRow, Entry]]) -> Twin | None:
    """Return the first answer whose own question is this one in other manners."""
    for row, entry in found:
        said = compare(question, entry)
        if said is not None and said[0]:
            return Twin(entry, row, said[2], question.asked.text, said[1])
    return None


def compare(question: Question, entry: Entry) -> tuple[bool, str, str] | None:
    """Tell whether an answer may be served for a question: (yes or no, why, its own question).

    None when the two are not in one place, whatever led from one to the other.
    """
    from llmops_kernel.cache.semantic.verbatim import NearVerbatim, signature

    asked = entry.asked()
    if asked is None or asked.place != question.asked.place:
        return None
    try:
        # Whether either may take part was asked when each was read; its signature was kept.
        decision = NearVerbatim().compare_signatures(signature(asked.text), question.signature)
    except Exception:  # noqa: BLE001 - as above
        _log.exception("Two questions could not be compared, and count as different")
        return None
    return decision.same, decision.reason, asked.text
