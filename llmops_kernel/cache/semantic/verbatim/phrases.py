"""Ways of putting the same question: "could you tell me how to", "how do I", "where it is"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cache.semantic.verbatim.tokens import Token
from llmops_kernel.cache.semantic.verbatim.words import (
    ARTICLES,
    AUXILIARIES,
    QUESTION,
    SUBJECTS,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# Followed by a question word, these only ask for the answer.
_CARRIERS = tuple(
    tuple(line.split())
    for line in (
        "can you tell me", "could you tell me", "would you tell me", "will you tell me",
        "can you please tell me", "could you please tell me", "can anyone tell me",
        "can someone tell me", "could someone tell me", "could anyone tell me", "please tell me",
        "tell me", "can you let me know", "could you let me know", "please let me know",
        "let me know", "i want to know", "i would like to know", "i need to know",
        "i would love to know", "i wanted to know", "i would like to ask", "i want to ask",
        "i wanted to ask", "do you know", "would you know", "i was wondering", "i am wondering",
        "i was just wondering", "i am just wondering", "just wondering", "wondering", "any idea",
        "do you have any idea", "does anyone know", "does anybody know", "do you happen to know",
        "would you be able to tell me", "are you able to tell me", "may i know", "may i ask",
        "can i ask", "could i ask", "can i know", "you tell me", "could you kindly tell me",
        "i am trying to find out", "can you say", "can you advise", "could you advise",
        "please advise", "would you mind telling me", "i am curious", "just curious", "curious",
    )
)  # fmt: skip
_JOINED = {
    ("log", "in"): "login", ("log", "on"): "login", ("sign", "up"): "signup",
    ("top", "up"): "topup", ("top", "ups"): "topups", ("topping", "up"): "toppingup",
    ("topped", "up"): "toppedup", ("e", "mail"): "email", ("e", "mails"): "emails",
    ("on", "line"): "online", ("over", "draft"): "overdraft", ("web", "site"): "website",
    ("user", "name"): "username", ("pass", "word"): "password", ("pass", "code"): "passcode",
    ("cash", "back"): "cashback", ("charge", "back"): "chargeback", ("wi", "fi"): "wifi",
    ("post", "code"): "postcode", ("zip", "code"): "zipcode", ("pay", "pal"): "paypal",
    ("check", "book"): "checkbook", ("some", "one"): "someone",
    ("any", "one"): "anyone", ("any", "thing"): "anything", ("any", "more"): "anymore",
}  # fmt: skip
_KEEPS_ITS_ARTICLE = words("few little lot bit while couple")
_FILLERS = words("um umm uh uhh hm hmm erm actually basically")
_TO_DO = words("do can could")
_SHORTEST_REST = 2


def canonical(tokens: Sequence[Token], *, verbatim: bool = False) -> list[Token]:
    """Return the tokens in the one order and wording of their question.

    Args:
        tokens: Of a text without its courtesy.
        verbatim: The text talks about words: nothing is left out and nothing is reordered.
    """
    found = _negation_first(_joined(list(tokens)))
    if verbatim:
        return found
    found = [token for token in found if token.fixed or token.text not in _FILLERS]
    found = _asked_directly(found)
    found = _question_order(found)
    found = _how_to(found)
    return _its(_without_articles(found))


def _joined(tokens: list[Token]) -> list[Token]:
    out: list[Token] = []
    for token in tokens:
        word = _JOINED.get((out[-1].text, token.text)) if out else None
        if word is not None:
            out[-1] = Token(word, fixed=out[-1].fixed or token.fixed)
        elif token.text == "us" and out and out[-1].text == "the":
            out.append(Token("usa", fixed=True))
        else:
            out.append(token)
    return out


def _negation_first(tokens: list[Token]) -> list[Token]:
    """Turn "why can I not" into "why can not I", as "why can't I" is written out."""
    out = list(tokens)
    for index in range(len(out) - 2):
        aux, subject, negation = (token.text for token in out[index : index + 3])
        if aux in AUXILIARIES and subject in SUBJECTS and negation == "not":
            out[index + 1], out[index + 2] = out[index + 2], out[index + 1]
    return out


def _asked_directly(tokens: list[Token]) -> list[Token]:
    out = tokens
    while True:
        spoken = [token.text for token in out]
        for carrier in _CARRIERS:
            rest = spoken[len(carrier) :]
            if tuple(spoken[: len(carrier)]) != carrier or len(rest) < _SHORTEST_REST:
                continue
            if rest[0] in QUESTION - {"whether"}:
                out = out[len(carrier) :]
                break
            polar = rest[0] in ("if", "whether") and len(rest) > _SHORTEST_REST
            if polar and rest[1] in SUBJECTS and rest[2] in AUXILIARIES:
                start = len(carrier)
                out = [out[start + 2], out[start + 1], *out[start + 3 :]]
                return _negation_first(out)
        else:
            return out


def _question_order(tokens: list[Token]) -> list[Token]:
    """Turn "where it is" into "where is it"; only at the beginning, only around pronouns."""
    if len(tokens) < 3:
        return tokens
    asked, subject, aux = (token.text for token in tokens[:3])
    if asked in QUESTION and subject in SUBJECTS and aux in AUXILIARIES:
        return _negation_first([tokens[0], tokens[2], tokens[1], *tokens[3:]])
    return tokens


def _how_to(tokens: list[Token]) -> list[Token]:
    """Turn "how do I" and "how can I" into "how to"."""
    spoken = [token.text for token in tokens[:4]]
    if len(spoken) == 4 and spoken[0] == "how" and spoken[1] in _TO_DO and spoken[2] == "i":
        return [tokens[0], Token("to"), *tokens[3:]]
    return tokens


def _without_articles(tokens: list[Token]) -> list[Token]:
    return [
        token
        for index, token in enumerate(tokens)
        if token.fixed
        or token.text not in ARTICLES
        or (index + 1 < len(tokens) and tokens[index + 1].text in _KEEPS_ITS_ARTICLE)
    ]


def _its(tokens: list[Token]) -> list[Token]:
    """Write "it is" as "its": without its apostrophe one cannot tell them apart."""
    out: list[Token] = []
    for token in tokens:
        if token.text == "is" and out and out[-1].text == "it":
            out[-1] = Token("its")
        else:
            out.append(token)
    return out
