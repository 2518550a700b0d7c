"""An adapter as a GGUF file: beside its base it answers as the merged weights do."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import export_desk
import pytest

from llmops_kernel.finetune.export.kinds import parse
from llmops_kernel.finetune.export.llama import _free_port, _wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPTS = ["What does a transfer cost?", "My card was stolen", "Hello", "Zahlung über 1.250 €"]


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Run the real engine with 32-bit keys and values, so that no rounding turns a tie over."""
    port = _free_port()
    log = Path(arguments[1]).with_suffix(".log")
    command = [str(export_desk.llama_server()), *arguments, "--port", str(port), "--no-warmup",
               "--parallel", "1", "--ctx-size", "256", "--threads", "1", "--flash-attn", "off",
               "--cache-type-k", "f32", "--cache-type-v", "f32", "--offline"]  # fmt: skip
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        _wait_ready(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def tokens(url: str, text: str, **further: Any) -> list[int]:
    body = {"prompt": text, "n_predict": 16, "temperature": 0, "top_k": 1, "return_tokens": True,
            "ignore_eos": True, **further}  # fmt: skip
    request = urllib.request.Request(
        f"{url}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: list[int] = json.loads(answer.read())["tokens"]
    return found


def result(name: str, export: str) -> dict[str, Any]:
    _, found = export_desk.exported()
    [one] = [each for each in found[name]["results"] if each["export"] == export]
    return one


@pytest.mark.parametrize("name", ["bare", "uneven"])
def test_beside_its_base_it_answers_as_merged(name: str) -> None:
    folder, _ = export_desk.exported()
    assert result(name, "gguf-adapter")["state"] == "done"
    base = folder / "out" / "tied" / "gguf" / "model-f32.gguf"
    merged = folder / "out" / name / "gguf" / "model-f32.gguf"
    adapter = folder / "out" / name / "gguf-adapter" / "adapter.gguf"
    with served("--model", str(merged)) as url:
        expected = [tokens(url, each) for each in PROMPTS]
    with served("--model", str(base)) as url:
        plain = [tokens(url, each) for each in PROMPTS]
    beside = ("--lora-scaled", f"{adapter}:0", "--cache-ram", "0")
    with served("--model", str(base), *beside) as url:
        on = [{"id": 0, "scale": 1.0}]
        assert [tokens(url, each) for each in PROMPTS] == plain
        assert [tokens(url, each, lora=[]) for each in PROMPTS] == plain
        assert [tokens(url, each, lora=on) for each in PROMPTS] == expected
        assert [tokens(url, each) for each in PROMPTS] == plain  # as if it were not there
    assert plain != expected
    assert all(len(each) == 16 for each in expected)


def test_the_file_says_what_is_in_it() -> None:
    made = result("bare", "gguf-adapter")
    assert made["path"] == "gguf-adapter/adapter.gguf"
    assert (made["tensors"], made["rank"], made["alpha"]) == (2 * 2 * 7, 4, 8.0)
    assert len(made["sha256"]) == 64
    folder, _ = export_desk.exported()
    assert (folder / "out" / "bare" / made["path"]).stat().st_size == made["bytes"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("adapter", "trained whole: embed_tokens"), ("dora", "magnitudes"), ("plain", "")],
)
def test_what_such_a_file_cannot_carry_is_refused(name: str, reason: str) -> None:
    folder, _ = export_desk.exported()
    if name == "plain":
        assert not (folder / "out" / "plain" / "gguf-adapter").exists()
        return
    refused = result(name, "gguf-adapter")
    assert refused["state"] == "refused"
    assert reason in refused["reason"]
    assert "merged" in refused["hint"]
    assert not (folder / "out" / name / "gguf-adapter").exists()


def test_the_plan_says_it_before_the_training() -> None:
    folder, _ = export_desk.exported()
    script = (
        "import json, sys\n"
        "from llmops_kernel.finetune.export.worker import plan\n"
        "print(json.dumps([plan(json.loads(each)) for each in sys.argv[1:]]))\n"
    )
    runs = [
        {"export": ["gguf-adapter"], "base": str(folder / "tied"), **more}
        for more in (
            {"lora": {"save_modules": []}},
            {"lora": {"save_modules": "auto"}},
            {"lora": {"save_modules": ["lm_head"]}},
            {"method": "full"},
        )
    ]
    said = json.loads(export_desk.run_beside("-c", script, *[json.dumps(each) for each in runs]))
    states = [[each["state"] for each in one] for one in said]
    assert states == [["ready"], ["refused"], ["refused"], ["refused"]]
    assert "embed_tokens" in said[1][0]["reason"]
    assert "There is no adapter" in said[3][0]["reason"]


def test_its_name_is_known_and_comes_before_what_is_merged() -> None:
    names = [each.name for each in parse(["gguf:q8_0", "gguf-adapter", "merged", "adapter"])]
    assert names == ["adapter", "gguf-adapter", "merged", "gguf:q8_0"]
    [export] = parse(["gguf-adapter"])
    assert not export.needs_merged
