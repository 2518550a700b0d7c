"""Streams of a provider: whole, cut, torn, or none at all."""

import pytest
from stub_upstream import (
    Answer,
    chunk,
    completion,
    stream,
    usage_chunk,
)
from upstream_desk import chat, context_of

from llmops_kernel.errors import (
    ProviderError,
)


async def test_a_stream(stub, upstream):
    opened = await upstream(chat(stream=True), context_of(stub))
    chunks = [part async for part in opened]
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in chunks if p["choices"]) == (
        "Answer 1 to: Hi"
    )
    assert chunks[-1]["usage"]["prompt_tokens"] == 7
    assert opened.final.finish_reason == "stop"
    assert opened.final.usage.output_tokens == 3
    assert stub.requests[0].body["stream_options"] == {"include_usage": True}


async def test_other_stream_options_are_kept(stub, upstream):
    request = chat(stream=True, stream_options={"include_usage": False, "include_obfuscation": 1})
    await (await upstream(request, context_of(stub))).collect()
    assert stub.requests[0].body["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": 1,
    }


async def _ending(opened):
    outcomes = []
    await opened.observed(outcomes.append)
    chunks = [part async for part in opened]
    return chunks, outcomes[0]


async def test_a_stream_without_an_end_is_truncated(stub, upstream):
    stub.script(stream(chunk("Half an"), chunk(" answ"), done=False))
    chunks, outcome = await _ending(await upstream(chat(stream=True), context_of(stub)))
    assert len(chunks) == 2
    assert outcome.ending == "truncated"
    assert outcome.reply.text == "Half an answ"


async def test_a_torn_last_event_is_a_truncation(stub, upstream):
    answer = stream(chunk("Half"), done=False)
    answer.pieces.append(b'data: {"id": "chatcm')
    stub.script(answer)
    chunks, outcome = await _ending(await upstream(chat(stream=True), context_of(stub)))
    assert (len(chunks), outcome.ending) == (1, "truncated")


async def test_done_without_a_finish_reason_is_complete(stub, upstream):
    stub.script(stream(chunk("One", index=0), chunk("Two", index=1)))
    _, outcome = await _ending(await upstream(chat(stream=True), context_of(stub)))
    assert outcome.ending == "complete"
    assert [choice["finish_reason"] for choice in outcome.reply.choices] == ["stop", "stop"]


async def test_the_service_tier_reaches_the_usage(stub, upstream):
    stub.script(
        Answer(body=completion(service_tier="flex")),
        stream(chunk("a", "stop"), {**usage_chunk(), "service_tier": "flex"}),
    )
    whole = await upstream(chat(), context_of(stub))
    streamed = await (await upstream(chat(stream=True), context_of(stub))).collect()
    assert whole.usage == streamed.usage
    assert whole.usage.tier == "flex"


async def test_usage_without_choices_and_tools_without_index(stub, upstream):
    calls = [{"id": f"c{n}", "function": {"name": f"f{n}", "arguments": {"n": n}}} for n in (0, 1)]
    part = chunk()
    part["choices"][0]["delta"] = {"tool_calls": calls}
    usage = {"usage": {"prompt_tokens": 2, "completion_tokens": 1, "prompt_tokens_details": "?"}}
    stub.script(stream(part, chunk(None, "tool_calls"), usage))
    reply = await (await upstream(chat(stream=True), context_of(stub))).collect()
    assert [call["function"]["name"] for call in reply.tool_calls] == ["f0", "f1"]
    assert reply.tool_calls[1]["function"]["arguments"] == '{"n":1}'
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (2, 1)


async def test_a_server_that_does_not_stream_is_understood(stub, upstream):
    stub.script(Answer(body=completion("All at once.")))
    reply = await (await upstream(chat(stream=True), context_of(stub))).collect()
    assert reply.text == "All at once."
    assert reply.finish_reason == "stop"
    assert reply.usage.output_tokens == 3


async def test_an_error_event_raises(stub, upstream):
    problem = {"error": {"message": "overloaded", "type": "server_error", "code": None}}
    stub.script(stream(problem), stream(chunk("a"), problem))
    with pytest.raises(ProviderError) as first:
        await upstream(chat(stream=True), context_of(stub))
    assert first.value.dispatched
    assert "overloaded" in first.value.detail
    opened = await upstream(chat(stream=True), context_of(stub))
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
        await upstream(chat(stream=True), context_of(stub))
    assert caught.value.dispatched


async def test_usage_chunk_helper_matches_the_stub(stub, upstream):
    stub.script(stream(chunk("a", "stop"), usage_chunk(11, 2)))
    reply = await (await upstream(chat(stream=True), context_of(stub))).collect()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 2)
