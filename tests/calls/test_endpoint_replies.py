"""What the endpoint answers over real HTTP: replies, streams, errors, people who leave."""

import asyncio
import http.client
import json
import logging
import socket
import threading

import pytest
from endpoint_desk import CHAT, ask
from stub_upstream import HANG, Answer, chunk, completion, stream, usage_chunk

from llmops_kernel.errors import (
    BudgetExceeded,
    GuardBlocked,
    LLMOpsError,
    LoopDetected,
    MissingExtra,
    ProviderUnreachable,
    SpendingStopped,
    StoreError,
    UnknownModel,
    UnknownPrice,
)

BUDGET = BudgetExceeded(
    "The day's budget is used up",
    scope="user",
    window="day",
    book="real",
    limit=1,
    spent=1,
    held=0,
    needed=1,
    hint="Raise it with %budget raise",
)


# ---- replies --------------------------------------------------------------------------------


def test_a_whole_reply(served):
    answered = ask(served, body={**CHAT, "n": 2, "top_k": 3})
    assert answered.status == 200
    texts = [choice["message"]["content"] for choice in answered.body["choices"]]
    assert texts == ["Answer 1 to: Hi", "Answer 2 to: Hi"]
    assert answered.body["usage"]["total_tokens"] == 10
    assert answered.body["llmops"] == {
        "simulated": False,
        "cached": False,
        "usd_nano": 1_234_567,
        "estimated": False,
    }
    assert answered.headers["x-llmops-usd"] == "0.001234567"
    assert answered.headers["x-llmops-book"] == "real"
    assert answered.headers["x-llmops-cached"] == "false"
    assert answered.headers["x-llmops-trace-id"] == "trace-1"
    assert answered.headers["x-request-id"] == "call-1"
    assert served.stub.requests[0].body["top_k"] == 3
    assert served.stub.requests[0].headers["Authorization"] == "Bearer sk-provider-key"


def test_embeddings_pass_as_they_are(served):
    body = {"model": "e", "input": [[64, 65], [66]], "encoding_format": "base64"}
    answered = ask(served, "/v1/embeddings", body=body)
    assert answered.status == 200
    assert all(isinstance(item["embedding"], str) for item in answered.body["data"])
    assert answered.body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert served.stub.requests[0].body["input"] == [[64, 65], [66]]
    assert ask(served, "/v1/embeddings", body={"model": "e", "input": []}).status == 400


def test_a_stream_hides_the_usage_nobody_asked_for(served):
    answered = ask(served, body={**CHAT, "stream": True})
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.headers["x-llmops-trace-id"] == "trace-1"
    *events, done = answered.events
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert all("usage" not in part and part["choices"] for part in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert served.stub.requests[0].body["stream_options"] == {"include_usage": True}
    assert served.door.outcomes[0].reply.usage.input_tokens == 7  # metering saw it


def test_the_usage_comes_once_to_who_asked(served):
    asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    served.stub.script(
        stream(chunk("a"), chunk(None, "stop", usage=usage_chunk()["usage"]), usage_chunk()),
        stream(chunk("a", "stop")),  # this provider sends none
    )
    for prompt_tokens, estimated in ((7, False), (5, True)):
        events = ask(served, body=asked).events
        chunks = [json.loads(event) for event in events[:-1]]
        assert [part for part in chunks if "usage" in part] == [chunks[-1]]
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["id"] == chunks[0]["id"]
        assert chunks[-1]["usage"]["prompt_tokens"] == prompt_tokens
        assert chunks[-1]["llmops"]["estimated"] is estimated
        assert chunks[-1]["llmops"]["usd_nano"] == 1_234_567


def test_a_cut_stream_ends_by_length(served):
    served.door.cut_after = 3
    served.stub.script(stream(*[chunk("word ", index=n % 2) for n in range(50)]))
    *events, done = ask(served, body={**CHAT, "stream": True}).events
    chunks = [json.loads(event) for event in events]
    assert len(chunks) == 4
    assert [c["finish_reason"] for c in chunks[-1]["choices"]] == ["length", "length"]
    assert done == "[DONE]"
    assert served.door.outcomes[0].ending == "cut"


def test_a_stream_that_breaks_off_says_so(served):
    problem = {"error": {"message": "overloaded", "type": "server_error"}}
    served.stub.script(
        stream(chunk("a"), done=False),
        stream(chunk("a"), problem),
        stream(chunk("a"), done=False, end="reset"),
    )
    for _ in range(3):
        *_, last = ask(served, body={**CHAT, "stream": True}).events
        assert json.loads(last)["error"]["code"] == "provider_error"
    assert [outcome.ending for outcome in served.door.outcomes] == ["truncated"] * 3


def test_an_error_before_the_first_chunk_has_a_status(served):
    served.stub.script(
        Answer(status=429, headers={"Retry-After": "7"}, body={"error": {"message": "slow down"}}),
        stream({"error": {"message": "no"}}),
    )
    limited = ask(served, body={**CHAT, "stream": True})
    assert (limited.status, limited.error["message"]) == (429, "slow down")
    assert limited.headers["retry-after"] == "7"
    assert "x-should-retry" not in limited.headers
    failed = ask(served, body={**CHAT, "stream": True})
    assert failed.status == 502
    assert failed.headers["x-should-retry"] == "false"


# ---- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (BUDGET, 402, "false"),
        (LoopDetected("again and again"), 402, "false"),
        (SpendingStopped("stopped"), 402, "false"),
        (StoreError("locked"), 503, "false"),
        (GuardBlocked("no"), 403, "false"),
        (UnknownModel("which?"), 404, "false"),
        (UnknownPrice("how much?"), 400, "false"),
        (MissingExtra("rag", "chromadb"), 501, "false"),
        (ProviderUnreachable("no network", dispatched=False), 502, None),
        (LLMOpsError("odd"), 500, "false"),
    ],
)
def test_every_error_has_its_status(served, error, status, retry):
    served.door.error = error
    for path, body in (
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/responses", {"model": "m", "input": "Hi"}),
        ("/v1/embeddings", {"model": "m", "input": "Hi"}),
    ):
        answered = ask(served, path, body=body)
        assert answered.status == status
        assert answered.body == error.body()
        assert answered.headers.get("x-should-retry") == retry
        assert f"[llmops:{error.code}]" in answered.error["message"]


@pytest.mark.parametrize(
    ("upstream", "status"),
    [(400, 400), (401, 401), (403, 401), (404, 404), (408, 504), (422, 422), (500, 502), (503, 502),
     (504, 504)],
)  # fmt: skip
def test_what_the_provider_said(served, upstream, status):
    body = {"error": {"message": "theirs", "type": "t", "param": "p", "code": "c"}}
    served.stub.script(Answer(status=upstream, body=body))
    answered = ask(served, body=CHAT)
    assert answered.status == status
    theirs = answered.body == body
    assert theirs is (upstream in {400, 404, 422})


def test_a_fault_of_ours_is_told_without_its_content(served, caplog):
    served.door.error = RuntimeError("secret prompt")
    with caplog.at_level(logging.ERROR):
        answered = ask(served, body=CHAT)
    assert answered.status == 500
    assert "secret prompt" not in answered.raw.decode()
    assert answered.headers["x-should-retry"] == "false"
    assert "A call at the endpoint failed" in caplog.text


# ---- people who leave -----------------------------------------------------------------------


def _leave_in_the_middle(served, body, path="/v1/chat/completions"):
    raw = json.dumps(body).encode()
    port = int(served.info.base_url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n"
            f"Authorization: Bearer {served.info.token}\r\n\r\n".encode()
            + raw
        )
        if body.get("stream"):
            assert sock.recv(100)
        else:
            _until(lambda: served.stub.requests)


def _until(condition):
    waited = threading.Event()
    for _ in range(500):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_who_leaves_a_stream_cancels_it(served, path):
    served.stub.script(stream(chunk("a"), done=False, end="hang"))
    body = {**CHAT, "stream": True, "input": "Hi"}
    if path == "/v1/responses":
        del body["messages"]
    _leave_in_the_middle(served, body, path)
    assert served.stub.left.wait(10)
    _until(lambda: served.door.outcomes)
    assert served.door.outcomes[0].ending == "cancelled"
    assert served.door.outcomes[0].reply.text == "a"


def test_who_leaves_a_call_cancels_it(served):
    served.stub.script(HANG)
    _leave_in_the_middle(served, CHAT)
    assert served.stub.left.wait(10)


def test_stopping_cancels_what_is_in_flight(served):
    served.stub.script(HANG)
    statuses = []

    def call():
        try:
            statuses.append(ask(served, body=CHAT).status)
        except (http.client.HTTPException, OSError) as error:
            statuses.append(type(error).__name__)

    thread = threading.Thread(target=call)
    thread.start()
    _until(lambda: served.stub.requests)
    served.endpoint.stop()
    thread.join(10)
    assert served.stub.left.wait(10)
    assert statuses
    assert statuses != [200]


async def test_many_at_once(served):
    served.stub.script(*[Answer(body=completion(), delay=0.05)] * 40)
    answers = await asyncio.gather(*(asyncio.to_thread(ask, served, body=CHAT) for _ in range(40)))
    assert [answered.status for answered in answers] == [200] * 40
    assert len({answered.headers["x-request-id"] for answered in answers}) == 40
