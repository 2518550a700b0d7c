"""The upstream against a real server that misbehaves."""

import asyncio
import gzip
import json
import threading

import pytest
from stub_upstream import (
    HANG,
    Answer,
    chunk,
    completion,
    stream,
)
from upstream_desk import KEY, chat, context_of, parts_of

from llmops_kernel.calls import CallContext, ChatRequest, EmbeddingRequest
from llmops_kernel.calls.upstream import HTTPUpstream
from llmops_kernel.errors import (
    AuthMissing,
    BadRequest,
    ProviderError,
    UnknownModel,
)


async def test_a_whole_reply(stub, upstream):
    reply = await upstream(chat(max_tokens=9, seed=3, top_k=5), context_of(stub))
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
    context = context_of(stub, limit_field="max_completion_tokens")
    await upstream(chat().with_(max_tokens=9), context)
    await upstream(chat(max_tokens=8), context)  # the caller's own name stays
    assert "max_tokens" not in stub.requests[0].body
    assert stub.requests[0].body["max_completion_tokens"] == 9
    assert stub.requests[1].body["max_tokens"] == 8


async def test_odd_text_travels_unharmed(stub, upstream):
    odd = "ä 漢 🎈 \u2028 \ud800"
    request = ChatRequest.from_body({"model": "m", "messages": [{"role": "user", "content": odd}]})
    await upstream(request, context_of(stub))
    assert stub.requests[0].body["messages"][0]["content"] == odd


async def test_large_requests_and_packed_replies(stub, upstream):
    packed = gzip.compress(json.dumps(completion("x" * 3_000_000)).encode())
    stub.script(Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    large = "y" * 3_000_000
    request = ChatRequest.from_body(
        {"model": "m", "messages": [{"role": "user", "content": large}]}
    )
    reply = await upstream(request, context_of(stub))
    assert len(reply.text) == 3_000_000
    assert stub.requests[0].body["messages"][0]["content"] == large


async def test_embeddings_pass_through(stub, upstream):
    request = EmbeddingRequest.from_body(
        {"model": "e", "input": [[64, 65]], "encoding_format": "base64", "dimensions": 2}
    )
    reply = await upstream(request, context_of(stub, model="stub-embed"))
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


async def test_connections_are_reused(stub, upstream):
    context = context_of(stub)
    for number in range(6):
        reply = await upstream(chat(stream=bool(number % 2)), context)
        if number % 2:
            await reply.collect()
    connections = upstream._session.connector._conns
    assert sum(len(found) for found in connections.values()) == 1


async def test_leaving_closes_the_connection(stub, upstream):
    stub.script(stream(chunk("a"), done=False, end="hang"))
    opened = await upstream(chat(stream=True), context_of(stub))
    assert (await anext(opened))["choices"]
    await opened.aclose()
    assert await asyncio.to_thread(stub.left.wait, 5)


async def test_cancelling_closes_the_connection(stub, upstream):
    for fields in ({}, {"stream": True}):
        stub.left.clear()
        stub.script(HANG)
        call = asyncio.ensure_future(upstream(chat(**fields), context_of(stub)))
        while len(stub.requests) < (2 if fields else 1):
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(stub.left.wait, 5)


async def _collected(upstream, stub):
    return await (await upstream(chat(stream=True), context_of(stub))).collect()


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
                await upstream(chat(), context_of(stub))
        with pytest.raises(ProviderError, match="too large"):
            await _collected(upstream, stub)
    finally:
        await upstream.close()


async def test_keys(stub, monkeypatch):
    upstream = HTTPUpstream(lambda _: None)
    with pytest.raises(AuthMissing) as caught:
        await upstream(chat(), context_of(stub))
    assert not caught.value.dispatched
    assert "STUB_KEY" in caught.value.hint

    headers = {"X-Team": "$STUB_TEAM", "X-Plain": "a"}
    context = context_of(stub, key_env="", headers=headers)
    with pytest.raises(AuthMissing) as caught:
        await upstream(chat(), context)
    assert "STUB_TEAM" in caught.value.hint
    assert stub.requests == []

    monkeypatch.setenv("STUB_TEAM", "team-secret")
    stub.script(Answer(status=400, body={"error": {"message": "who is team-secret?"}}))
    with pytest.raises(ProviderError) as refused:
        await upstream(chat(), context)
    assert stub.requests[0].headers["X-Team"] == "team-secret"
    assert "Authorization" not in stub.requests[0].headers
    assert "team-secret" not in parts_of(refused.value)
    await upstream.close()

    store = {"STUB_TEAM": "from the key store"}
    upstream = HTTPUpstream(lambda _: None, variables=store.get)
    await upstream(chat(), context)
    assert stub.requests[1].headers["X-Team"] == "from the key store"
    await upstream.close()

    broken = HTTPUpstream(lambda _: "sk-1\r\nX-Evil: 1")
    with pytest.raises(AuthMissing, match="line break"):
        await broken(chat(), context_of(stub))


def _nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("odd", [{1, 2}, float("nan"), _nested(100_000)])
async def test_what_json_cannot_express_is_refused_before_it_is_sent(stub, upstream, odd):
    with pytest.raises(BadRequest, match="as JSON"):
        await upstream(chat(odd=odd), context_of(stub))
    assert stub.requests == []


async def test_no_target_is_an_unknown_model():
    with pytest.raises(UnknownModel):
        await HTTPUpstream(lambda _: None)(chat(), CallContext("c"))


async def test_cookies_are_not_kept(stub, upstream):
    stub.script(Answer(body=completion(), headers={"Set-Cookie": "who=me"}))
    await upstream(chat(), context_of(stub))
    await upstream(chat(), context_of(stub))
    assert "Cookie" not in stub.requests[1].headers


def test_a_new_loop_gets_a_new_session(stub):
    upstream = HTTPUpstream(lambda _: KEY)

    async def once():
        reply = await upstream(chat(), context_of(stub))
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
