"""``%judge label`` and ``%judge calibrate`` in a real shell, and the widget behind them."""

import json
from typing import ClassVar

import pytest
from IPython.core.formatters import DisplayFormatter

from llmops_kernel.errors import MissingExtra, UsageProblem
from llmops_kernel.judge.labelling import LabelSheet
from llmops_kernel.magics.judge_results import Calibrated, Labelling

CONTEXTS = ["Card replacement costs 5 EUR.", "Refunds are paid within 10 days."]
GOOD, BAD = "Card replacement costs 5 EUR.", "The office in Oslo has a blue door."


def rows(count=40, old=False):
    return [
        {"id": f"s{n}", "user_input": "What does it cost?", "retrieved_contexts": CONTEXTS,
         "response": "Old." if old else BAD if n % 3 == 0 else f"{GOOD}"}
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def data(shell):
    shell.user_ns["answers"] = rows()
    shell.user_ns["before"] = rows(old=True)
    return shell.user_ns


def shown(shell, result):
    return DisplayFormatter(parent=shell).format(result)


def by_text(item):
    return "1" if item.answers[0] == GOOD else "0"


def test_a_shell_shows_the_still_picture(data, run, shell):
    done = run("%judge label answers --metric correctness --n 10 --rater ann -o desk")
    result = done.result
    assert isinstance(result, Labelling)
    assert data["desk"] is result
    bundle, metadata = shown(shell, result)
    assert set(bundle) == {"text/plain", "text/html"}
    text = bundle["text/plain"]
    assert "Labels by people" in text
    assert "1 yes, 0 no, s skip, u undo" in text
    assert "What does it cost?" in text
    assert "answers.labels.jsonl" in text
    assert metadata["llmops"]["total"] == 10
    assert "s0" not in json.dumps(metadata)


def test_labels_from_code_and_what_follows(data, run, shell, workplace):
    run("%judge label answers --metric lexical_support --n 30 --rater ann -o desk")
    result = data["desk"].label(by_text)
    assert len(result.labels) == 30
    assert "Labels are in answers.labels.jsonl." in shown(shell, result)[0]["text/plain"]
    assert len(LabelSheet(workplace / "answers.labels.jsonl").standing()) == 30
    assert sum(bool(each.human) for each in result.samples) == 30

    done = run("%judge calibrate answers --metric lexical_support -o cal")
    found = done.result
    assert isinstance(found, Calibrated)
    assert found.calibration.labels == 30
    assert found.calibration.kappa.estimate == 1.0
    text = shown(shell, found)[0]["text/plain"]
    assert "40 scored, 30 labels (calibrated)" in text
    assert "Mean corrected by the labels (PPI++)" in text
    assert "Offline heuristic, not an LLM or human judgement." in text

    before = run("%%judge lexical_support --data answers\n").result
    assert before.report.metrics[0].calibration.state == "uncalibrated"
    assert "uncalibrated" in repr(before)
    after = run("%%judge lexical_support --data answers --labels answers.labels.jsonl\n").result
    assert after.report.metrics[0].calibration.labels == 30
    assert "mean corrected by them" in repr(after)
    assert "Calibration: 30 labels" in after.html()


def test_a_result_gives_its_scores(data, run):
    run("%%judge lexical_support --data answers -o now --quiet\n")
    desk = run("%judge label now --metric lexical_support --n 10 --rater ann -o desk").result
    assert desk.queue.stratified
    assert desk.path.name == "now.labels.jsonl"
    desk.label(by_text)
    found = run("%judge calibrate now --metric lexical_support").result
    assert found.calibration.labels == 10
    assert "40 scored, 10 labels (too few, 20 more needed)" in repr(found)
    assert found.scores is data["now"].scores  # nothing was judged again


def test_uncalibrated_is_said(data, run, shell):
    found = run("%judge calibrate answers --metric lexical_support").result
    text = shown(shell, found)[0]["text/plain"]
    assert "no label (uncalibrated)" in text
    assert "Nobody has labelled scored samples yet" in text


def test_pairs(data, run, shell):
    desk = run("%judge label answers --metric pairwise --pairwise before --n 6 --rater ann").result
    assert len(desk.queue) == 12
    assert "First answer" in shown(shell, desk)[0]["text/plain"]
    desk.label(lambda item: "1" if item.answers[0] != "Old." else "2")
    found = run(
        "%judge calibrate answers --metric pairwise --pairwise before --judge sim/gpt-4o-mini -q "
        "-o cal"
    )
    assert found.success, found.error_in_exec
    calibration = data["cal"].calibration
    assert calibration.labels == 6
    assert calibration.positions.pairs == 40
    assert calibration.pair_lengths is not None
    assert "Same verdict in both orders" in repr(data["cal"])


def test_a_judge_of_ones_own(data, run):
    from llmops_kernel.judge.judges.protocol import Ruling

    class Own:
        id = "own"
        params: ClassVar = {}
        loop = None
        simulated = True

        async def ask(self, task, *, repeat=0, via=None):
            return Ruling({"rating": 0, "quotes": []})

        def bound(self, task):
            return 1, 1, 0, 0

    data["mine"] = Own()
    found = run("%%judge toxicity --data answers --judge mine\n").result
    assert found.judge == "own"
    assert found["toxicity"].estimate == 1.0
    data["JUDGE"] = "sim/gpt-4o-mini"  # a notebook's parameter
    data["offline"] = "sim/gpt-4o"  # but the word keeps its meaning
    assert run("%%judge toxicity --data answers --judge JUDGE\n").result.judge == data["JUDGE"]
    assert "offline" in run("%%judge lexical_support --data answers\n").result.judge


def test_escalation_needs_a_jury(data, run):
    done = run("%%judge toxicity --data answers --judge sim/gpt-4o --escalate sim/gpt-4o\n")
    assert isinstance(done.error_in_exec, UsageProblem)
    done = run(
        "%%judge toxicity --data answers --judge sim/gpt-4o,sim/gpt-4o-mini "
        "--escalate sim/gpt-4.1\n"
    )
    assert done.success, done.error_in_exec
    assert done.result.judge.endswith(">sim/gpt-4.1")
    assert done.result.report.metrics[0].jury.votes == 40


@pytest.mark.parametrize(
    "line",
    ["label", "label answers", "label answers --metric m --n 0", "label nowhere --metric m",
     "label answers --metric m --grades 1", "label answers --metric m --pairwise answers",
     "calibrate answers --metric correctnes", "label answers --metrik m"],
)  # fmt: skip
def test_mistakes_are_usage_problems(data, run, line):
    done = run(f"%judge {line}")
    assert isinstance(done.error_in_exec, UsageProblem)


class Kernel:
    """Stands for a shell that a front end is connected to."""


def test_a_front_end_gets_the_widget(data, run, shell):
    shell.kernel = Kernel()
    desk = run("%judge label answers --metric correctness --n 3 --rater ann").result
    bundle, _ = shown(shell, desk)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "text/html" in bundle  # what a saved notebook shows
    widget = desk.widget
    key = widget.state["item"]["key"]
    assert set(widget.state["item"]) == {"key", "question", "answers", "contexts", "reference"}

    def say(**content):
        widget._handle_custom_msg(content, [])

    say(command="answer", choice="1", item=key)
    assert widget.state["labelled"] == 1
    assert widget.state["item"]["key"] != key
    say(command="answer", choice="1", item=key)  # a key that was pressed twice
    assert widget.state["labelled"] == 1
    say(command="answer", choice="x", item=widget.state["item"]["key"])
    assert "not one of the choices" in widget.state["problem"]
    say(command="undo")
    assert (widget.state["labelled"], widget.state["problem"]) == (0, "")
    assert widget.state["item"]["key"] == key
    for _ in range(3):
        last = widget.state["item"]["key"]
        say(command="answer", choice="1", item=last)
    assert (widget.state["item"], widget.state["can_undo"]) == (None, True)
    say(command="undo")  # also the last key can be taken back
    assert (widget.state["labelled"], widget.state["item"]["key"]) == (2, last)
    widget.close()


def test_static_mode_has_no_widget(data, run, shell, monkeypatch):
    monkeypatch.setenv("LLMOPS_STATIC", "1")
    shell.kernel = Kernel()
    desk = run("%judge label answers --metric correctness --n 3 --rater ann").result
    assert desk.widget is None
    assert set(shown(shell, desk)[0]) == {"text/plain", "text/html"}


def test_without_the_extra_a_front_end_is_told(data, run, shell, monkeypatch):
    import sys

    from llmops_kernel.display import label

    label._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    shell.kernel = Kernel()
    done = run("%judge label answers --metric correctness --n 3 --rater ann")
    assert isinstance(done.error_in_exec, MissingExtra)
    assert "llmops-kernel[widgets]" in done.error_in_exec.hint
    label._widget_class.cache_clear()
