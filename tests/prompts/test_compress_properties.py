"""Compression of any text: never longer, the same every time, nothing invented."""

from __future__ import annotations

import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.prompts.compress import (
    Compressor,
    Select,
    select_sentences,
)
from llmops_kernel.prompts.compress.content import tokens_of
from llmops_kernel.prompts.compress.duplicates import Repeats
from llmops_kernel.prompts.compress.minify import minify_blank, minify_json
from llmops_kernel.prompts.compress.units import joined, units_of

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
