"""The upstream against a real server that misbehaves."""

import asyncio
import gzip
import json
import socket
import threading

import pytest
from stub_upstream import (
    HANG,
    RESET,
    Answer,
    StubUpstream,
    chunk,
    completion,
    stream,
    usage_chunk,
)

from llmops_kernel.calls import CallContext, ChatRequest, EmbeddingRequest
from llmops_kernel.calls.upstream import HTTPUpstream
from llmops_kernel.errors import (
    AuthMissing,
    BadRequest,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
    UnknownModel,
)

KEY = "sk-secret-0123456789"


@pytest.fixture
def stub():
    with StubUpstream() as stub:
        yield stub


@pytest.fixture
async def upstream():
    upstream = HTTPUpstream(lambda target: KEY if target.key_env else None)
    yield upstream
    await upstream.close()


def _chat(**fields):
    return ChatRequest.from_body(
        {"model": "small", "messages": [{"role": "user", "content": "Hi"}], **fields}
    )


def _context(stub, **changes):
    return CallContext("call-1", target=stub.target(**changes))


def _parts(error):
    return "\n".join(
        [error.sentence(), repr(error), json.dumps(error.body()), json.dumps(error.upstream_body)]
    )


async def test_a_whole_reply(stub, upstream):
    reply = await upstream(_chat(max_tokens=9, seed=3, top_k=5), _context(stub))
    assert reply.text == "Answer 1 to: Hi"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 3)
    assert (reply.provider, reply.model, reply.simulated) == ("stub", "stub-1", False)
    assert reply.extra == {"system_fingerprint": "fp_1"}
    seen = stub.requests[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.body["model"] == "stub-1"
    assert (seen.body["max_tokens"], seen.body["top_k"]) == (9, 5)
    assert "stream_options" not in seen.body


async def test_the_output_bound_has_the_name_the_provider_wants(stub, upstream):
    context = _context(stub, limit_field="max_completion_tokens")
    await upstream(_chat().with_(max_tokens=9), context)
    await upstream(_chat(max_tokens=8), context)  # the caller's own name stays
    assert "max_tokens" not in stub.requests[0].body
    assert stub.requests[0].body["max_completion_tokens"] == 9
    assert stub.requests[1].body["max_tokens"] == 8


async def test_odd_text_travels_unharmed(stub, upstream):
    odd = "ä 漢 🎈 \u2028 \ud800"
    request = ChatRequest.from_body({"model": "m", "messages": [{"role": "user", "content": odd}]})
    await upstream(request, _context(stub))
    assert stub.requests[0].body["messages"][0]["content"] == odd


async def test_large_requests_and_packed_replies(stub, upstream):
    packed = gzip.compress(json.dumps(completion("x" * 3_000_000)).encode())
    stub.script(Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    large = "y" * 3_000_000
    request = ChatRequest.from_body(
        {"model": "m", "messages": [{"role": "user", "content": large}]}
    )
    reply = await upstream(request, _context(stub))
    assert len(reply.text) == 3_000_000
    assert stub.requests[0].body["messages"][0]["content"] == large


async def test_embeddings_pass_through(stub, upstream):
    request = EmbeddingRequest.from_body(
        {"model": "e", "input": [[64, 65]], "encoding_format": "base64", "dimensions": 2}
    )
    reply = await upstream(request, _context(stub, model="stub-embed"))
    assert reply.kind == "embeddings"
    assert isinstance(reply.choices[0]["embedding"], str)
    assert reply.usage.input_tokens == 5
    seen = stub.requests[0]
    assert seen.path == "/v1/embeddings"
    assert seen.body == {
        "model": "stub-embed",
        "input": [[64, 65]],
        "encoding_format": "base64",
        "dimensions": 2,
    }


async def test_a_stream(stub, upstream):
    opened = await upstream(_chat(stream=True), _context(stub))
    chunks = [part async for part in opened]
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in chunks if p["choices"]) == (
        "Answer 1 to: Hi"
    )
    assert chunks[-1]["usage"]["prompt_tokens"] == 7
    assert opened.final.finish_reason == "stop"
    assert opened.final.usage.output_tokens == 3
    assert stub.requests[0].body["stream_options"] == {"include_usage": True}


async def test_other_stream_options_are_kept(stub, upstream):
    request = _chat(stream=True, stream_options={"include_usage": False, "include_obfuscation": 1})
    await (await upstream(request, _context(stub))).collect()
    assert stub.requests[0].body["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": 1,
    }


async def test_connections_are_reused(stub, upstream):
    context = _context(stub)
    for number in range(6):
        reply = await upstream(_chat(stream=bool(number % 2)), context)
        if number % 2:
            await reply.collect()
    connections = upstream._session.connector._conns
    assert sum(len(found) for found in connections.values()) == 1


async def _ending(opened):
    outcomes = []
    await opened.observed(outcomes.append)
    chunks = [part async for part in opened]
    return chunks, outcomes[0]


async def test_a_stream_without_an_end_is_truncated(stub, upstream):
    stub.script(stream(chunk("Half an"), chunk(" answ"), done=False))
    chunks, outcome = await _ending(await upstream(_chat(stream=True), _context(stub)))
    assert len(chunks) == 2
    assert outcome.ending == "truncated"
    assert outcome.reply.text == "Half an answ"


async def test_a_torn_last_event_is_a_truncation(stub, upstream):
    answer = stream(chunk("Half"), done=False)
    answer.pieces.append(b'data: {"id": "chatcm')
    stub.script(answer)
    chunks, outcome = await _ending(await upstream(_chat(stream=True), _context(stub)))
    assert (len(chunks), outcome.ending) == (1, "truncated")


async def test_done_without_a_finish_reason_is_complete(stub, upstream):
    stub.script(stream(chunk("One", index=0), chunk("Two", index=1)))
    _, outcome = await _ending(await upstream(_chat(stream=True), _context(stub)))
    assert outcome.ending == "complete"
    assert [choice["finish_reason"] for choice in outcome.reply.choices] == ["stop", "stop"]


async def test_the_service_tier_reaches_the_usage(stub, upstream):
    stub.script(
        Answer(body=completion(service_tier="flex")),
        stream(chunk("a", "stop"), {**usage_chunk(), "service_tier": "flex"}),
    )
    whole = await upstream(_chat(), _context(stub))
    streamed = await (await upstream(_chat(stream=True), _context(stub))).collect()
    assert whole.usage == streamed.usage
    assert whole.usage.tier == "flex"


async def test_usage_without_choices_and_tools_without_index(stub, upstream):
    calls = [{"id": f"c{n}", "function": {"name": f"f{n}", "arguments": {"n": n}}} for n in (0, 1)]
    part = chunk()
    part["choices"][0]["delta"] = {"tool_calls": calls}
    usage = {"usage": {"prompt_tokens": 2, "completion_tokens": 1, "prompt_tokens_details": "?"}}
    stub.script(stream(part, chunk(None, "tool_calls"), usage))
    reply = await (await upstream(_chat(stream=True), _context(stub))).collect()
    assert [call["function"]["name"] for call in reply.tool_calls] == ["f0", "f1"]
    assert reply.tool_calls[1]["function"]["arguments"] == '{"n":1}'
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (2, 1)


async def test_a_server_that_does_not_stream_is_understood(stub, upstream):
    stub.script(Answer(body=completion("All at once.")))
    reply = await (await upstream(_chat(stream=True), _context(stub))).collect()
    assert reply.text == "All at once."
    assert reply.finish_reason == "stop"
    assert reply.usage.output_tokens == 3


async def test_an_error_event_raises(stub, upstream):
    problem = {"error": {"message": "overloaded", "type": "server_error", "code": None}}
    stub.script(stream(problem), stream(chunk("a"), problem))
    with pytest.raises(ProviderError) as first:
        await upstream(_chat(stream=True), _context(stub))
    assert first.value.dispatched
    assert "overloaded" in first.value.detail
    opened = await upstream(_chat(stream=True), _context(stub))
    with pytest.raises(ProviderError, match="error instead of an answer"):
        await opened.collect()
    assert opened.final.text == "a"


@pytest.mark.parametrize(
    "raw",
    [
        b'event: error\ndata: {"message": "bad"}\n\n',
        b'data: {"error": "bad"}',
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [{"delta": 4}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": 3}]}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"name": 3}}]}}]}\n\n',
        b"data: [DONE]\n\n",
        b"<html></html>",
        b"",
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
async def test_streams_that_are_none(stub, upstream, raw):
    headers = {"Content-Type": "text/event-stream"}
    stub.script(Answer(headers=headers, pieces=[raw] if raw else []))
    with pytest.raises(ProviderError) as caught:
        await upstream(_chat(stream=True), _context(stub))
    assert caught.value.dispatched


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"choices": 4}', b'{"choices": [1]}', b"\xff\xfe{",
     b'{"choices": [{"message": "x"}]}', b'{"choices": [], "x": NaN}', b"[" * 100_000,
     b'{"choices": [{"message": {"tool_calls": 5}}]}', b'{"error": "no credit"}'],
)  # fmt: skip
async def test_a_200_that_is_no_completion(stub, upstream, body):
    stub.script(Answer(body=body))
    with pytest.raises(ProviderError) as caught:
        await upstream(_chat(), _context(stub))
    assert caught.value.dispatched
    assert caught.value.status == 502


async def test_an_error_told_as_200_is_passed_on(stub, upstream):
    stub.script(Answer(body={"error": {"message": "model is sleeping", "code": 503}}))
    with pytest.raises(ProviderError) as caught:
        await upstream(_chat(), _context(stub))
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
        await upstream(_chat(), _context(stub))
    found = caught.value
    assert type(found) is kind
    assert (found.upstream_status, found.dispatched) == (status, dispatched)
    assert found.retry_after == 7
    assert KEY not in _parts(found)
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
            await upstream(_chat(), _context(stub))
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
        await upstream(_chat(), _context(stub))
    assert caught.value.retry_after == seconds
    assert caught.value.should_retry is False


async def test_nothing_listens(stub, upstream):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    context = _context(stub, base_url=f"http://user:{KEY}@127.0.0.1:{port}/v1")
    with pytest.raises(ProviderUnreachable) as caught:
        await upstream(_chat(), context)
    assert not caught.value.dispatched
    assert KEY not in _parts(caught.value)


async def test_unknown_names_plain_http_behind_tls_and_bad_urls(stub, upstream):
    bad = [
        "http://no-such-host.invalid/v1",
        f"https://127.0.0.1:{stub.port}/v1",
        "not a url",
        "ftp://127.0.0.1/v1",
    ]
    for base_url in bad:
        with pytest.raises(ProviderUnreachable) as caught:
            await upstream(_chat(), _context(stub, base_url=base_url))
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
            await upstream(_chat(), _context(stub))
        assert caught.value.dispatched
        assert caught.value.upstream_status is None
    opened = await upstream(_chat(stream=True), _context(stub))
    with pytest.raises(ProviderError, match="broke off"):
        await opened.collect()

    stub.script(HANG, stream(chunk("a"), done=False, end="hang"))
    with pytest.raises(ProviderTimeout) as slow:
        await upstream(_chat(), _context(stub, timeout_s=0.1))
    assert slow.value.dispatched
    opened = await upstream(_chat(stream=True), _context(stub, timeout_s=0.1))
    outcomes = []
    await opened.observed(outcomes.append)
    with pytest.raises(ProviderTimeout):
        await opened.collect()
    assert outcomes[0].ending == "truncated"
    assert outcomes[0].reply.text == "a"


async def test_leaving_closes_the_connection(stub, upstream):
    stub.script(stream(chunk("a"), done=False, end="hang"))
    opened = await upstream(_chat(stream=True), _context(stub))
    assert (await anext(opened))["choices"]
    await opened.aclose()
    assert await asyncio.to_thread(stub.left.wait, 5)


async def test_cancelling_closes_the_connection(stub, upstream):
    for fields in ({}, {"stream": True}):
        stub.left.clear()
        stub.script(HANG)
        call = asyncio.ensure_future(upstream(_chat(**fields), _context(stub)))
        while len(stub.requests) < (2 if fields else 1):
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(stub.left.wait, 5)


async def _collected(upstream, stub):
    return await (await upstream(_chat(stream=True), _context(stub))).collect()


async def test_answers_are_bounded(stub):
    upstream = HTTPUpstream(lambda _: KEY, max_bytes=10_000)
    bomb = gzip.compress(b" " * 1_000_000)
    stub.script(
        Answer(body=bomb, headers={"Content-Encoding": "gzip"}),
        Answer(body=completion("x" * 20_000)),
        stream(*[chunk("x" * 1000)] * 20),
    )
    try:
        for _ in range(2):
            with pytest.raises(ProviderError, match="too large"):
                await upstream(_chat(), _context(stub))
        with pytest.raises(ProviderError, match="too large"):
            await _collected(upstream, stub)
    finally:
        await upstream.close()


async def test_keys(stub, monkeypatch):
    upstream = HTTPUpstream(lambda _: None)
    with pytest.raises(AuthMissing) as caught:
        await upstream(_chat(), _context(stub))
    assert not caught.value.dispatched
    assert "STUB_KEY" in caught.value.hint

    headers = {"X-Team": "$STUB_TEAM", "X-Plain": "a"}
    context = _context(stub, key_env="", headers=headers)
    with pytest.raises(AuthMissing) as caught:
        await upstream(_chat(), context)
    assert "STUB_TEAM" in caught.value.hint
    assert stub.requests == []

    monkeypatch.setenv("STUB_TEAM", "team-secret")
    stub.script(Answer(status=400, body={"error": {"message": "who is team-secret?"}}))
    with pytest.raises(ProviderError) as refused:
        await upstream(_chat(), context)
    assert stub.requests[0].headers["X-Team"] == "team-secret"
    assert "Authorization" not in stub.requests[0].headers
    assert "team-secret" not in _parts(refused.value)
    await upstream.close()

    store = {"STUB_TEAM": "from the key store"}
    upstream = HTTPUpstream(lambda _: None, variables=store.get)
    await upstream(_chat(), context)
    assert stub.requests[1].headers["X-Team"] == "from the key store"
    await upstream.close()

    broken = HTTPUpstream(lambda _: "sk-1\r\nX-Evil: 1")
    with pytest.raises(AuthMissing, match="line break"):
        await broken(_chat(), _context(stub))


def _nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("odd", [{1, 2}, float("nan"), _nested(100_000)])
async def test_what_json_cannot_express_is_refused_before_it_is_sent(stub, upstream, odd):
    with pytest.raises(BadRequest, match="as JSON"):
        await upstream(_chat(odd=odd), _context(stub))
    assert stub.requests == []


async def test_no_target_is_an_unknown_model():
    with pytest.raises(UnknownModel):
        await HTTPUpstream(lambda _: None)(_chat(), CallContext("c"))


async def test_cookies_are_not_kept(stub, upstream):
    stub.script(Answer(body=completion(), headers={"Set-Cookie": "who=me"}))
    await upstream(_chat(), _context(stub))
    await upstream(_chat(), _context(stub))
    assert "Cookie" not in stub.requests[1].headers


def test_a_new_loop_gets_a_new_session(stub):
    upstream = HTTPUpstream(lambda _: KEY)

    async def once():
        reply = await upstream(_chat(), _context(stub))
        return reply.text

    async def last():
        text = await once()
        await upstream.close()
        return text

    texts = []
    thread = threading.Thread(target=lambda: texts.append(asyncio.run(once())))
    thread.start()
    thread.join()
    texts.append(asyncio.run(last()))
    assert texts == ["Answer 1 to: Hi"] * 2


async def test_usage_chunk_helper_matches_the_stub(stub, upstream):
    stub.script(stream(chunk("a", "stop"), usage_chunk(11, 2)))
    reply = await (await upstream(_chat(stream=True), _context(stub))).collect()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 2)
