"""What a text comes down to once its wording's accidents are gone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from llmops_kernel.cache.semantic.verbatim.courtesy import talks_about_words, without_courtesy
from llmops_kernel.cache.semantic.verbatim.language import composed, is_plain_english
from llmops_kernel.cache.semantic.verbatim.lexicon import is_word
from llmops_kernel.cache.semantic.verbatim.phrases import canonical
from llmops_kernel.cache.semantic.verbatim.tokens import Token, digits_of, tidied, tokens_of
from llmops_kernel.cache.semantic.verbatim.words import NEGATIONS

RULE = "near-verbatim-2"
"""Version of the rule; part of every key, so that signatures of another version never meet."""

_FEWEST_WORDS = 2
_MOST_ROUNDS = 50
_SIGNS_THAT_COUNT = re.compile(r"[^\w\s.,;:!?()\[\]'\"~*\-&]")


@dataclass(frozen=True, slots=True)
class Signature:
    """A text's canonical form and the keys under which its near-verbatim repeats are found.

    Attributes:
        tokens: Canonical words; () when the text is compared letter for letter.
        fixed: Which tokens tolerate no slip of the keys.
        literal: The composed text, which a text that is no plain English is compared by.
        digits: Every digit of the text, in order.
        negations: Its negations, in order, courtesy included.
        signs: Currency and other signs, in order.
        keys: Exact canonical form; then two that one misspelt word leaves alone (by first and by
            last letters). Two texts that are near-verbatim share at least one at its position.
    """

    tokens: tuple[str, ...]
    fixed: tuple[bool, ...]
    literal: str
    digits: str
    negations: tuple[str, ...]
    signs: str
    keys: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of the canonical form (32 hex digits)."""
        return self.keys[0]

    @property
    def is_literal(self) -> bool:
        """Whether the text is compared letter for letter."""
        return not self.tokens

    @property
    def text(self) -> str:
        """The canonical form as a text."""
        return " ".join(self.tokens) if self.tokens else self.literal


def normalized(text: str) -> str:
    """Return the canonical form of a text, for people; doing it twice changes nothing."""
    for _ in range(_MOST_ROUNDS):
        # Taking off one courtesy can bring another to the end.
        before, text = text, signature(text).text
        if text == before:
            break
    return text


def signature(text: str) -> Signature:
    """Return what a text comes down to."""
    literal = composed(text)
    if not is_plain_english(literal):
        return _literal(literal)
    tidy = tidied(literal)
    raw = tokens_of(tidy)
    bare = without_courtesy(tidy)
    kept = list(raw) if bare == tidy else tokens_of(bare)
    tokens = canonical(kept, verbatim=talks_about_words(tidy))
    if len(tokens) < _FEWEST_WORDS:
        return _literal(literal)
    words = tuple(token.text for token in tokens)
    fixed = tuple(token.fixed for token in tokens)
    return Signature(
        tokens=words,
        fixed=fixed,
        literal=literal,
        digits=digits_of(literal),
        negations=_negations(raw),
        signs=_signs(tidy),
        keys=(
            _key("exact", words),
            _key("first", (_rough(token, 0) for token in tokens)),
            _key("last", (_rough(token, -1) for token in tokens)),
        ),
    )


def _literal(text: str) -> Signature:
    key = _key("literal", (text,))
    return Signature((), (), text, digits_of(text), (), "", (key, key, key))


def _rough(token: Token, position: int) -> str:
    word = token.text
    if not (word.isascii() and word.isalpha()):
        return word
    # A fixed word is a name in one writing and, in lower case, any word in the other.
    if len(word) > 3 or (len(word) == 3 and not is_word(word)):
        return f"{word[position]}_"
    return word


def _negations(raw: list[Token]) -> tuple[str, ...]:
    return tuple(token.text for token in raw if token.text in NEGATIONS)


def _signs(text: str) -> str:
    # The amount's place and the word for a currency may differ; the canonical words see to those.
    return "".join(sign for sign in _SIGNS_THAT_COUNT.findall(text) if sign in "%#@+<>=^|\\/")


def _key(kind: str, parts: object) -> str:
    joined = "\x1f".join((RULE, kind, *parts))  # type: ignore[misc]
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
