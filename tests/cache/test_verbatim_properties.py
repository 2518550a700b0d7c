"""What must hold of the near-verbatim rule for any text."""

import unicodedata

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from llmops_kernel.cache.semantic.verbatim import NearVerbatim, normalized, signature

RULE = NearVerbatim()
TEXT = (
    "how do i what is the my your card account fee can you please hi thanks where when it to from "
    "with block unblock not don't can't it's I'm could tell me know if whether top up sign in US "
    'pay $50 €20 30 dollars 1,000 123 12/05 card\'s "quoted Text" `code` e-mail abc123 w/o a an '
    "never cannot . ? ! , : - crad acount recieve colour cheque Anna Paris A and & % Hello, so um "
    "Paris, thx regards was wondering would like us IT WHO all any question quick"
)
WORDS = TEXT.split()
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)
TEXTS = st.one_of(
    SENTENCES, st.text(max_size=60), st.text("hi thankspleo.,?!'\"`\n$5-", max_size=40)
)
NEGATIONS = ("not", "never", "no", "cannot", "without", "don't", "isn't")
QUICK = settings(max_examples=300, deadline=None)


def digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


@QUICK
@given(TEXTS)
@example("Transfer from A to B")
@example("can you tell me if it is my card")
@example("how do I, so how do I")
@example("hi hi please please um what is it, thanks, thanks")
def test_normalization_is_idempotent(text: str) -> None:
    once = normalized(text)
    assert normalized(once) == once


@QUICK
@given(TEXTS, TEXTS)
def test_the_decision_is_symmetric(a: str, b: str) -> None:
    assert RULE.compare(a, b) == RULE.compare(b, a)


@QUICK
@given(TEXTS)
def test_a_text_matches_itself(text: str) -> None:
    assert RULE.compare(text, text).same
    assert RULE.compare_signatures(signature(text), signature(text)).same


@QUICK
@given(SENTENCES, st.data())
def test_what_matches_shares_a_key(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.sampled_from(("", "x", text[at] * 2))) + text[at + 1 :]
    if RULE.compare(text, other).same:
        pairs = zip(signature(text).keys, signature(other).keys, strict=True)
        assert any(one == two for one, two in pairs)


@QUICK
@given(SENTENCES, SENTENCES, st.integers(0, 99_999), st.integers(0, 99_999))
def test_other_digits_never_match(before: str, after: str, one: int, other: int) -> None:
    a, b = f"{before} {one} {after}", f"{before} {other} {after}"
    assume(digits(a) != digits(b))
    assert not RULE.compare(a, b).same


@QUICK
@given(
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=12), st.sampled_from(NEGATIONS), st.data()
)
def test_an_added_negation_never_matches(
    words: list[str], negation: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(words)))
    a, b = " ".join(words), " ".join([*words[:at], negation, *words[at:]])
    assert not RULE.compare(a, b).same


@QUICK
@given(
    st.text(
        st.characters(min_codepoint=0x370, max_codepoint=0xFFFF, exclude_categories=("Cs",)),
        min_size=1,
        max_size=30,
    ),
    st.data(),
)
def test_other_scripts_match_letter_for_letter_only(text: str, data: st.DataObject) -> None:
    assume(any(char.isalpha() for char in text))
    other = data.draw(st.sampled_from((text.lower(), text.upper(), text + "?", "hi " + text)))
    same_letters = (
        unicodedata.normalize("NFC", text).strip() == unicodedata.normalize("NFC", other).strip()
    )
    assert RULE.compare(text, other).same == same_letters
