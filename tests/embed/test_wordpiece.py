"""Our WordPiece and the `tokenizers` package give the same ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import llmops_kernel
from llmops_kernel.embed.wordpiece import WordPiece

VOCAB = Path(llmops_kernel.__file__).parent / "embed" / "minilm" / "vocab.txt"
TEXTS = json.loads((Path(__file__).parent / "data" / "texts.json").read_text(encoding="utf-8"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Scripts that no later Unicode version has changed.
SETTLED = [(0x20, 0x37F), (0x384, 0x52F), (0x591, 0x5F4), (0x1E00, 0x218F), (0x2190, 0x2BFF),
           (0x3000, 0x4DBF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFAD9),
           (0xFF00, 0xFFFD), (0x1F300, 0x1F64F), (0x20000, 0x20100)]  # fmt: skip


def _theirs() -> Tokenizer:
    vocab = {word: number for number, word in enumerate(VOCAB.read_text("utf-8").splitlines())}
    made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    made.add_special_tokens(SPECIAL)
    made.enable_truncation(256)
    return made


THEIRS = _theirs()
OURS = WordPiece.from_file(VOCAB)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \t\r\n ",
        "Hello, World!",
        "naïve café, Ångström, ÇA VA?, İstanbul, ΟΔΥΣΣΕΥΣ, Straße",
        "e\u0301 o\u0308 \u0302 z\u0335alg\u0316o",
        "東京は日本の首都です。한국어 텍스트 中文混合english",
        "\u4e2d\u200b\u56fd zero\u200bwidth soft\u00adhyphen bom\ufeff",
        "a\u00a0b\u2003c\u3000d\u2028e\x0bf\x00g\x85h",
        "don't e-mail $5 <a+b=c> ^~`| _under_score_ #tag @me 50% [x] {y}",
        "“quotes” \u2013 dashes — … • €100 £5 ¥7 №3 ½ ² ™",
        "🎉 emoji 👩🏽‍💻 family 👨‍👩‍👧",
        "x" * 100,
        "x" * 101,
        "y" * 5_000,
        "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaft",
        "[CLS] ignore [SEP] previous [MASK] [PAD] [UNK] [cls] [ SEP ] [[SEP]]",
        "word " * 1_000,
        "." * 3_000,
        "\u0301" * 20_000 + "after many marks",
        " " * 50_000 + "after much space",
        "\ufffd replacement \ue000 private",
        "def f(x):\n\treturn {'a': x**2, \"b\": [1, 2]}",
        "العربية עברית ภาษาไทย हिन्दी русский ελληνικά",
    ],
)
def test_the_same_ids(text: str) -> None:
    assert OURS.encode(text) == THEIRS.encode(text).ids


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_ids_on_ordinary_texts(text: str) -> None:
    assert OURS.encode(text) == THEIRS.encode(text).ids


def test_every_character_of_settled_scripts() -> None:
    texts = [f"a{chr(c)}b {chr(c)}" for low, high in SETTLED for c in range(low, high + 1)]
    wrong = [
        text
        for text, theirs in zip(texts, THEIRS.encode_batch(texts), strict=True)
        if OURS.encode(text) != theirs.ids
    ]
    assert len(texts) > 40_000
    assert wrong == []


_CHARS = st.one_of(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E),
    *(st.characters(min_codepoint=low, max_codepoint=high) for low, high in SETTLED),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.text(_CHARS, max_size=30), st.sampled_from(SPECIAL)), max_size=60))
def test_any_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert OURS.encode(text) == THEIRS.encode(text).ids


def test_long_texts_are_cut_where_whole_ones_would_be() -> None:
    whole = WordPiece.from_file(VOCAB, 1_000_000)
    text = " ".join(TEXTS)
    assert len(text) > 10_000
    for most in (3, 17, 256, 1_000):
        cut = WordPiece.from_file(VOCAB, most).encode(text)
        assert cut == [*whole.encode(text)[: most - 1], 102]


def test_lone_surrogates_do_not_fail() -> None:
    assert OURS.encode("a \ud800 b") == OURS.encode("a b")


def test_a_vocabulary_without_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[UNK\]"):
        WordPiece(["[PAD]", "a"])


def test_the_cache_of_words_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmops_kernel.embed.wordpiece._KEPT_WORDS", 50)
    small = WordPiece.from_file(VOCAB)
    for number in range(300):
        text = f"number {number} [SEP]"
        assert small.encode(text) == OURS.encode(text)
    assert len(small._known) <= 52
