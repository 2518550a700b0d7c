"""Other libraries' metrics: their real code in their own environment, through our real door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from llmops_kernel import Session, envs
from llmops_kernel.cli import main
from llmops_kernel.errors import MissingEnvironment, UsageProblem
from llmops_kernel.judge.peers.door import metered
from llmops_kernel.judge.peers.lines import read_scores
from llmops_kernel.judge.peers.run import run_library
from llmops_kernel.judge.samples import Sample

ROOT = Path(__file__).parents[2]
SAMPLES = (
    Sample(
        "a",
        "What does the Blue card cost?",
        "It costs 5 EUR a month.",
        ("The Blue card costs 5 EUR a month.", "The branch opens at 9."),
        reference="5 EUR a month.",
    ),
    Sample("b", "When does the branch open?", "At 9.", ("The branch opens at 9.",)),
)


@pytest.fixture(scope="module")
def judge_url() -> Iterator[str]:
    """A judge that fills the schema of any question."""
    command = [sys.executable, ROOT / "benchmarks" / "_schema_judge.py", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


def _session(judge_url: str, **more: object) -> Session:
    return Session(
        providers={"stub": {"base_url": judge_url}},
        prices={"stub/gpt-4o-mini": {"input": 1, "output": 2}},
        aliases={"gpt-4o-mini": "stub/gpt-4o-mini"},
        cache={"near": False},
        **more,
    )


def _needs(name: str) -> None:
    if envs.find(name).made:
        return
    if os.environ.get("LLMOPS_REQUIRE_PEERS"):
        pytest.fail(f"the environment {name} is required here: llmops env create {name}")
    pytest.skip(f"llmops env create {name}")


@pytest.mark.parametrize(
    ("library", "metric", "calls"),
    [("ragas", "faithfulness", 2), ("deepeval", "faithfulness", 4)],
)
def test_a_librarys_own_metric_is_metered_by_our_door(
    judge_url: str, library: str, metric: str, calls: int
) -> None:
    _needs(library)
    with _session(judge_url) as session:
        result = run_library(
            SAMPLES, library, [metric], door=metered(session), model="gpt-4o-mini", concurrency=1
        )
        spent = sum(event.spent_nano for event in session.history(100))
    assert [score.value for score in result.scores] == [1.0, 1.0]
    assert {score.metric for score in result.scores} == {f"{library}:{metric}"}
    assert result.calls == calls * len(SAMPLES)
    assert not result.simulated
    assert result.usd_nano == spent > 0


def test_a_cap_ends_a_librarys_run_and_no_score_is_made_up(judge_url: str) -> None:
    _needs("ragas")
    with _session(judge_url, run_budget_usd=Decimal("0.00001")) as session:
        result = run_library(
            SAMPLES, "ragas", ["faithfulness"], door=metered(session), model="gpt-4o-mini"
        )
    assert [score.unscored for score in result.scores] == ["budget", "budget"]
    assert result.stopped
    assert result.usd <= Decimal("0.00001")


def test_a_field_that_is_missing_asks_nobody(judge_url: str) -> None:
    _needs("ragas")
    with _session(judge_url) as session:
        result = run_library(
            SAMPLES, "ragas", ["factual_correctness"], door=metered(session), model="gpt-4o-mini"
        )
    assert [score.unscored for score in result.scores] == [None, "missing_field"]
    assert result.scores[1].reason == "reference missing"


def test_what_runs_judge_text_as_code_needs_consent(judge_url: str) -> None:
    with _session(judge_url) as session, pytest.raises(UsageProblem, match="is off") as caught:
        run_library(
            SAMPLES, "trulens", ["groundedness_default"], door=metered(session), model="gpt-4o-mini"
        )
    assert "--allow-eval" in caught.value.hint


def test_an_environment_that_was_not_made_says_how(
    judge_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path))
    with _session(judge_url) as session, pytest.raises(MissingEnvironment):
        run_library(SAMPLES, "ragas", ["faithfulness"], door=metered(session), model="gpt-4o-mini")


@pytest.mark.parametrize(
    ("line", "unscored"),
    [
        ({"value": 0.5}, None),
        ({"value": -1.0}, "parse"),
        ({"value": float("nan")}, "parse"),
        ({"value": None}, "parse"),
        ({"value": True}, "parse"),
        ({"error": "APIStatusError: no money [llmops:budget_exceeded]"}, "budget"),
        ({"error": "ValueError: Evaluation LLM outputted an invalid JSON"}, "error"),
    ],
)
def test_no_number_is_taken_for_a_score_that_is_none(
    line: dict[str, object], unscored: str | None
) -> None:
    text = json.dumps({"id": "a", "metric": "m", **line}) + "\n"
    score = read_scores(text, "ragas", {("a", "m")}).score(
        "a", "m", judge="j", fingerprint="f", lacking=(), ended=""
    )
    assert score.unscored == unscored
    assert (score.value is None) == (unscored is not None)


def test_torn_and_foreign_lines_are_counted() -> None:
    text = '{"id": "a", "metric": "m", "value": 1}\n{"id": "x", "metric": "m", "value": 1}\n{"id'
    found = read_scores(text, "ragas", {("a", "m")})
    assert list(found.by_key) == [("a", "m")]
    assert found.note.startswith("2 lines")


def test_the_command_names_the_nearest_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "a", "user_input": "q", "response": "r"}\n', encoding="utf-8")
    assert main(["judge", "peer", "raggas", str(data), "--judge", "offline/extractive"]) != 0
    assert "did you mean 'ragas'" in capsys.readouterr().err
