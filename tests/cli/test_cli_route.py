"""``llmops route`` on a record that a session has written."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel import Session
from llmops_kernel.cli import main

SETTINGS = """
[aliases]
small = "sim/gpt-4o-mini"
large = "sim/gpt-4o"
[routes.support]
kind = "rules"
model = "large"
rules = [{ model = "small", pattern = "card" }]
[routes.broken]
kind = "cascade"
models = ["small", "large"]
checks = ["refusl"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llmops.toml").write_text(SETTINGS)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main(["route", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def table(path: Path, seed: int = 1, count: int = 200) -> str:
    draw = random.Random(seed)
    lines = ["prompt,cheap,dear"]
    for number in range(count):
        simple = number % 2 == 0
        if simple:
            what = draw.choice(["block", "find", "order"])
            text = f"How do I {what} my card {draw.randrange(999)}?"
        else:
            what = draw.choice(["limit", "residue"])
            text = f"Prove that the {what} of 1/x is {draw.randrange(999)}."
        lines.append(f'"{text}",{simple},True')
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


MODELS = ("--small", "small", "--large", "large")
COLUMNS = ("--columns", "text=prompt,small_ok=cheap,large_ok=dear")


def test_list_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "list")["routes"]
    assert [(each["name"], each["kind"], each["source"]) for each in found] == [
        ("broken", "cascade", "llmops.toml"), ("support", "rules", "llmops.toml"),
    ]  # fmt: skip
    assert "did you mean 'refusal'" in found[0]["problem"]
    assert found[1]["models"] == ["small", "large"]
    assert main(["route", "list"]) == 0
    assert "route/support" in capsys.readouterr().out


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "explain", "Where is my card?", "--route", "support")
    assert (found["model"], found["reason"]) == ("small", "rule 1: pattern")


def test_learn_report_and_ask(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    data = table(folder / "train.csv")
    models = (*MODELS, "--target-loss", "0.05")
    found = told(capsys, "learn", "mine", "--from", data, *COLUMNS, *models)
    assert (found["kind"], found["rows"]) == ("learned", 200)
    assert found["loss_bound"] <= 0.05
    assert found["share_small"] > 0.2
    assert main(["ask", "-m", "route/mine", "Prove that the limit of 1/x is 4."]) == 0
    capsys.readouterr()
    test = table(folder / "test.csv", seed=2, count=60)
    found = told(capsys, "report", "mine", "--from", test, *COLUMNS)
    assert found["routes"][0]["calls"] == 1
    evaluation = found["evaluation"]
    assert evaluation["rows"] == 60
    assert evaluation["loss"] <= 0.05
    assert evaluation["frontier"]["area"] > 0.6
    assert main(["route", "report", "--html", "page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<svg " in page
    assert "<caption>Models</caption>" in page


def test_verdicts_of_a_judge_are_joined(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with Session() as session:
        answer = session.ask("Where is my card?", model="route/support")
        session.store.flush()
        top = session.trace(answer.trace_id)
        assert top is not None
    verdicts = {top.span.span_id: 0.75, "other": 0.0}
    scores = {
        "format": "llmops-scores-1",
        "judge": "offline",
        "scores": [
            {"sample_id": key, "metric": "m", "judge": "j", "value": value, "verdicts": []}
            for key, value in verdicts.items()
        ],
    }
    (folder / "scores.json").write_text(json.dumps(scores))
    (use,) = told(capsys, "report", "--judged", "scores.json")["routes"]
    assert {each["model"]: each["quality"] for each in use["models"]} == {
        "small": 0.75, "large": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["explain", "x", "--route", "suport"], "did you mean 'support'"),
        (["explain", "x"], "--route"),
        (["learn", "support", "--from", "t.csv", *MODELS], "rules"),
        (["learn", "../x", "--from", "t.csv", *MODELS], "name of a route"),
        (["learn", "x", "--from", "t.csv", "--small", "smal-l", "--large", "large"], "smal-l"),
        (["learn", "x", "--from", "none.csv", *MODELS], "cannot be read"),
        (["learn", "x", "--from", "t.csv", *MODELS[:3], "route/x"], "circle"),
        (["report", "support", "--from", "none.csv"], "cannot be read"),
        (["report", "--from", "t.csv"], "one route"),
        (["report", "--judged", "none.json"], "no file of scores"),
    ],
)  # fmt: skip
def test_mistakes(
    capsys: pytest.CaptureFixture[str], folder: Path, argv: list[str], said: str
) -> None:
    table(folder / "t.csv", count=60)
    assert main(["route", *argv]) != 0
    assert said in capsys.readouterr().err
    assert not (folder / "home" / "routes").exists()
