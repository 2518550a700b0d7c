"""``%cache`` in a real shell, before a server on loopback."""

import sys
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import UsageProblem, current_session
from llmops_kernel.cache import caching
from llmops_kernel.magics.cache_results import (
    AuditPage,
    CachePage,
    Cleared,
    Explained,
    TunePage,
)

sys.path.append(str(Path(__file__).parents[1] / "calls"))  # the stub provider

from stub_upstream import StubUpstream

SETTINGS = """
model = "stub/stub-1"
[providers.stub]
base_url = "{url}"
[prices."stub/stub-1"]
input = 1
output = 2
"""


@pytest.fixture
def asked(workplace, run):
    """A session whose model was asked two questions, and one of them again in other manners."""
    with StubUpstream() as upstream:
        (workplace / "llmops.toml").write_text(SETTINGS.format(url=upstream.base_url))
        assert run("%ask -q -t 0 How do I block my card?").success
        with caching(tags=["faq"]):
            assert run("%ask -q -t 0 Do you charge a fee of 2 dollars abroad?").success
        assert run("%ask -q -t 0 hi, how can i block my crad pls").success
        assert len(upstream.requests) == 2
        yield upstream
        current_session().close()


def shown(shell, result):
    return DisplayFormatter(parent=shell).format(result)


def test_stats_are_the_default(asked, run, shell):
    for line in ("%cache", "%cache stats", "%cache status", "%cache -o page"):
        page = run(line).result
        assert isinstance(page, CachePage)
        assert page.stats.tiers == {"near_verbatim": 1}
        assert (page.stats.entries, page.stats.misses) == (2, 2)
    assert shell.user_ns["page"] is page
    data, metadata = shown(shell, page)
    assert "Hits, near-verbatim" in data["text/plain"]
    assert "<caption>Cache</caption>" in data["text/html"]
    assert metadata["llmops"]["tiers"] == {"near_verbatim": 1}
    assert metadata["llmops"]["switches"]["Near-verbatim"] == "on"


@pytest.mark.parametrize(
    ("line", "tier", "reason"),
    [
        ("How do I block my card?", "exact", "the same request was answered"),
        ("how do I block my card", "near_verbatim", "the same words"),
        ("how do I block my crad", "near_verbatim", "misspelling"),
        ("Do you charge a fee of 3 dollars abroad?", "", "numbers differ"),
        ("Do you not charge a fee of 2 dollars abroad?", "", "negation differs"),
        ("What is my balance?", "", "it is personal"),
        ("What is the latest fee?", "", "it depends on the time"),
        ("How do I block my card? -s Lie.", "", "no question like it"),
        ("How do I block my card? -t 0.5", "", "drawn at random"),
        ("How do I block my card? -m offline/extractive", "", "simulated"),
    ],
)
def test_explain_names_the_tier_and_the_reason(asked, run, line, tier, reason):
    before = len(asked.requests)
    explained = run(f"%cache explain {line}").result
    assert isinstance(explained, Explained)
    assert explained.tier == tier
    assert reason in explained.reason
    assert len(asked.requests) == before
    assert run("%cache").result.stats.hits == 1  # looking is no hit


def test_explain_shows_the_question_it_compared_with(asked, run, shell):
    explained = run("%cache explain Do you charge a fee of 3 dollars abroad?").result
    text = shown(shell, explained)[0]["text/plain"]
    assert "Tier: none (a model is called)" in text
    assert "Recorded question: Do you charge a fee of 2 dollars abroad?" in text
    assert "Tier: near-verbatim" in str(run("%cache explain how do i block my card").result)


def test_audit_lists_both_texts_and_takes_verdicts(asked, run, shell):
    page = run("%cache audit").result
    assert isinstance(page, AuditPage)
    (hit,) = page
    assert (hit.stored, hit.asked) == ("How do I block my card?", "hi, how can i block my crad pls")
    text = shown(shell, page)[0]["text/plain"]
    assert hit.stored in text
    assert hit.asked in text
    assert "none was judged yet" in text
    judged = run(f"%cache audit --wrong {hit.number}").result
    assert (judged.audit.evidence.hits, judged.audit.evidence.errors) == (1, 1)
    assert next(iter(judged)).right is False
    judged = run(f"%cache audit --right {hit.number}").result
    assert judged.audit.evidence.errors == 0
    data, metadata = shown(shell, judged)
    assert "near-verbatim: 0 of 1 judged" in data["text/plain"]
    assert metadata["llmops"]["verdict"] == "not enough evidence"
    missing = run("%cache audit --right 99").error_in_exec
    assert type(missing) is UsageProblem
    assert "99" in missing.sentence()
    assert type(run("%cache audit -n 0").error_in_exec) is UsageProblem


def test_it_can_be_switched_on_and_off(asked, run):
    def switches(line):
        page = run(line).result
        assert isinstance(page, CachePage)
        return {name: page.switches[name] for name in ("Exact", "Near-verbatim", "Margin")}

    assert switches("%cache on --semantic") == {
        "Exact": "on", "Near-verbatim": "on", "Margin": "on",
    }  # fmt: skip
    assert switches("%cache off --semantic")["Margin"] == "off"
    assert set(switches("%cache off").values()) == {"off"}
    before = len(asked.requests)
    assert run("%ask -q -t 0 How do I block my card?").success
    assert len(asked.requests) == before + 1
    assert switches("%cache on")["Near-verbatim"] == "on"


def test_tune_says_what_is_missing(asked, run, shell):
    assert run("%cache on -q --semantic").success
    assert run("%ask -q -t 0 Where can I lock a card?").success
    page = run("%cache tune").result
    assert isinstance(page, TunePage)
    (partition,) = page
    assert (partition.state, partition.texts) == ("not enough evidence", 1)
    data, metadata = shown(shell, page)
    assert "more judged lookups" in data["text/html"]
    (facts,) = metadata["llmops"]["partitions"]
    assert (facts["evidence"]["verdict"], len(page)) == ("not enough evidence", 1)
    assert run("%cache tune --target 0.05").result.tuning.target == 0.05
    assert run("%cache tune --restart margin").success
    for line in ("%cache tune --target 7", "%cache tune --restart nobody"):
        assert type(run(line).error_in_exec) is UsageProblem


def test_texts_are_escaped(asked, run, shell):
    run("%ask -q -t 0 hello, how do i block my card")
    page = run("%cache explain <img src=x>").result
    assert "<img" not in shown(shell, page)[0]["text/html"]


def test_clear_takes_a_choice(asked, run):
    for line in ("%cache clear", "%cache clear --all --tag faq"):
        assert type(run(line).error_in_exec) is UsageProblem
    for line, count in (
        ("--tag other", 0), ("--notebook none", 0), ("--tag faq", 1),
        ("-m stub/stub-1", 1), ("--all", 0),
    ):  # fmt: skip
        cleared = run(f"%cache clear {line}").result
        assert isinstance(cleared, Cleared)
        assert (cleared.count, str(cleared)) == (count, f"Answers deleted: {count}")
    assert len(run("%cache audit").result) == 0  # the questions went with the answers


def test_static_results_hold_no_times(asked, run, monkeypatch):
    current_session().configure(static=True)
    assert "UTC" not in str(run("%cache audit").result)
    assert "UTC" not in str(run("%cache explain how do i block my card").result)


def test_verbs_and_flags_complete(shell):
    def complete(text):
        with provisionalcompleter():
            found = shell.Completer.completions(text, len(text))
            return {each.text for each in found}

    assert {"stats", "explain", "audit", "tune", "on", "off", "clear"} <= complete("%cache ")
    assert {"--tag", "--model", "--notebook", "--all"} <= complete("%cache clear --")


def test_a_mistyped_verb_names_the_nearest(run):
    error = run("%cache explian x").error_in_exec
    assert type(error) is UsageProblem
    assert "explain" in error.sentence()
