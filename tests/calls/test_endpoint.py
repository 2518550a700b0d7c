"""The endpoint over real HTTP: access, shapes, errors, streams, people who leave."""

import asyncio
import gzip
import http.client
import json
import logging
import os
import socket
import threading

import pytest
from stub_door import serving
from stub_upstream import HANG, Answer, chunk, completion, stream, usage_chunk

from llmops_kernel.calls.endpoint import Endpoint
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.errors import (
    BudgetExceeded,
    GuardBlocked,
    LLMOpsError,
    LoopDetected,
    MissingExtra,
    ProviderUnreachable,
    SettingsError,
    SpendingStopped,
    StoreError,
    UnknownModel,
    UnknownPrice,
    UsageProblem,
)

CHAT = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
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


@pytest.fixture
def served():
    with serving() as served:
        yield served


class Answered:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.raw = response.read()

    @property
    def body(self):
        return json.loads(self.raw)

    @property
    def error(self):
        return self.body["error"]

    @property
    def events(self):
        return [part.removeprefix("data: ") for part in self.raw.decode().split("\n\n") if part]


def _connect(served):
    host, port = served.info.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=20)


def _ask(served, path="/v1/chat/completions", body=None, method=None, **headers):
    connection = _connect(served)
    sent = {"Authorization": f"Bearer {served.info.token}"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    if not isinstance(body, bytes | None):
        body = json.dumps(body).encode()
    try:
        connection.request(method or ("POST" if body is not None else "GET"), path, body, sent)
        return Answered(connection.getresponse())
    finally:
        connection.close()


# ---- starting and stopping ------------------------------------------------------------------


def test_what_the_environment_needs(served):
    info = served.info
    assert info.base_url.startswith("http://127.0.0.1:")
    assert info.base_url.endswith("/v1")
    assert info.token.startswith("llmops-")
    assert info.env() == {
        "OPENAI_BASE_URL": info.base_url,
        "OPENAI_API_BASE": info.base_url,
        "OPENAI_API_KEY": info.token,
    }
    assert info.token not in repr(info)
    assert served.endpoint.start() is info  # a second start changes nothing


def test_stop_frees_the_port_and_start_takes_it_again(served):
    port = int(served.info.base_url.split(":")[2].split("/")[0])
    served.endpoint.stop()
    served.endpoint.stop()
    assert not served.endpoint.running
    with pytest.raises(UsageProblem):
        _ = served.endpoint.info
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    again = Endpoint(served.door, served.loop, port=port)
    assert again.start().base_url == f"http://127.0.0.1:{port}/v1"
    again.stop()


def test_a_taken_port_and_a_bad_address_are_clear():
    loop = BackgroundLoop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SettingsError, match="cannot listen"):
            Endpoint(None, loop, port=taken.getsockname()[1]).start()
    for host, port in (("203.0.113.1", 0), ("127.0.0.1", 99_999)):
        with pytest.raises(SettingsError, match="cannot listen"):
            Endpoint(None, loop, host=host, port=port).start()
    assert not loop.running


def test_stopping_after_the_loop_is_harmless():
    with serving() as served:
        served.loop.stop()
        served.endpoint.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_parents_endpoint_alone(served):
    assert _ask(served, body=CHAT).status == 200
    child = os.fork()
    if child == 0:
        code = 1
        try:
            served.endpoint.stop()
            served.loop.run(served.door.upstream.close())
            served.loop.stop()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert _ask(served, body=CHAT).status == 200


# ---- access ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x", "Bearer ä\udcff"]
)
def test_a_token_is_needed(served, value):
    value = value.format(token=served.info.token)
    answered = _ask(served, body=CHAT, Authorization=value.encode("utf-8", "surrogateescape"))
    assert answered.status == 401
    assert answered.error["code"] == "invalid_api_key"
    assert served.info.token not in answered.raw.decode()
    assert served.door.calls == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_hosts_are_refused(served, host):
    for path in ("/v1/models", "/healthz"):
        answered = _ask(served, path, Host=host)
        assert answered.status == 403
        assert answered.error["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8080"])
def test_loopback_names_are_fine(served, host):
    assert _ask(served, "/v1/models", Host=host).status == 200


def test_a_gateway_has_names_of_its_own():
    with serving(hosts=["Gateway.Team"], token="llmops-shared", trust_user=True) as served:
        assert served.info.token == "llmops-shared"
        answered = _ask(served, body=CHAT, Host="gateway.team:4000", x_llmops_user="ada")
        assert answered.status == 200
        assert served.door.calls[0][1].user == "ada"


def test_a_page_in_a_browser_gets_no_permission(served):
    answered = _ask(
        served,
        "/v1/chat/completions",
        method="OPTIONS",
        Authorization="",
        Origin="https://evil.example",
        Access_Control_Request_Method="POST",
    )
    assert answered.status == 401
    assert not any(name.startswith("access-control") for name in answered.headers)


def test_callers_can_say_where_they_are(served):
    _ask(served, body=CHAT, x_llmops_run="r1", x_llmops_notebook="a%2Fb.ipynb", x_llmops_cell="c9")
    key = served.info.env(run="r 2", notebook="ü,=:x.ipynb")["OPENAI_API_KEY"]
    _ask(served, body=CHAT, Authorization=f"Bearer {key}")
    _ask(served, body=CHAT, x_llmops_user="root")
    first, second, third = (context for _, context in served.door.calls)
    assert (first.run_id, first.notebook, first.cell_id) == ("r1", "a/b.ipynb", "c9")
    assert (second.run_id, second.notebook) == ("r 2", "ü,=:x.ipynb")
    assert third.user == ""  # only a team's gateway believes that
    assert first.purpose == "external"


@pytest.mark.parametrize("told", ["who=me", "user=root", "run=%00", "run", "run=" + "x" * 400])
def test_malformed_names_are_refused(served, told):
    answered = _ask(served, body=CHAT, Authorization=f"Bearer {served.info.token}:{told}")
    assert answered.status == 400
    assert answered.error["code"] == "invalid_name"


# ---- paths ----------------------------------------------------------------------------------


def test_health_needs_no_token(served):
    assert _ask(served, "/healthz", Authorization="").body == {"status": "ok"}


def test_models(served):
    listed = _ask(served, "/v1/models").body
    assert [model["id"] for model in listed["data"]] == served.door.models()
    for path in ("/v1/models/offline/extractive", "/v1/models/offline%2Fextractive"):
        assert _ask(served, path).body["id"] == "offline/extractive"
    missing = _ask(served, "/v1/models/gpt-4o-mimi")
    assert missing.status == 404
    assert "gpt-4o-mini" in missing.error["message"]


@pytest.mark.parametrize(
    "path",
    ["/v1/images/generations", "/v1/audio/speech", "/v1/completions", "/", "/v1/responses/r"],
)
def test_what_cannot_be_metered_is_refused(served, path):
    answered = _ask(served, path, body={"model": "m"})
    assert answered.status == 404
    assert answered.error["code"] == "not_metered"
    assert "metered" in answered.error["message"]


def test_paths_without_v1_and_with_a_slash(served):
    assert _ask(served, "/chat/completions", body=CHAT).status == 200
    assert _ask(served, "/v1/chat/completions/", body=CHAT).status == 200


def test_wrong_methods(served):
    for path, method, allowed in (
        ("/v1/chat/completions", "GET", "POST"),
        ("/v1/models", "POST", "GET"),
        ("/v1/models/small", "DELETE", "GET"),
    ):
        answered = _ask(served, path, method=method)
        assert answered.status == 405
        assert answered.headers["allow"] == allowed


# ---- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff", None),
        (b"[]", None),
        (b'{"model": "m", "messages": NaN}', None),
        (b"[" * 200_000, None),
        (b"1" * 5000, None),
        ({"messages": CHAT["messages"]}, "model"),
        ({**CHAT, "model": 4}, "model"),
        ({**CHAT, "messages": []}, "messages"),
        ({**CHAT, "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({**CHAT, "max_tokens": -1}, "max_tokens"),
        ({**CHAT, "stream": "yes"}, "stream"),
        ({**CHAT, "tools": {}}, "tools"),
    ],
)
def test_malformed_requests(served, body, param):
    answered = _ask(served, body=body)
    assert answered.status == 400
    assert answered.error["type"] == "invalid_request_error"
    assert answered.error["param"] == param
    assert answered.headers["x-should-retry"] == "false"
    assert served.door.calls == []


def test_bodies_are_bounded():
    with serving(max_bytes=10_000) as served:
        big = {**CHAT, "user": "x" * 20_000}
        packed = gzip.compress(json.dumps(big).encode())
        answers = [_ask(served, body=big), _ask(served, body=packed, Content_Encoding="gzip")]
        connection = _connect(served)
        headers = {"Authorization": f"Bearer {served.info.token}"}
        pieces = iter([b"x" * 1000] * 12)
        connection.request("POST", "/v1/chat/completions", pieces, headers, encode_chunked=True)
        answers.append(Answered(connection.getresponse()))
        connection.close()
        for answered in answers:
            assert answered.status == 413
            assert answered.error["code"] == "request_too_large"
        assert _ask(served, body=CHAT).status == 200


def test_a_body_that_is_not_what_it_says_is_400(served):
    answered = _ask(served, body=b"not gzip at all", Content_Encoding="gzip")
    assert answered.status == 400
    assert answered.error["type"] == "invalid_request_error"


def test_curl_waits_for_continue(served):
    body = json.dumps(CHAT).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {served.info.token}\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    port = int(served.info.base_url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 100 Continue")
        raw.sendall(body)
        assert b"200 OK" in raw.recv(4000)


# ---- replies --------------------------------------------------------------------------------


def test_a_whole_reply(served):
    answered = _ask(served, body={**CHAT, "n": 2, "top_k": 3})
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
    answered = _ask(served, "/v1/embeddings", body=body)
    assert answered.status == 200
    assert all(isinstance(item["embedding"], str) for item in answered.body["data"])
    assert answered.body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert served.stub.requests[0].body["input"] == [[64, 65], [66]]
    assert _ask(served, "/v1/embeddings", body={"model": "e", "input": []}).status == 400


def test_a_stream_hides_the_usage_nobody_asked_for(served):
    answered = _ask(served, body={**CHAT, "stream": True})
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
        events = _ask(served, body=asked).events
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
    *events, done = _ask(served, body={**CHAT, "stream": True}).events
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
        *_, last = _ask(served, body={**CHAT, "stream": True}).events
        assert json.loads(last)["error"]["code"] == "provider_error"
    assert [outcome.ending for outcome in served.door.outcomes] == ["truncated"] * 3


def test_an_error_before_the_first_chunk_has_a_status(served):
    served.stub.script(
        Answer(status=429, headers={"Retry-After": "7"}, body={"error": {"message": "slow down"}}),
        stream({"error": {"message": "no"}}),
    )
    limited = _ask(served, body={**CHAT, "stream": True})
    assert (limited.status, limited.error["message"]) == (429, "slow down")
    assert limited.headers["retry-after"] == "7"
    assert "x-should-retry" not in limited.headers
    failed = _ask(served, body={**CHAT, "stream": True})
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
        answered = _ask(served, path, body=body)
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
    answered = _ask(served, body=CHAT)
    assert answered.status == status
    theirs = answered.body == body
    assert theirs is (upstream in {400, 404, 422})


def test_a_fault_of_ours_is_told_without_its_content(served, caplog):
    served.door.error = RuntimeError("secret prompt")
    with caplog.at_level(logging.ERROR):
        answered = _ask(served, body=CHAT)
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

    def ask():
        try:
            statuses.append(_ask(served, body=CHAT).status)
        except (http.client.HTTPException, OSError) as error:
            statuses.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    _until(lambda: served.stub.requests)
    served.endpoint.stop()
    thread.join(10)
    assert served.stub.left.wait(10)
    assert statuses
    assert statuses != [200]


async def test_many_at_once(served):
    served.stub.script(*[Answer(body=completion(), delay=0.05)] * 40)
    answers = await asyncio.gather(*(asyncio.to_thread(_ask, served, body=CHAT) for _ in range(40)))
    assert [answered.status for answered in answers] == [200] * 40
    assert len({answered.headers["x-request-id"] for answered in answers}) == 40
