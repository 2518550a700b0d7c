"""Each step of compression: repetition, blank space, JSON, selection, packing, tables."""

from __future__ import annotations

import json

import pytest
from compress_desk import ABROAD, CODES, FEES, METAL, RULES
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.prompts.compress import (
    Pack,
    find_rows,
    move_tables,
    pack_documents,
    pack_passages,
    select_sentences,
)
from llmops_kernel.prompts.compress.duplicates import Repeats
from llmops_kernel.prompts.compress.minify import compact, minify_blank, minify_json
from llmops_kernel.prompts.compress.units import units_of

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
