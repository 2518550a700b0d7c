"""Taking secrets out of texts, by value and by shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = "***"

# Shorter values turn up in ordinary text; and no value that is known fits into the mask.
_SHORTEST = 6

# Beyond this, nested data are no data but an attack on the stack.
_DEEPEST = 200

_START = r"(?<![A-Za-z0-9])"
_DIGIT = r"(?=[A-Za-z_-]{0,64}\d)"

# A text can hold a secret of a shape only if it holds the fragment, and looking for a fragment
# costs next to nothing; less still if a single character rules out several. Each pattern begins
# with its fragment and checks afterwards what came before it, because the search for a literal
# start is fast. None looks ahead without a limit.
_SHAPES: dict[str, tuple[tuple[str, str], ...]] = {
    "_": (
        ("gsk_", r"gsk_[A-Za-z0-9]{20,}"),  # Groq
        ("hf_", rf"hf_(?<={_START}hf_)[A-Za-z0-9]{{20,}}"),  # Hugging Face
        *((f"gh{kind}_", rf"gh{kind}_[A-Za-z0-9]{{30,}}") for kind in "oprsu"),  # GitHub
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
    ),
    "-": (
        # OpenAI, Anthropic, OpenRouter, Langfuse; Cerebras
        ("sk-", rf"sk-(?<={_START}sk-){_DIGIT}[A-Za-z0-9_-]{{16,}}"),
        ("sk-", rf"csk-(?<={_START}csk-)[A-Za-z0-9]{{20,}}"),
        ("llmops-", rf"llmops-(?<={_START}llmops-){_DIGIT}[A-Za-z0-9_-]{{20,}}"),  # our endpoint's
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),  # GitLab
        ("xox", rf"xox[a-z]-(?<={_START}xox.-)[A-Za-z0-9-]{{10,}}"),  # Slack
        ("pplx-", r"pplx-[A-Za-z0-9]{20,}"),  # Perplexity
        ("xai-", rf"xai-(?<={_START}xai-)[A-Za-z0-9]{{20,}}"),
        (
            "PRIVATE KEY-----",
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?:(?!-----)[\s\S])*"
            r"(?:-----END [A-Z ]{0,32}KEY-----)?",
        ),
    ),
    "A": (
        ("AIza", r"AIza[A-Za-z0-9_-]{30,}"),  # Google
        ("KIA", rf"AKIA(?<={_START}AKIA)[0-9A-Z]{{16}}(?![0-9A-Za-z])"),  # AWS
        ("SIA", rf"ASIA(?<={_START}ASIA)[0-9A-Z]{{16}}(?![0-9A-Za-z])"),
    ),
    ".": (("eyJ", rf"eyJ(?<={_START}eyJ)[\w-]{{8,}}\.eyJ[\w-]{{8,}}\.[\w-]{{8,}}"),),  # JWT
}

# Here only a group is the secret, and the rest says what it was.
_BEARER = re.compile(r"[Bb]earer[ \t]{1,8}(?=[A-Za-z._~+/=-]{0,64}\d)([A-Za-z0-9._~+/=-]{16,})")
_URL_PASSWORD = re.compile(r"://[^/\s:@'\"]{0,128}:([^/\s@'\"]{1,256})@")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET_WORDS = _words(
    "secret secrets password passwords passwd pwd passphrase credential credentials apikey apikeys "
    "authorization bearer"
)
_SECRET_ENDS = ("token", "password", "passwd", "secret", "apikey", "credentials")  # hftoken
# What makes "keys" or "tokens" secrets, and what makes "token" or "key" something else.
_KEEPERS = _words(
    "api secret private access auth ssh bearer refresh signing encryption master session"
)
_NOT_KEYS = _words(
    "primary foreign sort group partition cache hash join public dict index row object lookup "
    "unique natural range map hot shortcut order merge config answer label text dedup idempotency "
    "routing metadata"
)
_NOT_TOKENS = _words(
    "max min num n per first last next eos bos pad sep unk cls stop mask special start end begin "
    "image page prev previous cost price usd input output prompt completion total count"
)
# A name that ends so holds a fact about a secret.
_FACTS = _words(
    "count counts length len limit limits budget name names env type size field fields column "
    "columns col usage rate cost price ids index policy required enabled expiry expires ttl "
    "strategy file path points word words"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Secrets:
    """The secrets of a process.

    Registered values are found literally, in their JSON and URL forms too; keys that nobody
    registered are found by their shape.
    """

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)} known)"

    def register(self, value: str) -> bool:
        """Remember a literal secret.

        Returns:
            Whether the value is looked for from now on. Values under 6 characters are not: they
            turn up in ordinary text.
        """
        value = value.strip()
        if len(value) < _SHORTEST:
            return False
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        forms.add(quote(value, safe=""))
        if not forms <= set(self._values):
            # Longest first, so that a value is not cut open by a shorter one inside of it.
            self._values = tuple(sorted({*self._values, *forms}, key=lambda v: (-len(v), v)))
        return True

    def redact(self, text: str) -> str:
        """Return the text with ``***`` in place of every secret; the same text if it has none."""
        while True:
            clean = self._pass(text)
            if clean == text:
                return text
            text = clean  # what was cut out may have hidden the start of something else

    def redact_json(self, value: Any) -> Any:
        """Return JSON-like data without secrets; the same object if it has none.

        Names of objects are texts like others here. For parameters, `looks_secret` tells which
        values to mask whatever they look like.
        """
        return _walk(value, self.redact, _DEEPEST)

    def looks_secret(self, name: str) -> bool:
        """Whether a parameter of this name is likely to hold a secret. See `looks_secret`."""
        return looks_secret(name)

    def _pass(self, text: str) -> str:
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        for character, patterns in _PATTERNS:
            if character in text:
                for fragment, pattern in patterns:
                    if fragment in text:
                        text = pattern.sub(MASK, text)
        if "earer" in text:
            text = _BEARER.sub(_mask_group, text)
        if "://" in text and "@" in text:
            text = _URL_PASSWORD.sub(_mask_group, text)
        return text


def looks_secret(name: str) -> bool:
    """Whether a parameter of this name is likely to hold a secret.

    ``api_key``, ``hfToken`` and ``db-password`` do; ``max_tokens``, ``token_count``, ``keyword``,
    ``primary_key`` and ``key_env`` do not.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _FACTS:
        return False
    if _SECRET_WORDS.intersection(words):
        return True
    last, before = words[-1], set(words[:-1])
    if last.endswith(_SECRET_ENDS):
        return not before & _NOT_TOKENS
    if last == "key":
        return not before & _NOT_KEYS
    if last in ("tokens", "keys"):
        return bool(before & _KEEPERS) and not before & _NOT_TOKENS
    return "key" in before and "access" in before  # AWS_ACCESS_KEY_ID


def _mask_group(match: re.Match[str]) -> str:
    whole, start = match.group(), match.start()
    return whole[: match.start(1) - start] + MASK + whole[match.end(1) - start :]


def _walk(value: Any, redact: Callable[[str], str], depth: int) -> Any:
    if isinstance(value, str):
        return redact(value)
    if depth == 0:
        return MASK if isinstance(value, Mapping | list | tuple) else value
    if isinstance(value, Mapping):
        pairs = [
            (redact(k) if isinstance(k, str) else k, _walk(v, redact, depth - 1))
            for k, v in value.items()
        ]
        same = all(
            new_key == key and new is old
            for (new_key, new), (key, old) in zip(pairs, value.items(), strict=True)
        )
        return value if same else dict(pairs)
    if isinstance(value, list | tuple):
        items = [_walk(item, redact, depth - 1) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return items
    return value


_PATTERNS = tuple(
    (character, tuple((fragment, re.compile(pattern)) for fragment, pattern in shapes))
    for character, shapes in _SHAPES.items()
)
