"""``llmops cache`` on a record that a notebook's session has written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "calls"))  # the stub provider

from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import caching
from llmops_kernel.cli import main
from llmops_kernel.doctor import run_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, AGAIN = "How do I block my card?", "hi, how can i block my crad pls"
SETTINGS = """
model = "stub/stub-1"
[providers.stub]
base_url = "{url}"
[prices."stub/stub-1"]
input = 1
output = 2
"""


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubUpstream]:
    """A provider that was asked two questions, one of them twice in different manners."""
    monkeypatch.chdir(tmp_path)
    with StubUpstream() as server:
        (tmp_path / "llmops.toml").write_text(SETTINGS.format(url=server.base_url))
        with Session() as session:
            session.ask(FIRST, temperature=0)
            session.ask(AGAIN, temperature=0)
            with caching(tags=["faq"]):
                session.ask("Do you charge a fee abroad?", temperature=0)
        yield server


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main(["cache", *argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["cache", *argv]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("upstream")
def test_stats(capsys: pytest.CaptureFixture[str]) -> None:
    stats = told(capsys, "stats")
    assert (stats["entries"], stats["hits"], stats["misses"]) == (2, 1, 2)
    assert stats["tiers"] == {"near_verbatim": 1}
    assert "Hits, near-verbatim" in said(capsys, "stats")


def test_explain(upstream: StubUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(upstream.requests)
    for question, tier in ((FIRST, "exact"), (AGAIN, "near_verbatim"), ("Who are you?", "")):
        assert told(capsys, "explain", question)["tier"] == tier
    refused = told(capsys, "explain", "Do you not charge a fee abroad?")
    assert refused["reason"].endswith("negation differs")
    assert refused["question"] == "Do you charge a fee abroad?"
    assert told(capsys, "explain", AGAIN, "--system", "Lie.")["tier"] == ""
    assert "Reason: " in said(capsys, "explain", FIRST, "-m", "stub/stub-1")
    assert len(upstream.requests) == before


@pytest.mark.usefixtures("upstream")
def test_audit(capsys: pytest.CaptureFixture[str]) -> None:
    audit = told(capsys, "audit")
    (hit,) = audit["hits"]
    assert (hit["stored"], hit["asked"], hit["right"]) == (FIRST, AGAIN, None)
    assert audit["errors_per_hit"] == {"value": None, "low": 0.0, "high": 1.0}
    judged = told(capsys, "audit", "--right", str(hit["number"]))
    assert (judged["judged"], judged["wrong"]) == (1, 0)
    assert judged["errors_per_hit"]["high"] > 0.7  # one hit proves little
    assert f"served for:     {AGAIN}" in said(capsys, "audit")
    assert main(["cache", "audit", "--wrong", "77"]) == 1
    assert "77" in capsys.readouterr().err


@pytest.mark.usefixtures("upstream")
def test_a_wrong_hit_switches_the_tier_off_until_it_is_restarted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (hit,) = told(capsys, "audit")["hits"]
    judged = told(capsys, "audit", "--wrong", str(hit["number"]))
    (tier,) = judged["tiers"]
    assert (tier["tier"], tier["verdict"], tier["off"]) == ("near_verbatim", "broken", 1)
    assert "switched off" in said(capsys, "audit")
    assert "near-verbatim tier has switched itself off" in said(capsys, "stats")
    assert "switched itself off" in told(capsys, "explain", AGAIN)["reason"]
    tuned = told(capsys, "tune")
    assert (tuned["on"], tuned["off"], tuned["partitions"]) == (False, ["near_verbatim"], [])
    assert told(capsys, "tune", "--restart", "near-verbatim")["off"] == []
    assert told(capsys, "explain", AGAIN)["tier"] == "near_verbatim"
    assert told(capsys, "audit")["judged"] == 0
    assert "No partition" in said(capsys, "tune", "--target", "0.05")
    assert main(["cache", "tune", "--target", "5"]) == 1
    assert main(["cache", "tune", "--restart", "nothing"]) == 1
    assert "partition" in capsys.readouterr().err


@pytest.mark.usefixtures("upstream")
def test_other_tenants_see_and_judge_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (hit,) = told(capsys, "audit")["hits"]
    monkeypatch.setenv("LLMOPS_TENANT", "other")
    assert told(capsys, "audit")["total"] == 0
    assert main(["cache", "audit", "--wrong", str(hit["number"])]) == 1
    assert told(capsys, "explain", FIRST)["tier"] == ""
    assert told(capsys, "clear", "--all") == {"deleted": 0}
    monkeypatch.delenv("LLMOPS_TENANT")
    assert told(capsys, "audit")["judged"] == 0
    assert told(capsys, "stats")["entries"] == 2


@pytest.mark.usefixtures("upstream")
def test_clear(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear"]) == 1
    assert "--all" in capsys.readouterr().err
    assert told(capsys, "clear", "--tag", "faq") == {"deleted": 1}
    assert said(capsys, "clear", "-m", "stub/stub-1") == "Answers deleted: 1\n"
    assert told(capsys, "audit")["total"] == 0
    assert told(capsys, "explain", AGAIN)["tier"] == ""


def test_evaluate_is_a_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f'a,b,label\n"{FIRST}","{AGAIN}",1\n"{FIRST}",Who are you?,0\n')
    figures = told(capsys, "evaluate", str(pairs))
    assert (figures["pairs"], figures["hits"], figures["errors"]) == (2, 1, 0)


def test_help_names_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert all(verb in text for verb in ("stats", "explain", "audit", "tune", "clear", "evaluate"))


@pytest.mark.usefixtures("upstream")
def test_doctor_looks_at_it() -> None:
    (check,) = [check for check in run_checks() if check.name == "cache"]
    assert (check.state, check.detail) == ("ok", "2 answers in the record")
    with Session(cache={"url": "redis://127.0.0.1:1/0"}) as session:
        (check,) = [check for check in run_checks(session) if check.name == "cache"]
    assert check.state == "warn"
    assert "uncached" in check.hint
