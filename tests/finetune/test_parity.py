"""Comparing engines with the trained model: the real llama-server, and stand-ins that are wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from export_desk import exported, llama_server

from llmops_kernel.errors import ProviderError, ProviderUnreachable, UsageProblem
from llmops_kernel.finetune import parity
from llmops_kernel.finetune.export import llama

REFERENCE: dict[str, Any] = {
    "bos": 1,
    "new_tokens": 4,
    "prompts": [
        {
            "messages": [{"role": "user", "content": "hi"}],
            "prompt": "<s>[user] hi",
            "ids": [1, 7, 8],
            "answer_ids": [9, 10, 2],
            "answer": "yes",
            "ended": True,
            "leads": [3.0, 0.01, 2.0],
        }
    ],
}


class Engine:
    """Answers like llama-server; each attribute can be made wrong."""

    def __init__(self) -> None:
        self.prompt, self.tokens, self.completion, self.text = (
            "[user] hi",
            [1, 7, 8],
            [9, 10],
            "yes",
        )
        self.shows = True
        self.key = ""
        self.status = 200
        self.raw: bytes | None = None

    def answer(self, path: str) -> tuple[int, Any]:
        if path.startswith("/v1/"):
            return self.status, {"choices": [{"message": {"content": self.text}}]}
        if not self.shows:
            return 404, {"error": "no such path"}
        return 200, {
            "/apply-template": {"prompt": self.prompt},
            "/tokenize": {"tokens": self.tokens},
            "/completion": {"tokens": self.completion},
        }[path]


@contextmanager
def served(engine: Engine) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = engine.answer(self.path)
            if engine.key and self.headers.get("Authorization") != f"Bearer {engine.key}":
                status, body = 401, {"error": "key"}
            data = engine.raw if engine.raw is not None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def failed(found: parity.Parity) -> list[str]:
    return [check.name for check in found.checks if not check.ok]


def test_an_engine_that_agrees_passes_in_full() -> None:
    with served(Engine()) as url:
        found = parity.compare(REFERENCE, f"{url}/v1/")
    assert found.ok
    assert found.level == "full"
    names = [check.name for check in found.checks]
    assert names == ["template", "token_ids", "double_bos", "greedy_ids", "greedy_text"]
    assert found.first_difference == ""


def test_an_openai_url_is_compared_by_its_answers_alone() -> None:
    engine = Engine()
    engine.shows, engine.key = False, "k-123"
    with served(engine) as url:
        found = parity.compare(REFERENCE, url, key="k-123")
        with pytest.raises(UsageProblem, match="does not show its tokens"):
            parity.compare(REFERENCE, url, key="k-123", level="full")
        with pytest.raises(ProviderError, match="answered with an error"):
            parity.compare(REFERENCE, url, key="wrong", level="greedy")
    assert found.ok
    assert found.level == "greedy"
    assert [check.name for check in found.checks] == ["greedy_text"]


def test_a_doubled_bos_is_found() -> None:
    engine = Engine()
    engine.tokens = [1, 1, 7, 8]
    with served(engine) as url:
        found = parity.compare(REFERENCE, url)
    assert failed(found) == ["token_ids", "double_bos"]
    assert found.first_difference == "token_ids: prompt 1, token 2: 7 expected, 1 found"


def test_another_template_is_found_first() -> None:
    engine = Engine()
    engine.prompt, engine.text = "[user]hi", "no"
    with served(engine) as url:
        found = parity.compare(REFERENCE, url)
    assert failed(found) == ["template", "greedy_text"]
    assert found.first_difference.startswith("template: prompt 1, character 1")


def test_an_answer_that_does_not_end_is_found() -> None:
    engine = Engine()
    engine.completion = [9, 10, 11, 12]
    with served(engine) as url:
        found = parity.compare(REFERENCE, url)
    assert failed(found) == ["greedy_ids"]
    assert "2 expected, 11 found" in found.first_difference


def test_a_difference_says_how_close_it_was() -> None:
    engine = Engine()
    engine.completion = [9, 11]
    with served(engine) as url:
        found = parity.compare(REFERENCE, url)
    assert "led the second by 0.010 nats (a tie, which rounding decides)" in found.first_difference


def test_errors_of_engines_are_told() -> None:
    engine = Engine()
    engine.raw = b"<html>"
    with served(engine) as url, pytest.raises(ProviderError, match="JSON"):
        parity.compare(REFERENCE, url, level="greedy")
    with pytest.raises(ProviderUnreachable):
        parity.compare(REFERENCE, "http://127.0.0.1:9")


@pytest.mark.parametrize("text", ["", "{}", '{"prompts": []}', '{"prompts": [{}]}', "[1]"])
def test_a_damaged_reference_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text)
    with pytest.raises(UsageProblem, match="no reference"):
        parity.read_reference(path)
    with pytest.raises(UsageProblem, match="no reference"):
        parity.read_reference(tmp_path / "missing.json")


def test_without_an_engine_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(tmp_path / "missing"))
    assert llama.find_server() is None
    (tmp_path / "gguf").mkdir()
    assert parity.check_exports(tmp_path)["reason"] == "no GGUF file was made"
    (tmp_path / "gguf/model-f16.gguf").write_bytes(b"GGUF")
    found = parity.check_exports(tmp_path)
    assert found["ok"] is None
    assert "no llama-server" in found["reason"]

    def refuses(*_: Any) -> parity.Parity:
        raise UsageProblem("This file can be compared by an engine alone")

    (tmp_path / "reference.json").write_text(json.dumps(REFERENCE))
    found = parity.check_exports(tmp_path, refuses)
    assert found["ok"] is None
    assert "an engine alone" in found["reason"]
    assert json.loads((tmp_path / "parity.json").read_text()) == found


@pytest.mark.parametrize("model", ["plain", "tied", "adapter", "bos", "fallback"])
def test_llama_server_agrees_with_what_was_trained(model: str) -> None:
    """Byte-level and SentencePiece forms, BOS twice over, tied weights, Llama 3's rope scaling."""
    server, folder = llama_server(), exported()[0] / "out" / model
    reference = parity.read_reference(folder / "reference.json")
    found = parity.check_gguf(folder / "gguf/model-f32.gguf", reference, server)
    assert found.ok, found.first_difference
    assert {"token_ids", "greedy_ids"} <= {check.name for check in found.checks}


def test_quantised_files_have_the_same_tokens_and_say_where_answers_part() -> None:
    server, folder = llama_server(), exported()[0] / "out/plain"
    reference = parity.read_reference(folder / "reference.json")
    found = parity.check_gguf(folder / "gguf/model-q8_0.gguf", reference, server)
    by_name = {check.name: check for check in found.checks}
    assert by_name["template"].ok
    assert by_name["token_ids"].ok
    assert not by_name["greedy_ids"].ok  # random weights: eight bits turn their near-ties over
    assert "led the second by" in found.first_difference


def test_without_an_engine_the_files_are_read_back() -> None:
    """The exports ran without one: they hold what another reader made of them."""
    folder = exported()[0] / "out"

    def results(model: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / model / "parity.json").read_text())
        return found

    by_file = {each["file"]: each for each in results("plain")["results"]}
    assert by_file["model-f32.gguf"]["ok"]
    assert by_file["model-f32.gguf"]["level"] == "file"
    assert not by_file["model-q8_0.gguf"]["ok"]
    assert results("plain")["ok"] is False
    assert results("tied")["ok"] is True
    for model in ("bos", "fallback"):  # the reader knows neither rope scaling nor this tokenizer
        assert results(model)["ok"] is None
        assert "no llama-server" in results(model)["reason"]


def test_a_wrong_file_is_caught_by_the_real_engine(tmp_path: Path) -> None:
    server, folder = llama_server(), exported()[0] / "out"
    reference = parity.read_reference(folder / "bos/reference.json")
    found = parity.check_gguf(folder / "fallback/gguf/model-f32.gguf", reference, server)
    assert "token_ids" in failed(found)
    broken = tmp_path / "model-f16.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ProviderUnreachable, match="ended before it was ready"):
        parity.check_gguf(broken, reference, server)
