"""Near copies stay on one side of the split."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import prepared
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.finetune.data.copies import Copies
from llmops_kernel.finetune.data.rows import Row
from llmops_kernel.finetune.worker.checks import Preflight
from llmops_kernel.finetune.worker.looking import check_data

if TYPE_CHECKING:
    from pathlib import Path

SENTENCES = (
    "How do I block my {} card", "Please tell me the fee of the {} account",
    "What is the limit for a {} transfer today", "I have lost the {} key of my safe",
)  # fmt: skip
COLOURS = ("blue", "gold", "red", "green", "black", "white", "silver", "dark pink", "grey", "brown")


def of_templates(answer: str = "{template}", task: str = "chat") -> list[dict[str, Any]]:
    """Return every sentence with every word in its slot."""
    return [
        {"prompt": sentence.format(word), "completion": answer.format(template=place, word=word)}
        for place, sentence in enumerate(SENTENCES)
        for word in COLOURS
    ]


@pytest.mark.parametrize("answer", ["{template}", "Form {template} is for the {word} one"])
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_rows_of_one_template_stay_on_one_side(tmp_path: Path, answer: str, seed: int) -> None:
    manifest, train, held_out = prepared(tmp_path, of_templates(answer), split_seed=seed)
    starts = [
        {row["messages"][0]["content"].split()[2] for row in side} for side in (train, held_out)
    ]
    assert held_out
    assert starts[0].isdisjoint(starts[1])
    assert manifest.near_copies == 0


def test_a_class_that_is_one_template_is_split_and_told(tmp_path: Path) -> None:
    """A class that is only in the evaluation could not be learnt by anybody."""
    manifest, train, held_out = prepared(tmp_path, of_templates(), task="classify")
    assert {row["messages"][1]["content"] for row in train} == set("0123")
    assert len(held_out) == manifest.eval == manifest.near_copies == 4


def test_classes_of_several_templates_keep_these_apart(tmp_path: Path) -> None:
    made = [{**row, "completion": str(int(row["completion"]) // 2)} for row in of_templates()]
    manifest, train, _ = prepared(tmp_path, made, task="classify")
    assert {row["messages"][1]["content"] for row in train} == {"0", "1"}
    assert manifest.eval == 10
    assert manifest.near_copies == 0


def test_one_word_that_asks_for_something_else_makes_no_copy() -> None:
    def near(one: tuple[str, str], other: tuple[str, str], label: bool = False) -> bool:
        pair = [Row(n, (), q, a, "", a if label else "") for n, (q, a) in enumerate((one, other))]
        copies = Copies(pair)
        copies.add(0)
        return copies.add(1) == [0]

    block = ("How do I block my card", "block")
    assert not near(block, ("How do I order my card", "order"), label=True)
    assert near(block, ("How do I block my cards now", "block"), label=True)
    assert not near(("What is the capital of France", "Paris"),
                    ("What is the capital of Spain", "Madrid"))  # fmt: skip
    assert near(("Send $5 to Ann today", "You sent $5 to Ann."),
                ("Send $72 to Bob today", "You sent $72 to Bob."))  # fmt: skip
    assert near(("I paid at the Blue Anchor with my card and want the money back", "sorry"),
                ("I paid at Papertree with my card and want the money back", "sorry"))  # fmt: skip
    assert not near(("What is the fee of a loan", "ask us"), ("Where is a branch", "ask us"))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(5, 60), st.lists(st.integers(0, 10**6), min_size=2, max_size=2), st.integers(0, 99)
)
def test_two_changed_words_make_a_near_copy(length: int, drawn: list[int], seed: int) -> None:
    import random

    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(length)]
    random.Random(seed).shuffle(words)
    changed = list(words)
    for number in drawn:
        changed[number % length] = f"x{chr(97 + number % 7)}"
    pair = [Row(n, (), " ".join(each), "y") for n, each in enumerate((words, changed))]
    copies = Copies(pair)
    assert copies.add(0) == []
    assert copies.asked(1)
    assert copies.add(1) == [0]


def test_groups_decide_and_copies_are_told(tmp_path: Path) -> None:
    made = [{**row, "by": f"c{n % 10}"} for n, row in enumerate(of_templates())]
    manifest, train, _ = prepared(tmp_path, made, group="by")
    assert manifest.eval == manifest.near_copies == 4
    assert len(train) == 36
    found = Preflight()
    job: Any = SimpleNamespace(run={"manifest": manifest.plain()})
    check_data(job, found)
    [told] = [check for check in found.checks if check.name == "split"]
    assert told.state == "warn"
    assert told.detail == (
        "100% of the evaluation rows differ from a training row by a word or two"
    )
    assert "data.group" in told.hint
    apart, _, _ = prepared(tmp_path, of_templates())
    job.run["manifest"] = apart.plain()
    check_data(job, found := Preflight())
    assert [check.name for check in found.checks] == ["data"]
