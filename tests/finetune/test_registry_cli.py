"""``llmops model``: what it prints and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_kernel.cli import main
from llmops_kernel.finetune.registry import Registry, Version


@pytest.fixture
def version(tmp_path: Path) -> Version:
    out = tmp_path / "out"
    out.mkdir()
    (out / "Modelfile").write_text("FROM x\n")
    record = {
        "config": {"task": "chat"}, "data": {"train_sha256": "a"}, "base": "./tiny",
        "task": "chat", "metrics": {"eval_loss": 0.51234},
    }  # fmt: skip
    return Registry().register("router", out, record)


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["model", *arguments]) == code
    return capsys.readouterr().out


def test_models_are_listed(capsys: pytest.CaptureFixture[str], version: Version) -> None:
    text = told(capsys, "list")
    assert version.ref in text
    assert "0.512" in text
    listed = json.loads(told(capsys, "list", "router", "--json"))
    assert [each["ref"] for each in listed["models"]] == [version.ref]
    assert json.loads(told(capsys, "list", "other", "--json")) == {"models": []}


def test_a_version_is_shown_with_what_changed(
    capsys: pytest.CaptureFixture[str], version: Version
) -> None:
    assert "as registered" in told(capsys, "show", "router")
    (version.folder / "Modelfile").write_text("FROM y\n")
    shown = json.loads(told(capsys, "show", version.ref, "--json", code=1))
    assert shown["problems"] == ["Modelfile was changed"]
    assert shown["parity"]["ok"] is None


def test_the_card_is_printed(capsys: pytest.CaptureFixture[str], version: Version) -> None:
    assert told(capsys, "card", "router").startswith(f"# router {version.version}\n")
    assert "card" in json.loads(told(capsys, "card", "router", "--json"))


def test_promoting_and_removing(capsys: pytest.CaptureFixture[str], version: Version) -> None:
    assert told(capsys, "promote", "router") == f"{version.ref}: serving\n"
    assert main(["model", "rm", version.ref]) == 1
    assert "serves" in capsys.readouterr().err
    staged = told(capsys, "promote", "router", "--stage", "retired", "--json")
    assert json.loads(staged)["stage"] == "retired"
    assert json.loads(told(capsys, "rm", version.ref, "--json")) == {"removed": version.ref}
    assert main(["model", "show", "router"]) == 1
    assert "no model" in capsys.readouterr().err


def test_mistakes_are_told(capsys: pytest.CaptureFixture[str], version: Version) -> None:
    assert main(["model", "promot", "router"]) == 2
    assert "promote" in capsys.readouterr().err
    assert main(["model", "promote", "router", "--stage", "servin"]) == 1
    assert "did you mean 'serving'" in capsys.readouterr().err
    assert "promote" in told(capsys)
