"""Learned routes: from a table to a file to decisions, and what they do not decide."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.embed import builtin
from llmops_kernel.errors import MissingExtra, SettingsError, UsageProblem
from llmops_kernel.routing.bounds import NEVER
from llmops_kernel.routing.evaluate import evaluate
from llmops_kernel.routing.intent import Intent
from llmops_kernel.routing.learned import Learned
from llmops_kernel.routing.saved import load, read, save
from llmops_kernel.routing.table import Table, table_of
from llmops_kernel.routing.training import Learned as Found
from llmops_kernel.routing.training import learn

Make = Callable[..., Session]
CONTEXT = CallContext("id")
CARD = ("block", "replace", "order", "cancel", "find", "renew", "activate", "freeze")
THINGS = ("card", "credit card", "debit card", "new card", "lost card", "virtual card")
SUMS = ("integral", "derivative", "eigenvalue", "determinant", "limit", "residue")
OF = ("x^2 + 3x", "sin(x) * e^x", "a 3x3 matrix", "1/(1+x^2)", "log(x) / x", "x^5 - 7")


def easy(draw: random.Random) -> str:
    start = draw.choice(["How do I", "Can I", "Please help me", "I want to", "Where can I"])
    return f"{start} {draw.choice(CARD)} my {draw.choice(THINGS)} number {draw.randrange(9999)}?"


def hard(draw: random.Random) -> str:
    start = draw.choice(["Prove that the", "Compute the", "Derive the", "Explain why the"])
    return f"{start} {draw.choice(SUMS)} of {draw.choice(OF)} is {draw.randrange(9999)}."


def rows(count: int = 200, seed: int = 1) -> list[dict[str, Any]]:
    """Questions of which the small model gets the easy ones right."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        simple = number % 2 == 0
        text = easy(draw) if simple else hard(draw)
        found.append({"text": text, "small_ok": simple, "large_ok": True,
                      "intent": "card" if simple else "maths"})  # fmt: skip
    return found


@pytest.fixture(scope="module")
def table() -> Table:
    return table_of(rows())


@pytest.fixture(scope="module")
def found(table: Table) -> Found:
    return learn(table, small="small", large="large", embedder=builtin(), target_loss=0.02)


@pytest.fixture(scope="module")
def by_intent() -> Found:
    plain = [{"text": row["text"], "intent": row["intent"]} for row in rows()]
    return learn(
        table_of(plain), small="small", large="large", embedder=builtin(), target_loss=0.05,
        intents=["card"],
    )  # fmt: skip


def request(text: str, **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return ChatRequest.from_body({"model": "route/x", "messages": messages, **fields})


def test_it_learns_which_questions_are_simple(found: Found, tmp_path: Path) -> None:
    assert found.saved.kind == "learned"
    assert found.line.bound is not None
    assert found.line.loss <= found.line.bound <= 0.02
    assert 0.3 < found.line.share <= 0.5
    save(tmp_path / "x.json", found.saved)
    router = load(tmp_path / "x.json", None)
    assert isinstance(router, Learned)
    draw = random.Random(99)
    told = [router.decide(request(easy(draw)), CONTEXT) for _ in range(20)]
    assert sum(each.model == "small" for each in told) >= 14
    told = [router.decide(request(hard(draw)), CONTEXT) for _ in range(20)]
    assert {each.model for each in told} == {"large"}
    assert all(each.confidence is not None and 0 <= each.confidence <= 1 for each in told)


def test_what_was_found_is_written_down(found: Found) -> None:
    evidence = found.saved.evidence
    assert (evidence["rows"], evidence["left_out"]) == (200, {})
    assert (evidence["small_quality"], evidence["large_quality"]) == (0.5, 1.0)
    assert evidence["calibration_error"] < 0.1
    assert len(evidence["data"]) == 32
    assert found.frontier.area is not None
    assert found.frontier.area > 0.7
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence


def test_the_file_is_the_same_route(found: Found, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    save(path, found.saved)
    again = read(path)
    assert again.threshold == found.saved.threshold
    assert again.evidence == found.saved.evidence
    first, second = Learned(found.saved, builtin), Learned(again, builtin)
    for text in ("How do I block my card?", "Prove it.", "?"):
        assert first.confidence(text) == pytest.approx(second.confidence(text), abs=1e-5)
    assert [each.name for each in path.parent.iterdir()] == ["x.json"]


def test_the_same_table_learns_the_same(table: Table, found: Found) -> None:
    again = learn(table, small="small", large="large", embedder=builtin(), target_loss=0.02)
    assert again.saved.evidence == found.saved.evidence
    assert again.line == found.line


def test_intents_that_were_named_go_to_the_small_model(by_intent: Found, tmp_path: Path) -> None:
    save(tmp_path / "i.json", by_intent.saved)
    router = load(tmp_path / "i.json", None)
    assert isinstance(router, Intent)
    assert by_intent.saved.evidence["accuracy"] > 0.95
    told = router.decide(request("How can I replace my debit card?"), CONTEXT)
    assert (told.model, told.reason) == ("small", "intent card")
    told = router.decide(request("Compute the derivative of sin(x) * e^x."), CONTEXT)
    assert told.model == "large"
    told = router.decide(request("Quelle heure est-il à Lisbonne ?"), CONTEXT)
    assert told.model == "large"


TOOL = {"type": "function", "function": {"name": "add"}}
IMAGE = [{"type": "text", "text": "How do I block my card?"},
         {"type": "image_url", "image_url": {"url": "x"}}]  # fmt: skip
TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "How do I block my card?"}]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request("How do I block my card?", tools=[TOOL]), "tools"),
        (request("", messages=[{"role": "user", "content": IMAGE}]), "images"),
        (request("", messages=TALK), "a conversation"),
        (request(" "), "no text"),
        (request("", messages=[{"role": "system", "content": "Be kind."}]), "no text"),
    ],
)
def test_what_it_was_not_learned_from_goes_to_the_large_model(
    found: Found, asked: ChatRequest, said: str
) -> None:
    told = Learned(found.saved, builtin).decide(asked, CONTEXT)
    assert told.model == "large"
    assert told.reason.startswith(said)


def test_without_evidence_everything_goes_to_the_large_model() -> None:
    draw = random.Random(5)
    noise = [{**row, "small_ok": draw.random() < 0.5} for row in rows(120)]
    told = learn(
        table_of(noise), small="small", large="large", embedder=builtin(), target_loss=0.01
    )
    assert told.line.threshold == NEVER
    assert "Not enough evidence" in told.notes[-1]
    router = Learned(told.saved, builtin)
    assert router.decide(request("How do I block my card?"), CONTEXT).model == "large"


def test_a_large_model_that_was_not_judged_is_taken_for_right() -> None:
    plain = [{"text": row["text"], "small_ok": row["small_ok"]} for row in rows()]
    told = learn(table_of(plain), small="small", large="large", embedder=builtin())
    assert told.saved.evidence["large_quality"] == 1.0
    assert "not judged everywhere" in told.notes[0]
    assert told.line.share > 0.3


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (rows(40), {}, "too few questions"),
        ([rows(2)[0]] * 60 + [rows(2)[1]] * 60, {}, "too few different questions"),
        ([{**row, "small_ok": True} for row in rows(60)], {}, "nothing to learn"),
        (rows(60), {"large": "small"}, "the same"),
        (rows(60), {"target_loss": 0.0}, "between 0 and 1"),
        (rows(60), {"target_loss": 1.5}, "between 0 and 1"),
        (rows(60), {"intents": ["crad"]}, "did you mean 'card'"),
        ([{**row, "intent": "one"} for row in rows(60)], {"intents": ["one"]}, "two intents"),
        (
            [{**rows(1)[0], "intent": "rare"}, *rows(60)],
            {"intents": ["card"]},
            "a few questions",
        ),
    ],
)  # fmt: skip
def test_what_nothing_can_be_learned_from(
    given: list[dict[str, Any]], options: dict[str, Any], said: str
) -> None:
    values: dict[str, Any] = {"small": "small", "large": "large", "embedder": builtin(), **options}
    with pytest.raises(UsageProblem, match=said):
        learn(table_of(given), **values)


def test_learning_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match="scikit-learn") as caught:
        learn(table, small="small", large="large", embedder=builtin())
    assert "llmops-kernel[routing]" in caught.value.hint


def _broken(data: dict[str, Any]) -> list[dict[str, Any]]:
    weights = data["weights"]
    short = {**weights["bias"], "f4": "AAAA"}
    nan = {"shape": [3], "f4": "AADAfwAAwH8AAMB/"}
    zero = {**weights["scale"], "f4": "A" * len(weights["scale"]["f4"].rstrip("=")) + "="
            * (len(weights["scale"]["f4"]) - len(weights["scale"]["f4"].rstrip("=")))}  # fmt: skip
    return [
        {**data, "format": "other"},
        {**data, "features": "form-0"},
        {**data, "kind": "rules"},
        {**data, "small": ""},
        {**data, "large": 7},
        {**data, "threshold": -1},
        {**data, "threshold": "NaN"},
        {**data, "calibration": [1.0]},
        {**data, "chosen": ["unknown"]},
        {**data, "weights": {**weights, "bias": short}},
        {**data, "weights": {**weights, "bias": nan}},
        {**data, "weights": {**weights, "scale": zero}},
        {**data, "weights": {**weights, "matrix": weights["bias"]}},
        {**data, "weights": {**weights, "more": weights["bias"]}},
        {key: value for key, value in data.items() if key != "weights"},
    ]


def test_a_damaged_file_is_refused(found: Found, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    save(path, found.saved)
    whole = json.loads(path.read_text())
    for broken in _broken(whole):
        path.write_text(json.dumps(broken))
        with pytest.raises(SettingsError, match="cannot be read"):
            read(path)
    for text in ("", "[]", "{", "null", path.read_text()[:500]):
        path.write_text(text)
        with pytest.raises(SettingsError, match="cannot be read"):
            read(path)


def test_another_embedder_is_refused(found: Found) -> None:
    class Other:
        id = "other@1"
        dim, max_tokens = 384, 256

    router = Learned(found.saved, Other)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="another embedder"):
        router.decide(request("How do I block my card?"), CONTEXT)


def test_deciding_needs_no_scikit_learn(found: Found, tmp_path: Path) -> None:
    save(tmp_path / "x.json", found.saved)
    program = """
import sys
sys.modules["sklearn"] = sys.modules["scipy"] = None
from pathlib import Path
from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.routing.saved import load
router = load(Path(sys.argv[1]), None)
asked = ChatRequest("route/x", ({"role": "user", "content": "How do I block my card?"},))
print(router.decide(asked, CallContext("id")).model)
"""
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.json")],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert told.stdout.strip() == "small"


def test_a_route_held_against_another_table(found: Found) -> None:
    told = evaluate(Learned(found.saved, builtin), table_of(rows(100, seed=7)))
    assert (told.rows, told.small_quality, told.large_quality) == (100, 0.5, 1.0)
    assert told.loss_interval[0] <= told.loss <= told.loss_interval[1]
    assert told.quality == pytest.approx(1.0 - told.loss)
    assert told.share_small > 0.3
    assert told.recovered is not None
    assert told.recovered > 0.9
    assert told.frontier.chosen is not None
    assert told.frontier.chosen.quality == pytest.approx(told.quality)
    assert told.area_interval is not None


def test_questions_a_route_was_learned_from_are_told(found: Found, tmp_path: Path) -> None:
    save(tmp_path / "x.json", found.saved)
    router = load(tmp_path / "x.json", None)
    assert isinstance(router, Learned)
    new = evaluate(router, table_of(rows(60, seed=7)))
    assert new.known == 0
    assert not any("was learned from" in note for note in new.notes())
    mixed = evaluate(router, table_of([*rows()[:40], *rows(60, seed=7)]))
    assert mixed.known == 40
    assert any("was learned from 40 of these" in note for note in mixed.notes())


def test_intents_held_against_another_table(by_intent: Found) -> None:
    plain = [{"text": row["text"], "intent": row["intent"]} for row in rows(60, seed=7)]
    told = evaluate(Intent(by_intent.saved, builtin), table_of(plain))
    assert told.large_quality == 1.0
    assert told.share_small > 0.3
    assert told.loss <= 0.05


def test_on_the_path_of_a_call(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, found: Found
) -> None:
    session = make_session()
    save(session.routes.folder / "mine.json", found.saved)
    assert session.routes.names() == ["mine"]
    simple, other = "How do I freeze my lost card number 12?", "Prove that the limit of x is 3."
    reply = session.call(request(simple).with_(model="route/mine"))
    assert reply.provider == "cheap"
    assert session.call(request(other).with_(model="route/mine")).provider == "dear"
    top = session.trace()
    assert top is not None
    assert 0 <= top.span.attributes["confidence"] <= 1
    assert [each.kind for each in session.routes.listed()] == ["learned"]


def test_what_is_learned_anew_holds_from_the_next_call(
    make_session: Make, found: Found, by_intent: Found
) -> None:
    session = make_session()
    path = session.routes.folder / "mine.json"
    save(path, found.saved)
    assert session.routes.get("mine").kind == "learned"
    save(path, by_intent.saved)
    assert session.routes.get("mine").kind == "intent"
    path.write_text("{")
    with pytest.raises(SettingsError, match="cannot be read"):
        session.routes.get("mine")
    (listed,) = session.routes.listed()
    assert "cannot be read" in listed.problem


def test_the_settings_may_name_other_models_and_a_file(
    make_session: Make, found: Found, tmp_path: Path
) -> None:
    save(tmp_path / "team.json", found.saved)
    routes = {
        "team": {
            "kind": "learned",
            "file": str(tmp_path / "team.json"),
            "small": "sim/gpt-4o-mini",
        },
        "later": {"kind": "learned"},
    }
    session = make_session(routes=routes)
    assert session.routes.get("team").models == ("sim/gpt-4o-mini", "large")
    with pytest.raises(SettingsError, match="not learned yet"):
        session.routes.get("later")
