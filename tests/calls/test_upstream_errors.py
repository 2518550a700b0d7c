"""Providers that refuse, fail, stall or vanish."""

import socket

import pytest
from stub_upstream import (
    HANG,
    RESET,
    Answer,
    chunk,
    stream,
)
from upstream_desk import KEY, chat, context_of, parts_of

from llmops_kernel.errors import (
    AuthMissing,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"choices": 4}', b'{"choices": [1]}', b"\xff\xfe{",
     b'{"choices": [{"message": "x"}]}', b'{"choices": [], "x": NaN}', b"[" * 100_000,
     b'{"choices": [{"message": {"tool_calls": 5}}]}', b'{"error": "no credit"}'],
)  # fmt: skip
async def test_a_200_that_is_no_completion(stub, upstream, body):
    stub.script(Answer(body=body))
    with pytest.raises(ProviderError) as caught:
        await upstream(chat(), context_of(stub))
    assert caught.value.dispatched
    assert caught.value.status == 502


async def test_an_error_told_as_200_is_passed_on(stub, upstream):
    stub.script(Answer(body={"error": {"message": "model is sleeping", "code": 503}}))
    with pytest.raises(ProviderError) as caught:
        await upstream(chat(), context_of(stub))
    assert caught.value.detail == "model is sleeping"
    assert caught.value.upstream_body == {"error": {"message": "model is sleeping", "code": 503}}


@pytest.mark.parametrize(
    ("status", "kind", "dispatched"),
    [
        (400, ProviderError, False),
        (401, AuthMissing, False),
        (403, AuthMissing, False),
        (404, ProviderError, False),
        (408, ProviderTimeout, True),
        (422, ProviderError, False),
        (429, RateLimited, False),
        (500, ProviderError, False),
        (502, ProviderError, True),
        (503, ProviderError, False),
        (504, ProviderTimeout, True),
        (524, ProviderError, True),
        (307, ProviderError, False),
    ],
)
async def test_statuses(stub, upstream, status, kind, dispatched):
    error = {"error": {"message": f"no: {KEY}", "type": "t", "code": "c", "param": None}}
    headers = {"Retry-After": "7", "Location": "https://else.where/x?key=1"}
    stub.script(Answer(status=status, body=error, headers=headers))
    with pytest.raises(ProviderError) as caught:
        await upstream(chat(), context_of(stub))
    found = caught.value
    assert type(found) is kind
    assert (found.upstream_status, found.dispatched) == (status, dispatched)
    assert found.retry_after == 7
    assert KEY not in parts_of(found)
    if status == 401:
        assert found.upstream_body is None
        assert "STUB_KEY" in found.hint
    elif status == 307:
        assert "https://else.where/x" in found.detail
        assert "key=1" not in found.detail
        assert len(stub.requests) == 1
    else:
        assert found.upstream_body["error"]["message"] == "no: ***"


async def test_other_error_bodies_get_openais_shape(stub, upstream):
    stub.script(
        Answer(status=404, body={"detail": "Not Found"}),
        Answer(status=404, body=b"<html>"),
        Answer(status=400, body={"object": "error", "message": "too long", "code": 400}),
        Answer(status=400, end="reset", body=b"{"),
    )
    bodies, details = [], []
    for _ in range(4):
        with pytest.raises(ProviderError) as caught:
            await upstream(chat(), context_of(stub))
        bodies.append((caught.value.upstream_body or {}).get("error", {}).get("message"))
        details.append(caught.value.detail)
    assert bodies == ["Not Found", None, "too long", None]
    assert details[0] == "stub: HTTP 404: Not Found"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "-4"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "9", "retry-after-ms": "250"}, 0.25),
    ],
)
async def test_retry_after(stub, upstream, headers, seconds):
    stub.script(Answer(status=429, headers={**headers, "x-should-retry": "false"}))
    with pytest.raises(RateLimited) as caught:
        await upstream(chat(), context_of(stub))
    assert caught.value.retry_after == seconds
    assert caught.value.should_retry is False


async def test_nothing_listens(stub, upstream):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    context = context_of(stub, base_url=f"http://user:{KEY}@127.0.0.1:{port}/v1")
    with pytest.raises(ProviderUnreachable) as caught:
        await upstream(chat(), context)
    assert not caught.value.dispatched
    assert KEY not in parts_of(caught.value)


async def test_unknown_names_plain_http_behind_tls_and_bad_urls(stub, upstream):
    bad = [
        "http://no-such-host.invalid/v1",
        f"https://127.0.0.1:{stub.port}/v1",
        "not a url",
        "ftp://127.0.0.1/v1",
    ]
    for base_url in bad:
        with pytest.raises(ProviderUnreachable) as caught:
            await upstream(chat(), context_of(stub, base_url=base_url))
        assert not caught.value.dispatched, base_url
    assert stub.requests == []


async def test_disconnects_and_stalls_are_dispatched(stub, upstream):
    stub.script(
        RESET,
        Answer(body=b'{"choices": [', end="reset"),
        stream(chunk("a"), done=False, end="reset"),
    )
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            await upstream(chat(), context_of(stub))
        assert caught.value.dispatched
        assert caught.value.upstream_status is None
    opened = await upstream(chat(stream=True), context_of(stub))
    with pytest.raises(ProviderError, match="broke off"):
        await opened.collect()

    stub.script(HANG, stream(chunk("a"), done=False, end="hang"))
    with pytest.raises(ProviderTimeout) as slow:
        await upstream(chat(), context_of(stub, timeout_s=0.1))
    assert slow.value.dispatched
    opened = await upstream(chat(stream=True), context_of(stub, timeout_s=0.1))
    outcomes = []
    await opened.observed(outcomes.append)
    with pytest.raises(ProviderTimeout):
        await opened.collect()
    assert outcomes[0].ending == "truncated"
    assert outcomes[0].reply.text == "a"
