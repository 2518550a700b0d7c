"""Compression: shorter, the same every time, and nothing lost that was protected."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel import UsageProblem
from llmops_kernel.labs import bank
from llmops_kernel.prompts import AskSpec, build_request
from llmops_kernel.prompts.compress import (
    Compressor,
    Pack,
    Select,
    find_rows,
    move_tables,
    pack_documents,
    pack_passages,
    select_sentences,
)
from llmops_kernel.prompts.compress.content import find_question, tokens_of
from llmops_kernel.prompts.compress.duplicates import Repeats
from llmops_kernel.prompts.compress.minify import compact, minify_blank, minify_json
from llmops_kernel.prompts.compress.units import joined, units_of

DOCS = bank.documents_folder() / "shared"
FEES = (DOCS / "fees/fee-table-2026.md").read_text(encoding="utf-8")
CODES = (DOCS / "cards/decline-codes.csv").read_text(encoding="utf-8")
ABROAD = (DOCS / "payments/sending-money-abroad.md").read_text(encoding="utf-8")
METAL = (DOCS / "cards/metal-card-conditions.md").read_text(encoding="utf-8")
RULES = """You are the assistant of a bank.


- Answer from the documents only.
- Never promise a refund.
-   answer from the documents only.
- Be polite.   """
QUESTION = "What does a metal card cost on Plus?"


def prompt(question: str = QUESTION, system: str = f"{RULES}\n\n{FEES}") -> list[dict[str, str]]:
    context = (
        f'<documents>\n<document id="1" source="a">\n{ABROAD}\n</document>\n'
        f'<document id="2" source="b">\n{METAL}\n</document>\n</documents>'
    )
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": "How long is a PIN?"},
        {"role": "assistant", "content": "Four  digits."},
        {"role": "user", "content": f"{context}\n\nQuestion: {question}"},
    ]


# ---- repetition ---------------------------------------------------------------------------------


def test_a_rule_said_twice_is_said_once():
    text = "- Never promise a refund.\n- Be polite.\n* never  promise a refund"
    assert Repeats().without(text) == "- Never promise a refund.\n- Be polite."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The limit for a transfer abroad is $500 for every single customer on a working day.",
         "The limit for a transfer abroad is $900 for every single customer on a working day."),
        ("You can always cancel a standing order in the app until the evening before it runs.",
         "You can not always cancel a standing order in the app until the evening before it runs."),
        ("Calls are answered from Monday until late in the evening by a person who can help you.",
         "Calls are answered from Friday until late in the evening by a person who can help you."),
        ('The code "12A" means that the shop has refused the card that you have tried to use now.',
         'The code "12B" means that the shop has refused the card that you have tried to use now.'),
    ],
)  # fmt: skip
def test_sentences_that_differ_in_a_fact_are_both_kept(one, other):
    assert Repeats().without(f"{one}\n{other}") == f"{one}\n{other}"


def test_a_sentence_with_its_exception_is_kept():
    text = "Cards are free of charge. Cash costs $3. Cards are free of charge. Except abroad."
    assert Repeats().without(text) == text


def test_code_tables_and_marks_are_no_repetition():
    text = "```\na = b + c\na = b + c\n```\n\n| a | b |\n|---|---|\n| one two three | 1 |\n"
    text += "| one two three | 1 |\n\nSay this every time. <keep>Say this every time.</keep>"
    assert Repeats().without(text) == text


def test_what_was_said_in_an_earlier_document_goes_with_its_fence():
    seen = Repeats()
    seen.without("Cards can be frozen in the app.")
    text = '<document id="2">\n# Cards\nCards can be frozen in the app.\n</document>\nAnd here.'
    assert seen.without(text) == "And here."


# ---- blank space and JSON -----------------------------------------------------------------------


def test_blank_space_goes_but_not_indentation_code_or_quotes():
    text = 'a  b \n\n\n\n- one\n    - two   x\n```\nx  =  1\n\n\n\n```\nsay "a  b"  now'
    assert minify_blank(text) == (
        'a b\n\n- one\n    - two x\n```\nx  =  1\n\n\n\n```\nsay "a  b" now'
    )


def test_json_keeps_its_numbers_keys_and_strings():
    text = 'Before:\n{\n  "a": 1.50, "a": 1e5,\n  "b": [1, "x  y", "\\""]\n}\nAfter: [1] and {name}'
    assert minify_json(text) == (
        'Before:\n{"a":1.50,"a":1e5,"b":[1,"x  y","\\""]}\nAfter: [1] and {name}'
    )


def test_json_in_a_fence_is_minified_and_other_code_is_not():
    body = json.dumps({"limit": [1, 2, 3], "name": "x"}, indent=2)
    assert minify_json(f"```json\n{body}\n```") == '```json\n{"limit":[1,2,3],"name":"x"}\n```'
    assert minify_json(f"```python\n{body}\n```") == f"```python\n{body}\n```"
    assert minify_json(f"<keep>\n{body}\n</keep>") == f"<keep>\n{body}\n</keep>"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.sampled_from([None, 1, 4]))
def test_compact_json_means_the_same(value, indent):
    source = json.dumps(value, indent=indent)
    short = compact(source)
    assert json.loads(short) == value
    assert len(short) <= len(source)
    assert compact(short) == short


# ---- selection ----------------------------------------------------------------------------------


def test_the_sentence_that_answers_is_kept_with_its_heading():
    chosen = select_sentences(METAL, "What if the metal card is lost?", 120)
    assert len(chosen) < len(METAL) / 2
    assert "# Additional conditions for the metal card" in chosen


def test_kept_sentences_are_whole():
    chosen = select_sentences(ABROAD, "What does a transfer abroad cost?", 150)
    everything = " ".join(ABROAD.split())
    for unit in units_of(chosen):
        assert " ".join(unit.text.split()) in everything


def test_a_leaning_sentence_brings_the_one_before_it():
    text = (
        "Parcels are sent on Mondays. A replacement takes five days. However, this does not hold "
        "for metal cards. Our offices are painted blue. The garden is large and has old trees."
    )
    chosen = select_sentences(text, "Does it hold for metal cards?", 26)
    assert chosen == "A replacement takes five days. However, this does not hold for metal cards."


def test_marks_and_code_are_kept_beyond_the_budget():
    text = (
        "The sky is blue today. <keep>Say your name. Say your rank.</keep> Cards cost $12.\n"
        "```\nx = 1\n```\nMore words about nothing at all."
    )
    chosen = select_sentences(text, "What does a card cost?", 1)
    assert "Say your name. Say your rank." in chosen
    assert "```\nx = 1\n```" in chosen
    assert "sky" not in chosen


def test_something_is_always_left():
    assert select_sentences("One thing. Another thing.", "unrelated words", 1) == "One thing."


def test_a_table_row_keeps_its_header():
    chosen = select_sentences(FEES, "Price of express card delivery?", 60)
    assert "| What you pay for | Basic | Plus |\n|---|---|---|" in chosen
    assert "| Express card delivery | $18 | $18 |" in chosen
    assert "Dormant" not in chosen


def test_another_ranking_can_be_plugged_in():
    text = "First sentence here. Second sentence here. Third sentence here."
    last = select_sentences(text, "q", 6, rank=lambda q, s: [float(i) for i in range(len(s))])
    assert last == "Third sentence here."


# ---- packing ------------------------------------------------------------------------------------


def test_the_best_passages_are_at_both_ends():
    passages = [f"{word} passage" for word in ("first", "second", "third", "fourth", "fifth")]
    packed = pack_passages(passages, 1_000)
    assert [each.split()[0] for each in packed] == ["first", "third", "fifth", "fourth", "second"]
    assert pack_passages(passages, 1_000, order="best_first") == tuple(passages)
    assert pack_passages(passages, 1) == ("first passage",)


def test_documents_keep_their_numbers_and_packing_is_idempotent():
    blocks = "\n".join(f'<document id="{n}">\ntext {n}\n</document>' for n in (1, 2, 3, 4))
    text = f"<documents>\n{blocks}\n</documents>"
    packed = pack_documents(text, 1_000)
    assert [int(c) for c in packed if c.isdigit()][::2] == [1, 3, 4, 2]
    assert pack_documents(packed, 1_000) == packed
    assert Pack(1_000)(({"role": "user", "content": text},), "q")[0]["content"] == packed


# ---- tables -------------------------------------------------------------------------------------


def test_tables_are_moved_out_and_rows_are_found():
    rest, moved = move_tables(f"{RULES}\n\n{FEES}\n\n## Decline codes\n{CODES}")
    assert [each.title for each in moved] == ["Moorhen price list 2026", "Decline codes"]
    assert "Express card delivery" not in rest
    assert "Companies with their own signed agreement" in rest
    rows = find_rows(moved, "What does express delivery of a card cost?", budget=300)
    assert "| Express card delivery | $18 | $18 |" in rows
    assert "| What you pay for | Basic | Plus |" in rows
    assert "Dormant" not in rows
    assert find_rows(moved, "zebra", budget=300) == ""


def test_marked_and_fenced_tables_stay():
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |"
    for text in (f"<keep>\n{table}\n</keep>", f"```\n{table}\n```"):
        assert move_tables(text) == (text, ())
    assert move_tables(table)[1][0].rows == ("| 1 | 2 |", "| 3 | 4 |", "| 5 | 6 |")


def test_prose_with_commas_is_no_table():
    text = "One, two\nthree, four\nfive, six\nseven, eight"
    assert move_tables(text) == (text, ())


def test_every_row_is_kept_somewhere():
    system = f"{RULES}\n\n{FEES}\n\n## Decline codes\n{CODES}"
    rest, moved = move_tables(system)
    lines = [*rest.split("\n")]
    for each in moved:
        lines += [*each.header.split("\n"), *each.rows]
    assert not [line for line in system.split("\n") if line not in lines]


# ---- the whole ----------------------------------------------------------------------------------


def test_a_whole_prompt():
    made = Compressor(to=700, tables=True).compress(prompt(), QUESTION)
    assert made.after <= 700 < made.before
    assert made.after == tokens_of(made.messages)
    assert [each["role"] for each in made.messages] == [
        "system", "user", "assistant", "system", "user",
    ]  # fmt: skip
    assert made.messages[1:3] == tuple(prompt()[1:3])
    assert "Metal card | not offered | $49 once" in made.messages[3]["content"]
    assert made.messages[4]["content"].endswith(f"\n\nQuestion: {QUESTION}")
    assert sum(each.saved for each in made.steps) == made.saved
    assert made.notes == (
        "The stable prefix is below 1,024 tokens now, which providers' prompt caches ask for",
    )


def test_the_prefix_is_left_alone_where_that_is_asked_for():
    made = Compressor(to=1_500, prefix=()).compress(prompt(), QUESTION)
    assert made.messages[:3] == tuple(prompt()[:3])
    assert not made.notes


def test_what_is_protected_may_take_more_than_was_aimed_at():
    made = Compressor(to=50).compress(prompt(), QUESTION)
    assert made.after > 50
    assert "What is protected takes more tokens than were aimed at" in made.notes


def test_marks_are_honoured_and_taken_out():
    system = "<keep>Be   polite.</keep>\nBe   brief, please."
    made = Compressor().compress([{"role": "system", "content": system}], "", stable=1)
    assert made.messages[0]["content"] == "Be   polite.\nBe brief, please."


def test_a_question_in_other_words_leaves_the_last_message_alone():
    last = {"role": "user", "content": f"{METAL}  Tell me."}
    messages = [{"role": "system", "content": ABROAD}, last]
    made = Compressor(to=50).compress(messages, "What does a transfer cost?", stable=0)
    assert made.messages[-1] is last
    assert len(made.messages[0]["content"]) < len(ABROAD) / 2


def test_moved_rows_come_back_where_no_question_is_found():
    story = f"{METAL}\n\nI want express card delivery, so tell me its price."
    made = Compressor(tables=True).compress(
        [{"role": "system", "content": FEES}, {"role": "user", "content": story}]
    )
    assert "| Express card delivery | $18 | $18 |" in made.messages[1]["content"]


def test_other_messages_and_parts_stay():
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    calls = {"role": "assistant", "content": None, "tool_calls": [{"id": "1  2"}]}
    messages = [
        calls,
        {"role": "user", "content": [{"type": "text", "text": "a  b\n\nwhat?"}, image]},
    ]
    made = Compressor().compress(messages, "what?")
    assert made.messages[0] is calls
    assert made.messages[1]["content"] == [{"type": "text", "text": "a b\n\nwhat?"}, image]


def test_the_question_in_a_long_prompt_is_found():
    long = "Some words of a story about a bank. " * 20
    assert find_question(f"{long}\n\nWhat does it cost?") == "What does it cost?"
    assert find_question(f"What does it cost?\n\n{long}") == "What does it cost?"
    assert find_question(long) == ""
    assert find_question("What  is a ledger?") == "What  is a ledger?"


@pytest.mark.parametrize("given", ["much", 0.5, -1, {"to": 3}])
def test_nonsense_is_refused(given):
    with pytest.raises(UsageProblem):
        Compressor.of(given)


def test_no_messages_are_refused():
    with pytest.raises(UsageProblem, match="nothing to compress"):
        Compressor().compress([])


# ---- properties ---------------------------------------------------------------------------------

_LINES = st.lists(
    st.sampled_from(
        [
            "# Cards", "## Fees", "Cards can be frozen in the app.", "A card costs $12 on Basic.",
            "However, this does not hold on Plus.", "- Never promise a refund.", "", "", "   ",
            "- never promise  a refund", "| a | b |", "|---|---|", "| card  | $12 |",
            "| cash | 1.5 % |", "| metal | $49 |", '{"a":  1,', '"b": [1,  2]}', "```", "x  =  1",
            "<document id=\"1\">", "</document>", "<document id=\"2\">", "<keep>keep  me</keep>",
            "<keep>", "</keep>", 'He said "wait  here" twice.', "code,reason,advice",
            "05,refused by shop,try again", "14,wrong number,look at it", "51,no money,top up",
            "Visit us at 5 p.m. on 3 May. Bring a friend!", "\u4f60\u597d\u3002\u518d\u89c1\u3002",
        ]
    ),
    max_size=24,
).map("\n".join)  # fmt: skip
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
_BODY = st.one_of(_LINES, _TEXT, st.tuples(_LINES, _TEXT, _LINES).map("\n".join))
_ASKED = st.sampled_from(
    ["What does a card cost?", "Is cash free?", "zebra?", "metal", "Can I freeze my card?"]
)
_COMPRESSORS = st.builds(
    Compressor,
    to=st.none() | st.integers(1, 200),
    tables=st.booleans(),
    row_tokens=st.integers(1, 80),
)


@settings(deadline=None, max_examples=150)
@given(_COMPRESSORS, _BODY, _BODY, _ASKED, _ASKED)
def test_the_stable_prefix_is_byte_equal_between_calls(compressor, system, context, one, other):
    few = [{"role": "user", "content": "In  put"}, {"role": "assistant", "content": "Out  put"}]
    front = [{"role": "system", "content": system}, *few]
    made = [
        compressor.compress([*front, {"role": "user", "content": f"{context}\n\n{asked}"}], asked)
        for asked in (one, other)
    ]
    assert made[0].stable == made[1].stable == 3
    first, second = (json.dumps(each.messages[:3]) for each in made)
    assert first == second
    assert made[0].stable_hash == made[1].stable_hash
    assert list(made[0].messages[1:3]) == few


@settings(deadline=None, max_examples=150)
@given(_COMPRESSORS, _BODY, _BODY, _ASKED)
def test_it_never_lengthens_never_touches_the_question_and_is_deterministic(
    compressor, system, context, asked
):
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": f"{context}\n\n{asked}"},
    ]
    made = compressor.compress(messages, asked)
    assert made.after <= made.before == tokens_of(messages)
    assert made.messages[-1]["content"].endswith(asked)
    assert compressor.compress(messages, asked) == made


@settings(deadline=None, max_examples=100)
@given(_BODY)
def test_steps_that_only_tidy_are_idempotent(text):
    for step in (minify_blank, minify_json, lambda each: Repeats().without(each)):
        once = step(text)
        assert step(once) == once


@settings(deadline=None, max_examples=100)
@given(_BODY, _ASKED, st.integers(1, 120))
def test_selection_keeps_the_order_and_invents_nothing(text, asked, budget):
    chosen = select_sentences(text, asked, budget)
    assert select_sentences(chosen, asked, budget + 1_000) == chosen
    characters = iter("".join(text.split()))
    assert all(each in characters for each in "".join(chosen.split()))  # in order, none invented


@given(_BODY)
def test_units_hold_every_word(text):
    assert "".join(joined(units_of(text)).split()) == "".join(text.split())


@given(st.text(string.ascii_letters + " .\n", max_size=200), st.integers(1, 60))
def test_the_select_step_keeps_what_fits(text, budget):
    messages = ({"role": "user", "content": f"{text}\n\nWhat now?"},)
    made = Select(budget)(messages, "What now?")
    if tokens_of(messages) <= budget:
        assert made == messages


# ---- in a question ------------------------------------------------------------------------------


def test_ask_sends_the_shorter_prompt():
    spec = AskSpec(
        model="sim/gpt-4o", prompt=QUESTION, context=f"{METAL}\n\n{ABROAD}", compress=400
    )
    request = build_request(spec)
    whole = build_request(AskSpec(model="sim/gpt-4o", prompt=QUESTION, context=spec.context))
    assert tokens_of(request.messages) <= 400 < tokens_of(whole.messages)
    assert request.messages[-1]["content"].endswith(QUESTION)


def test_ask_leaves_the_prompt_alone_by_default():
    spec = AskSpec(model="sim/gpt-4o", prompt="a  b\n\n\n\nc?")
    assert build_request(spec).messages[-1]["content"] == "a  b\n\n\n\nc?"
