"""A recorded answer comes back as it was: whole, streamed as it came, or streamed from whole."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.replay import Recorder, packed, unpacked
from llmops_kernel.calls import Outcome, Reply, ReplyStream, Usage

text = st.text(max_size=60)
name = st.text(alphabet="abcdef_", min_size=1, max_size=8)
call = st.fixed_dictionaries(
    {
        "id": name,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": name, "arguments": text}),
    }
)
message = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | text.filter(bool)},
    optional={
        "tool_calls": st.lists(call, min_size=1, max_size=3),
        "reasoning_content": text.filter(bool),
    },
)
choices = st.lists(message, min_size=1, max_size=3).map(
    lambda messages: tuple(
        {
            "index": n,
            "finish_reason": "tool_calls" if m.get("tool_calls") else "stop",
            "message": m,
        }
        for n, m in enumerate(messages)
    )
)
usages = st.none() | st.builds(
    Usage,
    input_tokens=st.integers(0, 9),
    output_tokens=st.integers(0, 9),
    estimated=st.booleans(),
    details=st.just((("cache_write_1h_tokens", 2), ("web_searches", 1))) | st.just(()),
)
replies = st.builds(
    Reply,
    id=name,
    model=name,
    created=st.integers(1, 9),
    choices=choices,
    usage=usages,
    provider=name,
    simulated=st.booleans(),
    latency_s=st.none() | st.floats(0, 9),
    cost_nano=st.integers(0, 10**15),
    extra=st.just({"system_fingerprint": "fp"}) | st.just({}),
)


def _served(entry: Entry, *, stream: bool) -> Any:
    async def serve() -> Any:
        reply = await entry.serve(stream=stream)
        if not isinstance(reply, ReplyStream):
            return reply
        chunks = [chunk async for chunk in reply]
        return chunks, reply.final

    return asyncio.run(serve())


def _again(reply: Reply) -> Reply:
    latency = None if reply.latency_s is None else 0.0
    return reply.with_(cached=True, cost_nano=0, latency_s=latency)


@settings(max_examples=60, deadline=None)
@given(replies)
def test_a_whole_answer_comes_back_whole_and_as_a_stream(reply: Reply) -> None:
    entry = Entry.of(Outcome(reply), None)
    assert entry.saved_nano == reply.cost_nano
    assert _served(entry, stream=False) == _again(reply)
    chunks, final = _served(entry, stream=True)
    assert final == _again(reply)
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert bool(chunks[-1].get("usage")) == (reply.usage is not None)


@settings(max_examples=60, deadline=None)
@given(replies)
def test_a_stream_comes_back_as_it_came_and_whole(reply: Reply) -> None:
    first, _ = _served(Entry.of(Outcome(reply), None), stream=True)
    recorder = Recorder(10**6)
    assert all(recorder.watch(chunk) for chunk in first)
    entry = Entry.of(Outcome(reply), recorder.chunks())
    chunks, final = _served(entry, stream=True)
    assert chunks == first
    assert final.choices == reply.choices
    assert final.usage == reply.usage
    assert _served(entry, stream=False) == _again(reply)


def test_the_shape_of_chunks_is_kept() -> None:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant"}, "logprobs": None}]},
        {**head, "choices": [{"index": 0, "delta": {"content": "Hi"}}], "service_tier": "flex"},
        {**head, "id": "c2", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ]
    recorder = Recorder(10_000)
    for chunk in chunks:
        recorder.watch(chunk)
    chunks[0]["choices"][0]["delta"]["role"] = "edited later"
    kept = recorder.chunks()
    assert kept is not None
    assert kept[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert list(kept[1:]) == chunks[1:]
    assert unpacked(packed(kept)) == kept


def test_a_stream_that_is_too_long_is_not_recorded() -> None:
    recorder = Recorder(50)
    for _ in range(20):
        assert recorder.watch({"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]})
    assert recorder.chunks() is None


def test_log_probabilities_of_a_stream_are_in_the_whole() -> None:
    def chunk(token: str, finish: str | None = None) -> dict[str, Any]:
        item = {"token": token, "logprob": -0.1}
        return {
            "id": "c",
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": token},
                    "logprobs": {"content": [item], "refusal": None},
                    "finish_reason": finish,
                }
            ],
        }

    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "ab"},
    }
    reply = Reply("c", "m", 1, (choice,))
    entry = Entry.of(Outcome(reply), (chunk("a"), chunk("b", "stop")))
    served = _served(entry, stream=False)
    assert [item["token"] for item in served.choices[0]["logprobs"]["content"]] == ["a", "b"]


def test_whoever_is_served_gets_a_copy() -> None:
    reply = Reply(
        "c", "m", 1, ({"index": 0, "finish_reason": "stop", "message": {"content": "a"}},)
    )
    entry = Entry.of(Outcome(reply), None)
    _served(entry, stream=False).choices[0]["message"]["content"] = "edited"
    assert _served(entry, stream=False).text == "a"
