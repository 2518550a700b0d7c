"""The intents' phrasings and what is made of them."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs import bank, intents


def test_every_intent_has_twelve_phrasings_in_three_parts() -> None:
    parts = Counter((each.intent, each.part) for each in intents.phrasings())
    assert len(intents.intents()) == 24
    for intent in intents.intents():
        assert parts[intent, "labelled"] == 3
        assert parts[intent, "for_sale"] == 6
        assert parts[intent, "held_out"] == 3
    texts = [each.text.lower() for each in intents.phrasings()]
    assert len(set(texts)) == len(texts)


def test_slots_are_filled_and_texts_differ() -> None:
    made = intents.messages(intents.phrasings(), 4)
    assert not [each.text for each in made if "{" in each.text or "}" in each.text]
    assert len({each.text for each in made}) == len(made)
    assert len(made) > 1_000
    assert made == intents.messages(intents.phrasings(), 4)
    assert made != intents.messages(intents.phrasings(), 4, seed=8)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_parts_are_the_same_in_every_process(seed: str) -> None:
    """They are drawn by a text: hashes of texts differ between processes, draws must not."""
    code = (
        "from llmops_kernel.labs import intents\n"
        "print([p.text for p in intents.held_out()] == __import__('json').loads(input()))"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([p.text for p in intents.held_out()]),
        env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True"


def test_nothing_that_is_held_out_can_be_bought() -> None:
    held_out = {each.text for each in intents.held_out()}
    assert not held_out & {each.text for each in intents.known(intents.FOR_SALE)}
    assert [len(intents.known(bought)) for bought in (0, 1, 6)] == [72, 96, 216]
    assert set(intents.known(2)) < set(intents.known(3))
    for bought in (-1, 7):
        with pytest.raises(UsageProblem, match="not for sale"):
            intents.known(bought)


def test_phrasings_are_nobodys_questions() -> None:
    """They were written for this; none is one of the bank's questions."""
    asked = {each.question.lower() for each in bank.questions()}
    assert not asked & {each.text.lower() for each in intents.phrasings()}


def test_rows_are_written_with_their_phrasing(tmp_path: Path) -> None:
    made = intents.messages(intents.known(), 2)
    path = intents.write_csv(tmp_path / "rows.csv", made)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [each.text for each in made]
    assert {row["label"] for row in rows} == set(intents.intents())
    assert set(rows[0]) == {"text", "label", "phrasing"}
