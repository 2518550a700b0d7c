"""The verbs, on a real record with the simulated model."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from llmops_kernel.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    """Run a verb with --json and return what it printed."""
    assert main([*argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def user_day(report: Any, book: str = "simulated") -> Any:
    (cap,) = [
        cap
        for cap in report["caps"]
        if (cap["scope"], cap["window"], cap["book"]) == ("user", "day", book)
    ]
    return cap


def test_ask_prints_the_answer_and_its_figures_apart(capsys: pytest.CaptureFixture[str]) -> None:
    context = "A ledger records every amount. It is append-only."
    question = ["ask", "What is a ledger?", "-m", "sim/gpt-4o", "--context", context]
    assert main(question) == 0
    out, err = capsys.readouterr()
    assert "ledger" in out.lower()
    assert "sim/gpt-4o" in err
    assert "simulated" in err
    answer = told(capsys, *question)
    assert answer["text"].strip() == out.strip()
    assert answer["simulated"] is True
    assert Decimal(answer["usd"]) > 0


def test_a_question_may_come_from_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("What is a hold?"))
    assert told(capsys, "ask", "-")["text"]


def test_a_cap_that_is_set_holds_for_the_next_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert user_day(told(capsys, "budget"))["limit"] == "5"
    assert Decimal(user_day(told(capsys, "budget", "set", "0"))["limit"]) == 0
    assert main(["ask", "What is a cap?", "-m", "sim/gpt-4o"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("BudgetExceeded: ")
    assert len(err.splitlines()) <= 3
    raised = user_day(told(capsys, "budget", "raise", "1.5"))
    assert (Decimal(raised["limit"]), raised["source"]) == (Decimal("1.5"), "raised")
    assert main(["ask", "What is a cap?", "-m", "sim/gpt-4o"]) == 0
    capsys.readouterr()
    spent = user_day(told(capsys, "budget", "show"))
    assert 0 < Decimal(spent["spent"]) < Decimal("1.5")
    assert user_day(told(capsys, "budget"), "real")["spent"] == "0"


def test_a_stop_reaches_every_process_until_it_is_lifted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told(capsys, "budget", "stop", "end", "of", "the", "month")["stopped"] == (
        "end of the month"
    )
    assert told(capsys, "budget")["stopped"] == "end of the month"
    assert told(capsys, "status")["stopped"] == "end of the month"
    assert main(["ask", "Hello?"]) == 1
    assert capsys.readouterr().err.startswith("SpendingStopped: ")
    assert told(capsys, "budget", "resume") == {"stopped": None, "lifted": True}
    assert told(capsys, "budget", "resume")["lifted"] is False
    assert main(["ask", "Hello?"]) == 0


def test_history_and_traces_tell_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "trace") is None
    assert told(capsys, "trace", "list") == []
    assert told(capsys, "ask", "What is a ledger?", "-m", "sim/gpt-4o")["simulated"]
    events = told(capsys, "budget", "history", "-n", "1")["events"]
    assert [event["kind"] for event in events] == ["settle"]
    (root,) = told(capsys, "trace", "list")
    tree = told(capsys, "trace", root["trace_id"])
    assert tree["name"] == root["name"]
    assert tree == told(capsys, "trace", "last")
    spans = [tree, *tree["children"]]
    assert any(span["kind"] == "llm" and span["status"] == "ok" for span in spans)
    assert main(["trace"]) == 0
    assert "1 model call" in capsys.readouterr().out
    assert main(["trace", "list"]) == 0
    assert root["trace_id"] in capsys.readouterr().out


def test_an_unknown_trace_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "nothing-like-it"]) == 1
    assert capsys.readouterr().err.startswith("UsageProblem: There is no such trace")


def test_texts_are_tables(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, words in {
        ("budget",): ["per day", "real", "simulated", "$5.00"],
        ("status",): ["offline/extractive", "sqlite:///"],
        ("budget", "history"): ["Ledger", "none"],
        ("kernel", "list"): ["python3", "Metered"],
    }.items():
        assert main(list(argv)) == 0
        out = capsys.readouterr().out
        assert [word for word in words if word not in out] == []


@pytest.mark.parametrize("argv", [["budget", "set", "much"], ["ask", "?", "--max-usd", "-1"]])
def test_amounts_are_checked_before_the_record_is_opened(
    tmp_path: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 1
    assert "not an amount of dollars" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_broken_setting_is_two_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_MODLE", "x")
    assert main(["status"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("SettingsError: LLMOPS_MODLE is not a setting (did you mean 'model'?)")


def test_the_kernel_is_installed_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = told(capsys, "kernel", "install", "--prefix", str(tmp_path / "there"))["installed"]
    assert place == str(tmp_path / "there" / "share" / "jupyter" / "kernels" / "llmops")
    assert main(["kernel"]) == 0
    assert "install" in capsys.readouterr().out
