"""A tokenizer's vocabulary as GGUF keeps it, read from ``tokenizer.json``.

Two kinds are known: byte-level BPE (GPT-2's alphabet) and BPE over text with byte fall-back
(SentencePiece's form). An engine splits text into words by rules that are compiled into it and go
by a name; a splitting without a name there is refused, because no file could make it right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# Regular expressions of tokenizer.json by the names that llama.cpp gives their splitting.
_SPLITS = {
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+": "llama-bpe",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
}
_OTHERWISE = "Give the path of llama.cpp's convert_hf_to_gguf.py, which knows more tokenizers"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF file says about a tokenizer.

    Attributes:
        model: ``gpt2`` (byte-level BPE) or ``llama`` (SentencePiece's form).
        pre: llama.cpp's name for how text is split into words first.
        tokens: All tokens, by id; filled up to the size of the model's embedding.
        types: The type of each (`NORMAL`, `CONTROL`, ...).
        merges: Pairs that become one token, first rule first; byte-level BPE alone.
        scores: SentencePiece's scores; empty for byte-level BPE.
        space_prefix: Whether a space is put before the text.
        special: Ids by name: ``bos``, ``eos``, ``pad``, ``unk``.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    space_prefix: bool = False
    special: dict[str, int] = field(default_factory=dict)


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """Read the tokenizer of a model folder.

    Args:
        folder: Where ``tokenizer.json`` is.
        size: Rows of the model's embedding; ids without a token become unused ones.

    Raises:
        UsageProblem: The tokenizer is of a kind that this does not know.
    """
    path = folder / "tokenizer.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refusal("there is no tokenizer.json") from None
    except ValueError as error:
        raise _refusal("tokenizer.json is no JSON") from error
    model = raw.get("model") or {}
    if model.get("type") != "BPE":
        raise _refusal(f"its model is {model.get('type')!r}, not BPE")
    tokens, types = _tokens(raw, size)
    special = _special(folder, {token: id_ for id_, token in enumerate(tokens)})
    merges = [each if isinstance(each, list) else each.split(" ", 1) for each in model["merges"]]
    if model.get("byte_fallback"):
        _check_fallback(raw)
        for id_, token in enumerate(tokens):
            if types[id_] == NORMAL and len(token) == 6 and token.startswith("<0x"):
                types[id_] = BYTE
        if (unknown := special.get("unk")) is not None:
            types[unknown] = UNKNOWN
        scores = _scores(tokens, types, merges)
        return Vocabulary("llama", "default", tokens, types, [], scores, _prefixed(raw), special)
    pre = _split_name(raw)
    pairs = [f"{left} {right}" for left, right in merges]
    return Vocabulary("gpt2", pre, tokens, types, pairs, [], False, special)


def _tokens(raw: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    known: dict[int, str] = {id_: token for token, id_ in raw["model"]["vocab"].items()}
    types = dict.fromkeys(known, NORMAL)
    for added in raw.get("added_tokens") or ():
        known[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added.get("special") else USER_DEFINED
    if known and max(known) >= size:
        raise _refusal(
            "it has more tokens than the model's embedding has rows",
            hint="Resize the model's embedding to the tokenizer",
        )
    tokens = [known.get(id_, f"[PAD{id_}]") for id_ in range(size)]
    return tokens, [types.get(id_, UNUSED) for id_ in range(size)]


def _special(folder: Path, ids: dict[str, int]) -> dict[str, int]:
    """Return the ids of special tokens; those of generation come from the model's files."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {}
    for name in ("bos", "eos", "pad", "unk"):
        token = config.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in ids:
            found[name] = ids[text]
    return found


def _steps(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    """Return the steps of a normaliser or pre-tokenizer, unpacked from sequences."""
    if not part:
        return []
    if part.get("type") == "Sequence":
        return [step for each in part.get(inner, ()) for step in _steps(each, inner)]
    return [part]


def _split_name(raw: dict[str, Any]) -> str:
    """Return llama.cpp's name for the splitting of a byte-level tokenizer."""
    if _steps(raw.get("normalizer"), "normalizers"):
        raise _refusal("it changes the text before it splits it")
    steps = _steps(raw.get("pre_tokenizer"), "pretokenizers")
    kinds = [step["type"] for step in steps]
    if not kinds or kinds[-1] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        raise _refusal("it is not byte-level, or puts a space before the text")
    own = steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and own:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and own and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not own and not steps[0].get("invert"):
        name = _SPLITS.get((steps[0].get("pattern") or {}).get("Regex", ""))
        if name is not None and steps[0].get("behavior") == "Isolated":
            return name
    raise _refusal("engines have no name for the way it splits text")


def _check_fallback(raw: dict[str, Any]) -> None:
    known = {"Prepend", "Replace"}
    steps = _steps(raw.get("normalizer"), "normalizers")
    if any(step["type"] not in known for step in steps):
        raise _refusal("it changes the text in ways that engines do not know")
    before = _steps(raw.get("pre_tokenizer"), "pretokenizers")
    if any(step["type"] != "Metaspace" for step in before):
        raise _refusal("engines have no name for the way it splits text")


def _prefixed(raw: dict[str, Any]) -> bool:
    if any(step["type"] == "Prepend" for step in _steps(raw.get("normalizer"), "normalizers")):
        return True
    before = _steps(raw.get("pre_tokenizer"), "pretokenizers")
    return any(step.get("prepend_scheme", "always") != "never" for step in before)


def _scores(tokens: list[str], types: list[int], merges: list[list[str]]) -> list[float]:
    """Return scores that make SentencePiece merge in the order of the rules.

    It merges the pair whose token scores highest; a rule's rank, negated, orders them alike.
    """
    rank: dict[str, int] = {}
    for place, (left, right) in enumerate(merges):
        rank.setdefault(left + right, place)
    last = len(merges) + 1
    return [
        -float(rank.get(token, last)) if kind == NORMAL else 0.0
        for token, kind in zip(tokens, types, strict=True)
    ]


def _refusal(why: str, *, hint: str = _OTHERWISE) -> UsageProblem:
    return UsageProblem("This tokenizer cannot be written as GGUF", detail=why, hint=hint)
