"""Which texts the rule understands: plain English prose, and nothing else.

Texts in another language or script, code, formulas, texts that are to be worked on ("correct this
sentence") and long ones are only ever compared letter for letter (after Unicode's canonical
composition, unified line ends, and outer blanks removed).
"""

from __future__ import annotations

import re
import unicodedata

from llmops_kernel.cache.semantic.verbatim.lexicon import is_word
from llmops_kernel.cache.semantic.verbatim.words import words

MOST_WORDS = 80
"""Longer texts are compared letter for letter: more words, more places for a difference."""

_ENGLISH = words(
    """
    the is are was i my me you your it its how what why when where who which can could do does did
    to for with from have has had not will would should this that there they of and but be if on
    at or we our get please need want about
    """
)
# Frequent words of other languages in Latin letters that are no English words.
_FOREIGN = words(
    """
    el la los las que para por como cuando donde una uno del mi tu su es esta puedo cuanto cual
    der die das und ist ich mein meine wie kann eine einen nicht auf mit für zu wann welche warum
    le les des est je mon ma une pour dans avec sur puis comment quand pourquoi quel quelle il di
    che per non sono mio mia posso quanto della qual quale perche o os uma meu minha não eu onde
    quando mim het een mijn hoe kan ik niet van wat waar en jak nie jest moje czy kiedy gdzie moja
    w na się ve bir nasil icin neden var jag det hur min och att är vad mera kaise kya hai nahi ka
    ki ko
    """
)
_CHAT = words("dont cant wont im ive didnt doesnt isnt whats pls plz thx ur")
_CODE = re.compile(
    r"```|[{};]\s*$|</?\w+[^<>]*>|=>|->|==|!=|<=|>=|&&|\|\||::|\(\)|\w\(\w*\)|\\\w|\$\{|"
    r"^\s*(?:def|class|import|"
    r"from \w+ import|select .* from|#include|function|var|let|const)\b.*[:;({=*]|^\s*[$>]\s",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA = re.compile(
    r"[\w)]\s*[+*/^=<>\u00f7\u00d7]\s*[(\w]|\d\s+-\s+\d|\b[a-z]\s-\s[a-z]\b|√|∑|∫"
)
_FRACTION_OR_DATE = re.compile(
    r"\d/\d|\band/or\b|\bw/o?\b|\bb/c\b|[a-zA-Z]{2}\s*/\s*[a-zA-Z]{2}|24/7"
)
# Where a text is to be worked on, a slip, a capital or a comma may be the very point of it.
_WORKS_ON_TEXT = re.compile(
    r"\b(?:spell\w*|misspell\w*|grammar\w*|grammatical\w*|punctuat\w*|proofread\w*|capitali[sz]\w*|"
    r"upper-?case|lower-?case|rewrite|rewrites|rephrase|paraphrase|reword|anagrams?|palindromes?|"
    r"vowels?|consonants?|syllables?|rhymes?|sentences?|alphabetical\w*|alphabetic|"
    r"how many (?:letters|characters|words)|"
    r"(?:correct|fix|edit|polish|reverse|parse|tokeni[sz]e|encode|decode) (?:the|this|these|my) "
    r"(?:following|text|word|words|phrase|paragraph|string|essay|writing|english|errors?|mistakes?)|"
    r"(?:the|this|these) (?:following|given)|(?:following|given) (?:text|word|words|phrase|string|"
    r"paragraph|passage|list|input|code|statement|expression))\b",
    re.IGNORECASE,
)
_RUN = re.compile(r"\W{16,}")
_WORD = re.compile(r"[^\W\d_]+")


def composed(text: str) -> str:
    """Return a text in Unicode's composed form, with plain line ends, without outer blanks."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()


def is_plain_english(text: str) -> bool:
    """Tell whether the rule may look at more than a composed text's letters."""
    # Long runs of blanks and punctuation are no prose, and slow to search for courtesy in.
    if len(text) > MOST_WORDS * 12 or _RUN.search(text):
        return False
    words = _WORD.findall(text)
    if not 0 < len(words) <= MOST_WORDS or any(_foreign_letters(word) for word in words):
        return False
    if _CODE.search(text) or _WORKS_ON_TEXT.search(text):
        return False
    if _FORMULA.search(_FRACTION_OR_DATE.sub(" ", text)):
        return False
    if any(ord(char) > 127 and char.isnumeric() for char in text):  # ² and ٣ are no digits here
        return False
    return _reads_as_english([word.lower() for word in words])


def _foreign_letters(word: str) -> bool:
    return not word.isascii() and any(
        not unicodedata.normalize("NFD", char)[0].isascii() for char in word
    )


def _reads_as_english(words: list[str]) -> bool:
    english = sum(word in _ENGLISH for word in words)
    foreign = sum(word in _FOREIGN for word in words)
    if foreign >= 2 and foreign >= english:
        return False
    known = sum(len(word) == 1 or word in _CHAT or is_word(word) for word in words)
    return known * 2 >= len(words)
