"""The live view of a training: what it is told, what it takes, what its front end does."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.display import finetune_widget
from llmops_kernel.display.finetune_state import training_curves, training_state
from llmops_kernel.display.finetune_widget import TrainingWidget
from llmops_kernel.errors import MissingExtra, UsageProblem

HERE = Path(__file__).parent
EVIL = "<img src=x onerror=alert(1)>"
FACTS: dict[str, Any] = {
    "name": "router", "run_id": "r1", "state": "running", "phase": "training", "reason": "",
    "detail": "", "hint": "", "method": "lora", "backend": "trl", "step": 40, "steps": 160,
    "train_curve": [[1, 5.5], [20, 1.2], [40, 0.5]], "eval_curve": [[0, 5.6], [40, 0.9]],
    "epoch": 1.25, "tokens_per_s": 5_000.0, "eta_s": 75.2, "elapsed_s": 36.0, "memory": 2**30,
    "estimate": [2**29, 2**31], "sample": {"step": 40, "prompt": "Hi", "text": EVIL},
    "cost": {"hour_usd": 0.0, "usd": 0.0, "whole_usd": 0.0}, "stop_asked": False,
    "preflight": {"verdict": "warn", "checks": [
        {"name": "data", "state": "ok", "said": "All rows are used", "detail": "", "hint": ""},
        {"name": "memory", "state": "warn", "said": f"Tight {EVIL}", "detail": "7 GiB",
         "hint": "Use less"}]},
}  # fmt: skip
ENDED = {**FACTS, "state": "stopped", "reason": "asked", "step": 41,
         "hint": "%finetune resume goes on from the last checkpoint"}  # fmt: skip


def figures(**changes: Any) -> dict[str, str]:
    return dict(training_state({**FACTS, **changes})["figures"])


def test_a_running_run_in_texts_and_shares() -> None:
    state = training_state(FACTS)
    assert state["run"] == "router/r1"
    assert (state["headline"], state["tone"]) == ("training", "running")
    assert (state["share"], state["done"]) == (0.25, "Step 40 of 160 (25 %)")
    assert state["left"] == "about 1 min 15 s left"
    assert figures() == {
        "Training loss": "5.500 → 0.500", "Evaluation loss": "5.600 → 0.900", "Epoch": "1.25",
        "Speed": "5,000 tokens/s", "So far": "36.0 s", "Cost": "$0 on this machine",
        "Method": "lora, trl",
    }  # fmt: skip
    assert state["sample"] == {"title": "After step 40, asked: Hi", "text": EVIL}
    assert [each["name"] for each in state["preflight"]["checks"]] == ["memory"]
    assert state["preflight"]["text"] == "1 of 2 checks are well"
    assert state["told"] == []


def test_a_price_per_hour_is_a_cost() -> None:
    cost = {"hour_usd": 2.0, "usd": 0.02, "whole_usd": 0.5}
    assert figures(cost=cost)["Cost"] == "$0.02 so far, about $0.50 in all"
    assert figures(cost=cost, state="done")["Cost"] == "$0.02"


@pytest.mark.parametrize(
    ("used", "where", "over"),
    [(2**28, "below", False), (2**30, "within", False), (2**32, "above", True)],
)
def test_memory_stands_against_its_estimate(used: int, where: str, *, over: bool) -> None:
    memory = training_state({**FACTS, "memory": used})["memory"]
    assert f"{where} the estimate of 0.50 to 2.00" in memory["text"]
    assert memory["over"] is over
    assert 0 < memory["low"] < memory["high"] < 1
    assert 0 < memory["used"] < 1
    assert memory["used"] / memory["high"] == pytest.approx(used / 2**31)


def test_memory_without_an_estimate() -> None:
    memory = training_state({**FACTS, "estimate": None})["memory"]
    assert (memory["text"], memory["high"]) == ("1.00 GiB", 0)
    assert training_state({**FACTS, "memory": 0})["memory"] is None


def test_what_the_button_asks_depends_on_what_there_is_to_lose() -> None:
    def asks(**changes: Any) -> str:
        return str(training_state({**FACTS, **changes})["stop"]["ask"])

    assert "writes a checkpoint first" in asks()
    assert "no checkpoint" in asks(phase="pre-flight", step=0)
    assert "three minutes" in asks(phase="exporting")
    assert "■" in training_state(FACTS, blocking=True)["stop"]["silent"]
    assert "llmops finetune stop router" in training_state(FACTS)["stop"]["silent"]


def test_a_run_that_was_told_to_stop_says_so_whoever_told_it() -> None:
    state = training_state({**FACTS, "stop_asked": True})
    assert (state["headline"], state["tone"], state["stopping"]) == ("stopping", "warn", True)
    assert state["left"] == ""
    ended = training_state({**ENDED, "stop_asked": True})
    assert (ended["stop"], ended["stopping"]) == (None, False)


@pytest.mark.parametrize("state", ["stopped", "interrupted", "failed"])
def test_the_end_says_how_to_go_on(state: str) -> None:
    told = training_state({**ENDED, "state": state})["told"]
    assert told == ["To go on from the last checkpoint: %finetune resume router"]
    more = training_state({**ENDED, "state": state, "hint": "Free some disk"})["told"]
    assert more == ["Free some disk", *told]


def test_what_cannot_go_on_is_not_told_to() -> None:
    assert training_state({**ENDED, "state": "done", "hint": ""})["told"] == []
    refused = training_state({**ENDED, "state": "refused", "hint": "Use method: full"})
    assert refused["told"] == ["Use method: full"]
    assert refused["tone"] == "bad"


def test_a_run_of_which_nothing_is_known_yet() -> None:
    state = training_state({"name": "a", "run_id": "r", "state": "running"})
    assert (state["headline"], state["share"], state["done"]) == ("starting", None, "")
    assert state["figures"] == []
    json.dumps(state, allow_nan=False)


def test_long_curves_are_thinned_to_their_course() -> None:
    train = [[n, 10.0 - n / 1_000 + (-1) ** n] for n in range(1, 9_001)]
    curves = training_curves({"train_curve": train, "eval_curve": [[0, float("nan")], [5, 1.0]]})
    assert curves["eval"] == [[5, 1.0]]
    points = curves["train"]
    assert 300 < len(points) <= 400
    assert (points[0], points[-1]) == (train[0], train[-1])
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    # The noise of neighbours, of which every n-th would show one side only, is averaged out.
    assert all(abs(loss - (10.0 - step / 1_000)) < 0.2 for step, loss in points[1:-1])
    short = [[n, 1.0] for n in range(400)]
    assert training_curves({"train_curve": short})["train"] == short


class Run:
    """Facts that change, and what was asked of the run."""

    def __init__(self) -> None:
        self.facts = dict(FACTS)
        self.asked: list[str] = []

    def stop(self) -> None:
        self.asked.append(threading.current_thread().name)
        self.facts["stop_asked"] = True


@pytest.fixture
def shown():
    run = Run()
    widget = TrainingWidget(lambda: run.facts, run.stop)
    yield run, widget
    widget.close()


def say(widget: TrainingWidget, content: object) -> None:
    widget.model._handle_custom_msg(content, [])


def test_the_button_stops_the_run_and_is_answered(shown) -> None:
    run, widget = shown
    assert widget.model.state["turn"] == 0
    say(widget, {"command": "stop", "run": "router/r1"})
    assert len(run.asked) == 1
    state = widget.model.state
    assert (state["stopping"], state["turn"], state["problem"]) == (True, 1, "")
    run.facts = dict(ENDED)
    widget.refresh()
    assert (widget.model.state["stop"], widget.model.state["turn"]) == (None, 1)


@pytest.mark.parametrize(
    "content",
    [None, "stop", [], {}, {"command": "stop"}, {"command": "stop", "run": "router/r2"},
     {"command": "resume", "run": "router/r1"}, {"command": ["stop"], "run": "router/r1"}],
)  # fmt: skip
def test_any_other_message_is_refused(shown, content: object) -> None:
    run, widget = shown
    say(widget, content)
    assert run.asked == []
    assert "nothing else" in widget.model.state["problem"]
    assert widget.model.state["turn"] == 1
    assert not widget.model.state["stopping"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(UsageProblem("It cannot be stopped", hint="Wait"), "It cannot be stopped"),
     (OSError(28, "No space left on device"), "No space left")],
)  # fmt: skip
def test_a_stop_that_fails_is_told(error: Exception, told: str) -> None:
    def stop() -> None:
        raise error

    widget = TrainingWidget(lambda: FACTS, stop)
    say(widget, {"command": "stop", "run": "router/r1"})
    assert told in widget.model.state["problem"]
    assert not widget.model.state["stopping"]
    widget.close()


def test_only_what_changed_is_sent(shown, monkeypatch) -> None:
    run, widget = shown
    sent: list[set[str]] = []
    monkeypatch.setattr(
        widget.model, "_send", lambda message, **_: sent.append(set(message["state"]))
    )
    widget.refresh()
    assert sent == []
    run.facts = {**FACTS, "step": 41}
    widget.refresh()
    run.facts = {**run.facts, "train_curve": [*FACTS["train_curve"], [41, 0.4]]}
    widget.refresh()
    assert sent == [{"state"}, {"state", "curves"}]


def test_a_closed_view_is_left_alone(shown) -> None:
    run, widget = shown
    assert not widget.closed
    widget.close()
    assert widget.closed
    run.facts = dict(ENDED)
    widget.refresh()
    assert widget.model.state["headline"] == "training"


def test_without_anywidget_there_is_none(monkeypatch) -> None:
    finetune_widget._widget_class.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    with pytest.raises(MissingExtra):
        TrainingWidget(lambda: FACTS, lambda: None)
    finetune_widget._widget_class.cache_clear()


@pytest.mark.parametrize("name", ["finetune.js", "finetune.css"])
def test_front_end_files_set_text_as_text(name: str) -> None:
    text = (finetune_widget._HERE / name).read_text(encoding="utf-8")
    assert "innerHTML" not in text
    assert "import" not in text
    assert text.count("http") == text.count("http://www.w3.org/2000/svg")  # nothing is fetched
    assert len(text) < 16_000


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict[str, Any]:
    """What a person sees and hears of the view, told by the front end's own code."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run the front end's code")
    extra = {"problem": "", "turn": 0}
    states = {
        "running": {**training_state(FACTS), **extra},
        "stopping": {**training_state({**FACTS, "stop_asked": True}), **extra},
        "ended": {**training_state(ENDED), **extra},
        "curves": training_curves(FACTS),
    }
    path = tmp_path_factory.mktemp("dom") / "states.json"
    path.write_text(json.dumps(states))
    done = subprocess.run(
        [node, str(HERE / "finetune_dom.mjs"), str(finetune_widget._HERE / "finetune.js"),
         str(path)], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_front_end_draws_and_describes_the_curves(seen) -> None:
    assert (seen["curves"]["train"], seen["curves"]["eval"]) == (3, 2)
    assert seen["curves"]["label"] == (
        "Loss over steps 0 to 40: training from 5.5 to 0.5, evaluation from 5.6 to 0.9"
    )
    assert "training 0.5evaluation 0.9at step 40" in seen["hover"]
    assert "at step" not in seen["left"]
    assert seen["empty"] == "Loss over steps: nothing yet"


def test_the_front_end_shows_figures_and_text_as_text(seen) -> None:
    for text in ("Epoch1.25", "5,000 tokens/s", EVIL, "memory (warn): ", f"Tight {EVIL}: 7 GiB",
                 "Pre-flight: warn. 1 of 2 checks are well."):  # fmt: skip
        assert text in seen["text"]
    assert seen["course"]["role"] == "progressbar"
    assert seen["course"]["aria-valuenow"] == "25"
    assert seen["meter"]["role"] == "meter"
    assert "within the estimate" in seen["meter"]["aria-valuetext"]


def test_a_step_is_not_read_aloud(seen) -> None:
    assert seen["badge_spoken"] == 0


def test_the_button_asks_once(seen) -> None:
    assert (seen["running"]["open"], seen["running"]["asking"]) == ("Stop…", False)
    assert seen["asked"]["asking"]
    assert "writes a checkpoint first" in seen["asked"]["question"]
    assert seen["asked"]["focus"] == "Stop the run"
    for kept in (seen["kept"], seen["refused"]):
        assert (kept["asking"], kept["sent"], kept["focus"]) == (False, 0, "Stop…")
    assert seen["message"] == {"command": "stop", "run": "router/r1"}
    assert (seen["sent"]["open"], seen["sent"]["disabled"]) == ("Stopping…", True)


def test_the_front_end_says_when_nobody_hears_and_when_somebody_does(seen) -> None:
    assert "has not answered" in seen["silent"]["answer"]
    assert not seen["silent"]["disabled"]
    assert (seen["stopping"]["badge"], seen["stopping"]["answer"]) == ("stopping", "")
    assert seen["stopping"]["disabled"]
    assert (seen["problem"]["answer"], seen["problem"]["disabled"]) == ("No", False)
    assert (seen["ended"]["open"], seen["ended"]["badge"]) == (None, "stopped: asked")
    assert "%finetune resume router" in seen["ended"]["told"]
    assert seen["listeners"] == 0
