"""The endpoint over real HTTP: its address, who may come in, what it takes."""

import gzip
import json
import os
import socket

import pytest
from endpoint_desk import CHAT, Answered, ask, connect
from stub_door import serving

from llmops_kernel.calls.endpoint import Endpoint
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.errors import (
    SettingsError,
    UsageProblem,
)

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
    assert ask(served, body=CHAT).status == 200
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
    assert ask(served, body=CHAT).status == 200


# ---- access ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x", "Bearer ä\udcff"]
)
def test_a_token_is_needed(served, value):
    value = value.format(token=served.info.token)
    answered = ask(served, body=CHAT, Authorization=value.encode("utf-8", "surrogateescape"))
    assert answered.status == 401
    assert answered.error["code"] == "invalid_api_key"
    assert served.info.token not in answered.raw.decode()
    assert served.door.calls == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_hosts_are_refused(served, host):
    for path in ("/v1/models", "/healthz"):
        answered = ask(served, path, Host=host)
        assert answered.status == 403
        assert answered.error["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8080"])
def test_loopback_names_are_fine(served, host):
    assert ask(served, "/v1/models", Host=host).status == 200


def test_a_gateway_has_names_of_its_own():
    with serving(hosts=["Gateway.Team"], token="llmops-shared", trust_user=True) as served:
        assert served.info.token == "llmops-shared"
        answered = ask(served, body=CHAT, Host="gateway.team:4000", x_llmops_user="ada")
        assert answered.status == 200
        assert served.door.calls[0][1].user == "ada"


def test_a_page_in_a_browser_gets_no_permission(served):
    answered = ask(
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
    ask(served, body=CHAT, x_llmops_run="r1", x_llmops_notebook="a%2Fb.ipynb", x_llmops_cell="c9")
    key = served.info.env(run="r 2", notebook="ü,=:x.ipynb")["OPENAI_API_KEY"]
    ask(served, body=CHAT, Authorization=f"Bearer {key}")
    ask(served, body=CHAT, x_llmops_user="root")
    first, second, third = (context for _, context in served.door.calls)
    assert (first.run_id, first.notebook, first.cell_id) == ("r1", "a/b.ipynb", "c9")
    assert (second.run_id, second.notebook) == ("r 2", "ü,=:x.ipynb")
    assert third.user == ""  # only a team's gateway believes that
    assert first.purpose == "external"


@pytest.mark.parametrize("told", ["who=me", "user=root", "run=%00", "run", "run=" + "x" * 400])
def test_malformed_names_are_refused(served, told):
    answered = ask(served, body=CHAT, Authorization=f"Bearer {served.info.token}:{told}")
    assert answered.status == 400
    assert answered.error["code"] == "invalid_name"


# ---- paths ----------------------------------------------------------------------------------


def test_health_needs_no_token(served):
    assert ask(served, "/healthz", Authorization="").body == {"status": "ok"}


def test_models(served):
    listed = ask(served, "/v1/models").body
    assert [model["id"] for model in listed["data"]] == served.door.models()
    for path in ("/v1/models/offline/extractive", "/v1/models/offline%2Fextractive"):
        assert ask(served, path).body["id"] == "offline/extractive"
    missing = ask(served, "/v1/models/gpt-4o-mimi")
    assert missing.status == 404
    assert "gpt-4o-mini" in missing.error["message"]


@pytest.mark.parametrize(
    "path",
    ["/v1/images/generations", "/v1/audio/speech", "/v1/completions", "/", "/v1/responses/r"],
)
def test_what_cannot_be_metered_is_refused(served, path):
    answered = ask(served, path, body={"model": "m"})
    assert answered.status == 404
    assert answered.error["code"] == "not_metered"
    assert "metered" in answered.error["message"]


def test_paths_without_v1_and_with_a_slash(served):
    assert ask(served, "/chat/completions", body=CHAT).status == 200
    assert ask(served, "/v1/chat/completions/", body=CHAT).status == 200


def test_wrong_methods(served):
    for path, method, allowed in (
        ("/v1/chat/completions", "GET", "POST"),
        ("/v1/models", "POST", "GET"),
        ("/v1/models/small", "DELETE", "GET"),
    ):
        answered = ask(served, path, method=method)
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
    answered = ask(served, body=body)
    assert answered.status == 400
    assert answered.error["type"] == "invalid_request_error"
    assert answered.error["param"] == param
    assert answered.headers["x-should-retry"] == "false"
    assert served.door.calls == []


def test_bodies_are_bounded():
    with serving(max_bytes=10_000) as served:
        big = {**CHAT, "user": "x" * 20_000}
        packed = gzip.compress(json.dumps(big).encode())
        answers = [ask(served, body=big), ask(served, body=packed, Content_Encoding="gzip")]
        connection = connect(served)
        headers = {"Authorization": f"Bearer {served.info.token}"}
        pieces = iter([b"x" * 1000] * 12)
        connection.request("POST", "/v1/chat/completions", pieces, headers, encode_chunked=True)
        answers.append(Answered(connection.getresponse()))
        connection.close()
        for answered in answers:
            assert answered.status == 413
            assert answered.error["code"] == "request_too_large"
        assert ask(served, body=CHAT).status == 200


def test_a_body_that_is_not_what_it_says_is_400(served):
    answered = ask(served, body=b"not gzip at all", Content_Encoding="gzip")
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
