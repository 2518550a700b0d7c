"""Tells instructions to the model, and requests, from statements."""

from __future__ import annotations

import re

from llmops_kernel.calls.offline.language.lexicon import INSTRUCTION_VERBS, word_set

_LEADING = word_set(
    "please only always never now then also just kindly first finally carefully do not don't you"
    " must should will shall have need to and but if asked needed so"
)
_ALSO_AFTER_NOT = word_set(
    "make invent mention include add use repeat reference reveal apologise apologize give guess"
    " wrap break discuss rely say"
)
_SYSTEM_VERBS = word_set("give provide tell show describe find help check base ask")
_USE_WHAT = word_set(
    "only the these those no plain at your simple markdown json given provided one exactly this"
    " that three two bullet short"
)
_USE_THE = word_set(
    "following provided context given above below text documents document passages passage sources"
    " source information format tool tools article excerpt excerpts"
)
_REQUEST_VERBS = word_set(
    "tell show give list find explain describe name summarise summarize compare help check"
)
_ABOUT_MODEL = re.compile(
    r"(?:you are|you're) (?:an?|the|now|my|our|working|acting|given|to)\b|your (?:task|job"
    r"|role|goal|aim|purpose)\b"
    r"|the user (?:will|asks|is|may|wants)|i (?:will|want you|'ll) |let'?s think"
    r"|think (?:step|through|about)"
    r"|based on |given (?:the|this|these|a|an) |using (?:the|only|this|these) "
    r"|(?:if|when) (?:the|you|it|no|there|nothing|unsure|in doubt|asked|a question|none)\b"
    r"[^.!?]{0,200}\b(?:say|answer|reply|respond|return|output|write|refuse|state)\b"
    r"|be (?:concise|brief|short|polite|precise|honest|strict|friendly|helpful|careful)"
    r"|no (?:explanation|prose|preamble|markdown|other text)|it is your|some rules|rules:"
    r"|instructions:"
    r"|(?:short|brief|concise) answers?\b|one word only|nothing else|in your (?:answer|own words)",
    re.IGNORECASE,
)
_QUESTION_WORD = re.compile(
    r"(?:and |so |but |also |then )?(?:who|whom|whose|what|what's|whats|which|when|where|why"
    r"|how|is|are|was|were|do|"
    r"does|did|can|could|will|would|should|may|am|has|have)\b",
    re.IGNORECASE,
)


def is_instruction(sentence: str, *, from_system: bool) -> bool:
    """Whether a sentence tells the model what to do, rather than stating a fact."""
    lowered = sentence.lower().lstrip("-*•#0123456789.)( \t\"“'")
    if _ABOUT_MODEL.match(lowered):
        return True
    tokens = re.findall(r"[a-z'\u2019-]+", lowered[:200])
    index = 0
    negative = False
    while index < len(tokens) and index < 8 and tokens[index] in _LEADING:
        negative = negative or tokens[index] in {"not", "never", "don't", "don\u2019t"}
        index += 1
    if index >= len(tokens):
        return False
    verb = tokens[index]
    after = tokens[index + 1] if index + 1 < len(tokens) else ""
    if verb == "use":
        third = tokens[index + 2] if index + 2 < len(tokens) else ""
        return after in _USE_WHAT and (after != "the" or third in _USE_THE)
    if verb in INSTRUCTION_VERBS:
        return not (
            verb in {"answer", "label", "rate", "rates", "format"} and after in {"is", "was", "has"}
        )
    if negative and verb in _ALSO_AFTER_NOT:
        return True
    return from_system and verb in _SYSTEM_VERBS and index + 1 < len(tokens)


def is_request(sentence: str) -> bool:
    """Whether a sentence of a person asks for something."""
    stripped = sentence.strip().rstrip("\"”')")
    if stripped.endswith(("?", "\uff1f")):
        return True
    tokens = re.findall(r"[a-z'\u2019]+", stripped.lower()[:80])
    while tokens and tokens[0] in {"please", "can", "could", "you", "kindly", "now", "then", "and"}:
        tokens.pop(0)
    if tokens and tokens[0] in _REQUEST_VERBS:
        return True
    return (
        len(stripped) < 300 and bool(_QUESTION_WORD.match(stripped)) and not stripped.endswith(".")
    )
