"""Views of a training: what they show, what they escape, what is the same in every run."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmops_kernel.display.finetune import loss_curve, preflight_view, runs_view, training_view

FACTS: dict[str, Any] = {
    "name": "router", "run_id": "r1", "state": "done", "reason": "", "base": "./base",
    "method": "lora", "backend": "trl", "rows": 1_080, "eval_rows": 120, "step": 84, "steps": 84,
    "train_curve": [[1, 5.5], [84, 0.0312]], "eval_curve": [[0, 5.6], [84, 0.25]],
    "tokens_per_s": 5_000.0, "eta_s": 0.0, "elapsed_s": 20.5, "memory": 2**30,
    "estimate": [2**29, 2**31], "sample": {"step": 84, "prompt": "Hi", "text": "<b>card</b>"},
    "answers": {"exact": 110, "answered": 120},
    "exports": [{"export": "adapter", "state": "done"},
                {"export": "awq", "state": "unavailable", "reason": "no GPU"}],
    "version": "router@abc", "detail": "", "hint": "",
}  # fmt: skip
PREFLIGHT: dict[str, Any] = {
    "verdict": "stop",
    "checks": [
        {"name": "data", "state": "ok", "said": "All rows are used", "detail": "9 rows",
         "hint": "", "fatal": False},
        {"name": "labels", "state": "stop", "said": "Nothing is learnt", "detail": "0 %",
         "hint": "Look at <roles>", "fatal": True},
    ],
    "view": [{"tokens": [["<|user|>", False], ["Hi", False], ["card", True], ["<e>", True]],
              "length": 9, "learnt": 2}],
    "figures": {"max_length": 64},
}  # fmt: skip


def test_a_run_shows_figures_curve_and_sample() -> None:
    view = training_view(FACTS)
    for text in ("router: done", "5.500 → 0.031", "5.600 → 0.250", "110 of 120", "5,000 tokens/s",
                 "1.00 GiB (estimated 0.50 to 2.00)", "router@abc", "Not exported: awq", "no GPU",
                 "After step 84: Hi"):  # fmt: skip
        assert text in view.text
    assert view.html.count("<svg") == 1
    assert "&lt;b&gt;card" in view.html
    assert "<b>" not in view.html
    assert view.facts["version"] == "router@abc"


def test_a_stable_view_is_the_same_whatever_was_measured() -> None:
    other = {
        **FACTS, "run_id": "r2", "train_curve": [[1, 9.0], [84, 1.0]], "eval_curve": [],
        "tokens_per_s": 1.0, "elapsed_s": 99.0, "memory": 5, "estimate": None, "sample": None,
        "answers": None, "version": "router@other",
    }  # fmt: skip
    one, two = training_view(FACTS, stable=True), training_view(other, stable=True)
    assert (one.text, one.html) == (two.text, two.html)
    assert "<svg" not in one.html
    assert "84" in one.text
    assert one.facts["train_curve"] == FACTS["train_curve"]


def test_a_running_run_looks_the_same_at_any_moment_where_it_must() -> None:
    early = {**FACTS, "state": "running", "phase": "starting", "steps": 0, "exports": []}
    late = {**FACTS, "state": "running", "phase": "training", "exports": FACTS["exports"][:1]}
    assert training_view(early, stable=True).text == training_view(late, stable=True).text
    assert "running, training" in training_view(late).text


def test_failed_runs_say_why_and_what_to_do() -> None:
    failed = {**FACTS, "state": "failed", "reason": "disk full", "detail": "7 bytes", "hint": "Do"}
    view = training_view(failed)
    assert "failed, disk full" in view.text
    assert "7 bytes" in view.text
    stable = training_view(failed, stable=True).text
    assert "7 bytes" not in stable
    assert stable.endswith("Do")


def test_learnt_tokens_are_marked_and_escaped() -> None:
    view = preflight_view(PREFLIGHT)
    assert "<mark>card&lt;e&gt;</mark>" in view.html
    assert "&lt;|user|&gt;Hi<mark>" in view.html
    assert "2 of 9 tokens are learnt" in view.text
    assert "(5 more tokens)" in view.text
    assert "labels: Look at <roles>" in view.text
    assert "Look at &lt;roles&gt;" in view.html
    assert "9 rows" in view.text
    assert "9 rows" not in preflight_view(PREFLIGHT, stable=True).text
    assert "Row 1" not in preflight_view(PREFLIGHT, tokens=False).text


def test_the_curve_stays_within_its_frame() -> None:
    svg = loss_curve([(1, 5.0), (50, 1.0), (100, 0.001)], [(0, 5.2), (100, 0.5)])
    numbers = [
        tuple(map(float, pair.split(",")))
        for points in re.findall(r'points="([^"]+)"', svg)
        for pair in points.split()
    ]
    assert len(numbers) == 5
    assert all(0 <= x <= 480 and 0 <= y <= 160 for x, y in numbers)
    assert numbers[0][1] < numbers[2][1]  # a falling loss falls


@pytest.mark.parametrize(
    "points", [[], [(1, 1.0)], [(1, float("nan")), (2, 1.0)], [(3, 1.0), (3, 2.0)]]
)
def test_too_few_points_are_no_curve(points: list[tuple[int, float]]) -> None:
    assert loss_curve(points, []) == ""


def test_a_flat_curve_can_be_drawn() -> None:
    assert "<svg" in loss_curve([(1, 2.0), (2, 2.0)], [])


def test_lists_of_runs() -> None:
    runs = [{"name": "a", "run_id": "1", "state": "done", "step": 9, "steps": 9, "train_loss": 0.5,
             "eval_loss": None, "reason": ""}]  # fmt: skip
    assert "a/1" in runs_view(runs).text
    assert "a/1" not in runs_view(runs, stable=True).text
    assert "none" in runs_view([]).text
