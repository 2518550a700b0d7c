"""The still picture of a labelling queue, and the widget's files."""

from __future__ import annotations

import pytest

from llmops_kernel.display.label import label_view, label_widget
from llmops_kernel.errors import UsageProblem

EVIL = "<script>alert(1)</script>"


def state(**more):
    return {
        "metric": "correctness", "total": 3, "labelled": 1, "skipped": 0, "pairs": False,
        "choices": [{"key": "1", "label": "yes"}, {"key": "0", "label": "no"}],
        "can_undo": True,
        "item": {"key": "k", "question": f"Why? {EVIL}", "answers": ["Because."],
                 "contexts": ["A passage."], "reference": "So."},
        **more,
    }  # fmt: skip


def test_progress_and_the_next_item():
    found = label_view(state(), how=["Press keys."], notes=["One line is torn."])
    for text in ("correctness", "1 yes, 0 no, s skip, u undo", "Passage 1", "Known right answer",
                 "Because.", "Press keys.", "One line is torn."):  # fmt: skip
        assert text in found.text
        assert text in found.html
    assert EVIL not in found.html
    assert found.facts["labelled"] == 1


def test_the_end_shows_no_item():
    found = label_view(state(item=None))
    assert "The next item" not in found.text


def test_pairs_are_named_by_place():
    item = {"key": "k", "question": "?", "answers": ["a", "b"], "contexts": [], "reference": ""}
    found = label_view(state(pairs=True, item=item))
    assert "First answer" in found.text
    assert "each in both orders" in found.text


def test_the_widget_tells_problems_and_goes_on():
    said = []

    def act(command, choice, item):
        said.append((command, choice, item))
        if choice == "9":
            raise UsageProblem("This is not one of the choices", hint="1: yes")

    widget = label_widget(state, act)
    widget._handle_custom_msg({"command": "answer", "choice": "1", "item": "k"}, [])
    turn = widget.state["turn"]
    widget._handle_custom_msg({"command": "answer", "choice": "9", "item": "k"}, [])
    assert "not one of the choices" in widget.state["problem"]
    assert widget.state["turn"] == turn + 1
    widget._handle_custom_msg("no object", [])
    assert said == [("answer", "1", "k"), ("answer", "9", "k"), ("None", "", "")]
    widget.close()


@pytest.mark.parametrize("name", ["label.js", "label.css"])
def test_front_end_files_set_text_as_text(name):
    from llmops_kernel.display import label

    text = (label._HERE / name).read_text(encoding="utf-8")
    assert "innerHTML" not in text
    assert "http" not in text  # nothing is fetched
