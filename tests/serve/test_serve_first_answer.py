"""What a server says when it is asked first: nobody there, a key wanted, nothing but silence."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.record import names
from llmops_kernel.serve.servers.attaching import attach, model_at
from llmops_kernel.serve.servers.ready import Caller
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import key_of, look
from llmops_kernel.serve.servers.wanted import Wanted

Liar = Callable[..., Path]
NOBODY = "http://127.0.0.1:9/v1"


@contextmanager
def answering(
    message: dict[str, Any] | None, *, models: int = 200, key: str = "", guarded: bool = True
) -> Iterator[str]:
    """A server whose every answer is this message; ``models`` is the status of its list."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _json(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if key and guarded and self.headers.get("Authorization") != f"Bearer {key}":
                self._json(401, {"error": "a key, please"})
            else:
                self._json(models, {"data": [{"id": "org/model-7b"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if key and self.headers.get("Authorization") != f"Bearer {key}":
                self._json(403, {"error": "a key, please"})
                return
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(200, {"choices": [choice]})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


GOOD = {"role": "assistant", "content": "Good day"}


@pytest.mark.parametrize("model", ["", "m"])
def test_nobody_at_a_url_is_told_as_that(model: str) -> None:
    with pytest.raises(EngineFailed, match="No server answers there") as caught:
        attach("mine", NOBODY, model=model)
    assert "refused" in caught.value.detail.lower()
    assert "127.0.0.1:9" in caught.value.detail
    assert names() == []
    with pytest.raises(EngineFailed, match="No server answers there"):
        model_at(Caller(NOBODY), model)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("model", ["", "org/model-7b"])
def test_a_server_that_wants_a_key_is_told_as_that(
    guarded: bool, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some list their models to everybody and ask for the key of a completion only."""
    monkeypatch.setenv("ITS_KEY", "wrong")
    with answering(GOOD, key="right", guarded=guarded) as url:
        with pytest.raises(EngineFailed, match="asks for a key") as caught:
            attach("mine", url, model=model)
        assert "--key-env" in caught.value.hint
        with pytest.raises(EngineFailed, match="refuses the key"):
            attach("mine", url, model=model, key_env="ITS_KEY")
        assert "wrong" not in caught.value.sentence()
        assert names() == []
        monkeypatch.setenv("ITS_KEY", "right")
        assert attach("mine", url, model=model, key_env="ITS_KEY").record.model == "org/model-7b"


def test_a_variable_without_a_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ITS_KEY", raising=False)
    with answering(GOOD) as url, pytest.raises(UsageProblem, match="holds no key"):
        attach("mine", url, key_env="ITS_KEY")


def test_a_server_that_lists_no_models_can_be_attached_by_name() -> None:
    with answering(GOOD, models=404) as url:
        with pytest.raises(UsageProblem, match="not clear") as caught:
            attach("mine", url)
        assert "HTTP 404" in caught.value.detail
        assert attach("mine", url, model="theirs").record.model == "theirs"


def test_an_attached_server_is_shown_by_its_model_and_claims_nothing() -> None:
    with answering(GOOD) as url:
        made = attach("mine", url).record
        facts = look("mine").as_json()
    assert facts["model"] == "org/model-7b"
    assert made.capabilities["batches"] is False


@pytest.mark.parametrize("content", ["", None])
def test_silence_is_no_answer(content: str | None) -> None:
    with answering({"role": "assistant", "content": content}) as url:
        with pytest.raises(EngineFailed, match="answers nothing") as caught:
            attach("mine", url)
        assert caught.value.hint
    assert names() == []


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_model_that_still_thinks_is_not_silent(name: str) -> None:
    with answering({"role": "assistant", "content": None, name: "The user says"}) as url:
        assert attach("mine", url).fresh


def test_an_engine_that_is_silent_is_not_registered(liar: Liar) -> None:
    with pytest.raises(EngineFailed, match="answers nothing"):
        start_server(str(liar("silent")), wanted=Wanted(wait_s=20.0))
    assert names() == []


def test_one_silent_answer_is_none_of_a_silent_engine(liar: Liar) -> None:
    """A model may have learnt to say nothing to a greeting."""
    record = start_server(str(liar("shy")), wanted=Wanted(wait_s=20.0)).record
    caller = Caller(record.replicas[0].url, key_of(record))
    assert caller.complete("model", [{"role": "user", "content": "Hello"}]) == ""
