"""What llama-server is told of adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.engines import Start, engine_named
from llmops_kernel.serve.models import ServedModel


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedModel:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(program))
    return ServedModel("m", gguf=tmp_path / "m.gguf")


def test_adapters_are_loaded_without_being_applied(model: ServedModel) -> None:
    engine = engine_named("llama-server")
    start = Start(model, 1, lora={"a": "/x/a.gguf", "b": "/x/b.gguf"})
    told = " ".join(engine.command(start).argv)
    assert "--lora-scaled /x/a.gguf:0,/x/b.gguf:0 --cache-ram 0" in told
    assert engine.capabilities(start).lora
    plain = Start(model, 1)
    assert "lora" not in " ".join(engine.command(plain).argv)
    assert engine.capabilities(plain).lora == ""


@pytest.mark.parametrize("path", ["/x,y/a.gguf", "/x:y/a.gguf"])
def test_a_path_that_its_list_cannot_hold_is_refused(model: ServedModel, path: str) -> None:
    with pytest.raises(UsageProblem, match="comma"):
        engine_named("llama-server").command(Start(model, 1, lora={"a": path}))
