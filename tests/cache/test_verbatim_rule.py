"""What the near-verbatim rule serves, what it refuses, and the reason it gives."""

import pytest

from llmops_kernel.cache.semantic.verbatim import NearVerbatim, normalized, signature

RULE = NearVerbatim()

SAME = [
    ("How do I block my card?", "hi, how can i block my crad pls"),
    ("How do I block my card?", "HOW DO I BLOCK MY CARD"),
    ("How do I block my card?", "Good morning! How do I block my card? Many thanks in advance."),
    ("How do I block my card?", "Dear support team,\n\nhow to block my card\n\nKind regards"),
    ("How do I block my card?", "Could you please tell me how to block my card?"),
    ("How do I block my card?", "Hi, can you tell me how I can block my card??"),
    ("Why can't I top up?", "why can I not top-up"),
    ("What is the fee for 1,000 EUR?", "Hello there! what's the fee for €1000"),
    ("Send 50 dollars to Anna", "please send $50 to Anna"),
    ("I don't recognise this payment", "i do not recognize this payment!"),
    ("Was my cheque cancelled?", "was my check canceled"),
    ("Can you tell me if I can use it abroad?", "Can I use it abroad?"),
    ("Where is it?", "do you know where it is"),
    ("The card doesn\u2019t work", "the card does not work"),
    ("I have not received my refund", "ive not recieved my refund thx"),
    ("Cancel order 123456", "pls cancel order 123456"),
    ("Is my card valid in the US?", "is my card valid in the us"),
    ("Is the e-mail right?", "is the email right"),
]

FOREIGN = "not plain English: only the same letters would do"
DIFFERENT = [
    ("How do I block my card?", "How do I unblock my card?", "words differ"),
    ("Cancel order 123456", "Cancel order 123465", "numbers differ"),
    ("What is 5 - 3?", "What is 5 + 3?", FOREIGN),
    ("Send 50 euros to Anna", "Send 50 dollars to Anna", "currencies differ"),
    ("Send 80 instead of 100", "Send 100 instead of 80", "numbers differ"),
    ("Does the card work abroad?", "Does the card not work abroad?", "negation differs"),
    ("I can pay", "I can't pay", "negation differs"),
    ("When is the fee due?", "Why is the fee due?", "question words differ"),
    ("Can I pay in cash?", "Should I pay in cash?", "modal or auxiliary verbs differ"),
    ("Can I see my account?", "Can you see my account?", "persons differ"),
    ("Is my limit shared?", "Is her limit shared?", "persons differ"),
    ("Send money from France", "Send money to France", "prepositions differ"),
    ("From Paris to Rome please", "from Rome to Paris please", "the order of words differs"),
    ("Transfer money to the US", "Transfer money to us", "persons differ"),
    ("Is a Visa card free?", "Is a Wise card free?", "codes or names differ"),
    ("What is the highest fee?", "What is the lowest fee?", "comparisons differ"),
    ("Is it paid in July?", "Is it paid in June?", "times differ"),
    ("Is it paid weekly?", "Is it paid monthly?", "times differ"),
    ("Are all fees refunded?", "Are some fees refunded?", "quantities differ"),
    ("How do I order the card?", "How do I order the cards?", "singular and plural differ"),
    ("Is the word 'free' allowed?", "Is the word 'Free' allowed?", "quoted text differs"),
    ("Run `ls -A` for me", "Run `ls -a` for me", "quoted text differs"),
    ("Is plan ab12C right?", "Is plan ab12c right?", "codes or names differ"),
    ("What did my card cost?", "What did my card lost?", "words differ"),
    ("Is it 20 % off?", "Is it 20 off?", "signs differ"),
    ("Wie sperre ich meine Karte?", "wie sperre ich meine Karte", FOREIGN),
    (
        "\u041a\u0430\u043a \u0434\u0435\u043b\u0430?",
        "\u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
        FOREIGN,
    ),
    ("Fix this sentence: its a dog", "Fix this sentence: it's a dog", FOREIGN),
    ("Correct the spelling of recieve", "Correct the spelling of receive", FOREIGN),
    ("How do you say please in French?", "How do you say in French?", "words differ"),
    ("How do I say good morning?", "How do I say hello?", "times differ"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), SAME)
def test_manners_are_forgiven(a: str, b: str) -> None:
    decision = RULE.compare(a, b)
    assert decision.same, (decision, normalized(a), normalized(b))
    assert RULE.compare(b, a) == decision
    assert set(signature(a).keys) & set(signature(b).keys)


@pytest.mark.parametrize(("a", "b", "reason"), DIFFERENT)
def test_another_question_is_refused_with_its_reason(a: str, b: str, reason: str) -> None:
    decision = RULE.compare(a, b)
    assert (decision.same, decision.reason) == (False, reason), (normalized(a), normalized(b))
    assert not RULE.compare(b, a).same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("how do I nblock my card", "how do I block my card"),  # block or unblock
        ("is it paid in Juny each year", "is it paid in June each year"),  # June or July
        ("I neve got the card", "I never got the card"),  # never or ever
        ("tell whee the fee is due", "tell when the fee is due"),  # when or where
        ("what did my card cots me", "what did my card lots me"),
        ("pay Kowalski for the roof", "pay Kowalsky for the roof"),  # two names
        ("will the payer get it back", "will the payee get it back"),  # two words
        ("lcok my crad", "lock my card"),  # two slips in three words
    ],
)
def test_a_slip_that_leaves_a_doubt_is_refused(a: str, b: str) -> None:
    assert not RULE.compare(a, b).same


def test_two_slips_need_a_longer_question() -> None:
    assert RULE.compare(
        "how do I chnage the adress of my account", "how do I change the address of my acount"
    ).same


def test_the_same_text_is_the_same_in_every_language() -> None:
    decision = RULE.compare("Как дела?", "Как дела?\n")
    assert decision.same
    assert decision.reason == "the same text"


def test_composed_and_decomposed_letters_are_one() -> None:
    assert RULE.compare("où est ma carte né", "où est ma carte né").same


@pytest.mark.parametrize(
    "text",
    ["", " ", "thanks", "?", "a" * 5_000, "\x00", "\ud800", "Hi" + "\n" * 900 + "x"],
)
def test_odd_texts_are_compared_letter_for_letter(text: str) -> None:
    assert signature(text).is_literal
    assert not RULE.compare(text, text + "x").same


def test_an_entry_is_found_by_its_keys_alone() -> None:
    """A misspelling in the first or the last letter leaves one of the keys as it was."""
    stored = signature("How long does the delivery take?")
    for query in ("how long does the eelivery take", "how long does the deliverz take"):
        found = signature(query)
        assert found.key != stored.key
        assert sum(a == b for a, b in zip(found.keys, stored.keys, strict=True)) == 1
        assert RULE.compare_signatures(stored, found).same
