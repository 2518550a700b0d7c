"""Whether two answers say the same, as far as that can be told without a model.

Equal after normalisation is the only way to say yes here: case, spaces, quotation marks and the
marks that frame a text may differ. What is not equal may still say the same in other words; that
is for a model or a person to say, and counts as different until one of them has.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.calls import Reply

_SPACES = re.compile(r"\s+")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_FRAME = " .!*_`\"'"


def plain_answer(reply: Reply) -> str | None:
    """Return the text of an answer; None if it is anything but one text."""
    if len(reply.choices) != 1:
        return None
    message = reply.choices[0].get("message") or {}
    content = message.get("content")
    if not isinstance(content, str) or not content.strip() or message.get("tool_calls"):
        return None
    return content


def normalized_answer(text: str) -> str:
    """Return what two answers are compared by."""
    composed = unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold()
    composed = unicodedata.normalize("NFKC", composed)
    return _SPACES.sub(" ", composed).strip(_FRAME)


def same_answer(one: str, other: str) -> bool:
    """Tell whether two answers are equal after normalisation."""
    return normalized_answer(one) == normalized_answer(other)
