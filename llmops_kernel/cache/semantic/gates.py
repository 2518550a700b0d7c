"""What must agree between two texts however near their meaning: the gates of the margin tier.

Re-wordings may differ in every word that only words a question. They may not differ in numbers and
their order, in whether something is denied, in signs, currencies, names, codes, quoted text, places
or times: there the nearest vector is the one that is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.verbatim.words import CURRENCIES, PLACES, TIMES

if TYPE_CHECKING:
    from llmops_kernel.cache.semantic.verbatim import Signature

_SETS = (("currencies differ", CURRENCIES), ("places differ", PLACES), ("times differ", TIMES))


@dataclass(frozen=True, slots=True)
class Gate:
    """What of a text must agree with another's.

    Attributes:
        digits: Every digit, in order.
        denied: Whether an odd number of its words deny.
        signs: Signs that count, in order.
        fixed: Names, codes, numbers and quoted text, sorted.
        decisive: Its currencies, places and times: one sorted tuple each.
    """

    digits: str
    denied: bool
    signs: str
    fixed: tuple[str, ...]
    decisive: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, text: Signature) -> Gate:
        """Return the gate of a text."""
        fixed = {word for word, kept in zip(text.tokens, text.fixed, strict=True) if kept}
        words = set(text.tokens)
        return cls(
            text.digits,
            len(text.negations) % 2 == 1,
            text.signs,
            tuple(sorted(fixed)),
            tuple(tuple(sorted(words & known)) for _, known in _SETS),
        )

    @classmethod
    def read(cls, text: str) -> Gate:
        """Return what `text` wrote.

        Raises:
            ValueError: It is of another form.
        """
        try:
            digits, denied, signs, fixed, decisive = json.loads(text)
            return cls(
                str(digits), bool(denied), str(signs), tuple(fixed), tuple(map(tuple, decisive))
            )
        except TypeError as error:
            raise ValueError("no gate") from error

    @property
    def text(self) -> str:
        """It as JSON."""
        return json.dumps([self.digits, self.denied, self.signs, self.fixed, self.decisive])

    def veto(self, other: Gate) -> str:
        """Return why the answer to the one cannot be the other's; "" where nothing forbids it."""
        if self.digits != other.digits:
            return "numbers differ"
        if self.denied != other.denied:
            return "negation differs"
        if self.signs != other.signs:
            return "signs differ"
        for (reason, _), ours, theirs in zip(_SETS, self.decisive, other.decisive, strict=True):
            if ours != theirs:
                return reason
        return "names or codes differ" if self.fixed != other.fixed else ""
