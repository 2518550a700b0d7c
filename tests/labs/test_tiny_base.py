"""The tiny base and the classifiers, in the training environment."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from llmops_kernel.envs import find
from llmops_kernel.errors import MissingEnvironment, RunFailed
from llmops_kernel.labs import intents, tiny


@cache
def base() -> Path:
    """The tiny base, trained once for all tests (half a minute of CPU)."""
    return tiny.tiny_base(mkdtemp(prefix="llmops-tiny-"))


@pytest.fixture
def trained() -> Path:
    if not find("trl").made:
        if os.environ.get("LLMOPS_REQUIRE_TRL"):
            pytest.fail("LLMOPS_REQUIRE_TRL is set, and the environment trl was not made")
        pytest.skip("the environment trl was not made (llmops env create trl)")
    return base()


def test_without_the_environment_it_says_what_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "none"))
    with pytest.raises(MissingEnvironment) as told:
        tiny.tiny_base(tmp_path)
    assert told.value.hint == "llmops env create trl"
    with pytest.raises(MissingEnvironment):
        intents.by_words([intents.messages(intents.known(), 1)], [])


def test_the_base_is_whole_and_learnt_something(trained: Path) -> None:
    facts = json.loads((trained / "tiny.json").read_text())
    assert 1_000_000 < facts["parameters"] < 2_000_000
    assert facts["first_loss"] > 6.5  # chance among 1,024 tokens is 6.93 nats
    assert facts["last_loss"] < 5.5
    config = json.loads((trained / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["hidden_size"] % 256 == 0
    template = (trained / "chat_template.jinja").read_text()
    assert "{%- generation %}" in template
    assert not [path for path in trained.iterdir() if path.suffix in (".bin", ".pt")]


def test_the_base_is_kept(trained: Path) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    assert tiny.tiny_base(trained.parent) == trained
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


def test_the_base_can_be_registered(trained: Path) -> None:
    version = tiny.register_base("moorhen-tiny", trained.parent)
    assert version.path("merged") is not None
    assert tiny.register_base("moorhen-tiny", trained.parent).existed
    assert "random weights" in version.card


def test_classifiers_guess_and_say_how_sure_they_are(trained: Path) -> None:
    train = intents.messages(intents.known(), 3)
    known = [each for each in intents.messages(intents.known(), 2, seed=9)
             if each.text not in {row.text for row in train}]  # fmt: skip
    new = intents.messages(intents.held_out(), 1, seed=9)
    words_known, words_new = (intents.by_words([train], rows)[0] for rows in (known, new))
    meaning_new = intents.by_meaning([train], new)[0]

    def share(guesses: list[intents.Guess]) -> float:
        assert all(0 <= guess.confidence <= 1 for guess in guesses)
        return sum(guess.right for guess in guesses) / len(guesses)

    assert share(words_known) > 0.9
    assert share(words_new) < 0.5
    assert share(meaning_new) > share(words_new) + 0.1
    crossed = intents.by_meaning([train])[0]
    assert len(crossed) == len(train)
    assert [guess.phrasing for guess in crossed] == [each.phrasing for each in train]
    assert share(crossed) < 0.7  # no phrasing was seen by the model that judged it


def test_a_model_that_knows_no_intents_is_never_sure(trained: Path) -> None:
    new = intents.messages(intents.held_out(), 1, seed=9)[:16]
    guesses = intents.by_model(trained, new)
    assert [guess.phrasing for guess in guesses] == [each.phrasing for each in new]
    assert not any(guess.right for guess in guesses)
    assert all(guess.confidence == 0 for guess in guesses if guess.intent == "")


def test_failures_beside_are_told(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="were not classified") as told:
        intents.by_model(tmp_path / "missing", intents.messages(intents.known(), 1)[:1])
    assert told.value.detail
