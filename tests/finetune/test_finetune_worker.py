"""What is learnt of a row, and what the checks before a training find."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from side_env import run_beside

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def cases(random_base: Path) -> dict[str, Any]:
    """All cases, made by one process where torch is."""
    found: dict[str, Any] = json.loads(
        run_beside("worker_cases.py", str(random_base)).rpartition("RESULT")[2]
    )
    return found


def states(checks: list[list[Any]]) -> dict[str, str]:
    return {name: state for name, state, *_ in checks}


SYSTEM = "<|im_start|>system\nBe brief.<|im_end|>\n"
ASKED = "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n"
AGAIN = "\n<|im_start|>user\nFee?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("how", ["marked", "grown"])
def test_only_answers_and_their_ends_are_learnt(cases: dict[str, Any], how: str) -> None:
    assert cases[how] == (f"{SYSTEM}{ASKED}[Good day<|im_end|>]{AGAIN}[Two dollars<|im_end|>]\n")


@pytest.mark.parametrize("how", ["last", "last_marked"])
def test_the_completion_is_the_last_answer(cases: dict[str, Any], how: str) -> None:
    assert cases[how] == f"{SYSTEM}{ASKED}Good day<|im_end|>{AGAIN}[Two dollars<|im_end|>]\n"


def test_everything_is_learnt_where_that_was_asked_for(cases: dict[str, Any]) -> None:
    assert cases["all"].startswith("[<|im_start|>system")
    assert cases["all"].count("[") == 1


def test_a_system_message_is_added(cases: dict[str, Any]) -> None:
    assert cases["system"].startswith("<|im_start|>system\nObey.<|im_end|>")


def test_a_greeting_before_the_first_question_is_learnt_as_well(cases: dict[str, Any]) -> None:
    assert cases["greeting"].count("[") == 2


def test_quantised_training_needs_its_package(cases: dict[str, Any]) -> None:
    assert cases["no_bitsandbytes"] == "QLoRA needs bitsandbytes, which cannot be used here"


def test_plain_text_ends_in_the_end_token(cases: dict[str, Any]) -> None:
    assert cases["text"] == ["The fee is ", "two<|im_end|>"]


def test_templates_that_cannot_be_trained_with(cases: dict[str, Any]) -> None:
    assert cases["rewrites"] == "the chat template hides where answers begin and end"
    assert cases["refuses"] == "the chat template refuses a conversation"
    assert cases["no_template"] == "the base has no chat template"


def test_good_rows_pass(cases: dict[str, Any]) -> None:
    for name in ("fine", "fine_auto_length"):
        assert set(states(cases[name]).values()) == {"ok"}, cases[name]


def test_a_base_without_a_template_stops_whatever_was_asked(cases: dict[str, Any]) -> None:
    assert cases["none"] == [["template", "stop", "The base has no chat template", True]]


def test_a_template_that_cannot_be_read_or_asked_stops(cases: dict[str, Any]) -> None:
    assert cases["broken"] == [["template", "stop", "The chat template cannot be read", True]]
    assert cases["no_question"] == [
        ["template", "stop", "The chat template refuses a question", True]
    ]


def test_a_template_that_ignores_the_cue_stops(cases: dict[str, Any]) -> None:
    assert states(cases["no_cue"])["template"] == "stop"


def test_answers_that_do_not_end_stop(cases: dict[str, Any]) -> None:
    assert states(cases["no_end"])["end token"] == "stop"


def test_rows_that_are_cut_stop(cases: dict[str, Any]) -> None:
    assert states(cases["long"])["truncation"] == "stop"
    assert states(cases["long"])["masked rows"] == "stop"
    cut = [check for check in cases["asked_short"] if check[0] == "truncation"]
    assert cut == [["truncation", "stop", "No train row has anything left to learn", True]]
    assert states(cases["asked_long"])["length"] == "stop"


def test_a_large_share_of_learnt_tokens_stops_a_chat(cases: dict[str, Any]) -> None:
    assert states(cases["share"])["labels"] == "stop"
    assert states(cases["share_of_text"])["labels"] == "warn"  # its end may well be long
    assert states(cases["all_tokens"])["labels"] == "ok"
