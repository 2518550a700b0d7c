"""The Responses API: translation there and back, and the OpenAI client's own parsing."""

import json

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from responses_desk import ADD
from stub_upstream import Answer, chunk, completion, stream, usage_chunk

from llmops_kernel.errors import LoopDetected


class Verdict(BaseModel):
    answer: str
    score: int


@pytest.fixture
def client(served):
    with OpenAI(base_url=served.info.base_url, api_key=served.info.token, max_retries=0) as client:
        yield client


# ---- whole responses ------------------------------------------------------------------------


def test_create(served, client):
    response = client.responses.create(
        model="small",
        input="Hi",
        instructions="Be brief",
        max_output_tokens=64,
        metadata={"a": "b"},
    )
    assert response.output_text == "Answer 1 to: Hi"
    assert response.status == "completed"
    assert response.object == "response"
    assert response.id.startswith("resp_")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 3)
    assert response.usage.input_tokens_details.cached_tokens == 0
    assert response.usage.output_tokens_details.reasoning_tokens == 0
    assert response.instructions == "Be brief"
    assert response.metadata == {"a": "b"}
    assert response.to_dict()["llmops"]["usd_nano"] == 1_234_567
    assert served.stub.requests[0].body["max_tokens"] == 64
    assert served.stub.requests[0].path == "/v1/chat/completions"


def test_create_with_a_tool_and_its_output(client):
    first = client.responses.create(model="small", input="2 + 3?", tools=[ADD])
    call = first.output[0]
    assert (call.type, call.name, call.call_id) == ("function_call", "add", "call_1")
    assert json.loads(call.arguments) == {"a": 2, "b": 3}
    second = client.responses.create(
        model="small",
        tools=[ADD],
        input=[
            {"role": "user", "content": "2 + 3?"},
            *[item.to_dict() for item in first.output],
            {"type": "function_call_output", "call_id": call.call_id, "output": "5"},
        ],
    )
    assert second.output_text == "Answer 1 to: 5"


def test_parse(client):
    response = client.responses.parse(model="small", input="Judge", text_format=Verdict)
    assert response.output_parsed == Verdict(answer="ok", score=4)


def test_incomplete_refused_and_empty(served, client):
    def answer(message, reason):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        served.stub.script(Answer(body=completion(choices=[choice])))
        return client.responses.create(model="small", input="Hi")

    cut = answer({"role": "assistant", "content": "Half an"}, "length")
    assert cut.status == "incomplete"
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert cut.output[0].status == "incomplete"
    filtered = answer({"role": "assistant", "content": ""}, "content_filter")
    assert filtered.incomplete_details.reason == "content_filter"
    refused = answer({"role": "assistant", "content": None, "refusal": "I will not"}, "stop")
    assert refused.output[0].content[0].refusal == "I will not"
    assert refused.output_text == ""
    assert answer({"role": "assistant", "content": None}, "stop").output_text == ""


def test_refusals_are_one_request(served):
    served.door.error = LoopDetected("The same call came again and again")
    with OpenAI(base_url=served.info.base_url, api_key=served.info.token) as client:
        for options in ({}, {"stream": True}):
            served.door.calls.clear()
            with pytest.raises(openai.APIStatusError) as caught:
                client.responses.create(model="small", input="Hi", **options)
            assert caught.value.status_code == 402
            assert "[llmops:loop_detected]" in str(caught.value)
            assert len(served.door.calls) == 1


def test_built_in_tools_are_a_clear_400(client):
    with pytest.raises(openai.BadRequestError, match="cannot be metered"):
        client.responses.create(model="small", input="Hi", tools=[{"type": "web_search"}])
    with pytest.raises(openai.BadRequestError, match="stored here"):
        client.responses.create(model="small", input="Hi", previous_response_id="resp_1")


# ---- streams --------------------------------------------------------------------------------


def test_the_event_sequence_of_text(client):
    events = list(client.responses.create(model="small", input="Hi", stream=True))
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas == 4
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert final.output_text == "Answer 1 to: Hi"
    assert final.status == final.output[0].status == "completed"
    assert final.id == events[0].response.id
    assert events[0].response.model == final.model == "stub-1"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (7, 3)
    assert events[-2].item == final.output[0]


def test_the_event_sequence_of_a_call(client):
    events = list(client.responses.create(model="small", input="2+3", tools=[ADD], stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert events[2].item.name == events[5].name == "add"
    assert events[5].arguments == '{"a": 2, "b": 3}'
    assert events[-1].response.output[0].call_id == "call_1"


def test_text_refusal_and_calls_in_one_stream(served, client):
    def part(**delta):
        made = chunk()
        made["choices"][0]["delta"] = delta
        return made

    served.stub.script(
        stream(
            part(content="Well"),
            part(refusal="No"),
            part(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}]),
            part(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g"}}]),
            part(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
            part(content=", well"),
            chunk(None, "tool_calls"),
            usage_chunk(),
        )
    )
    events = list(client.responses.create(model="small", input="Hi", stream=True))
    final = events[-1].response
    message, first, second = final.output
    assert [content.type for content in message.content] == ["output_text", "refusal"]
    assert final.output_text == "Well, well"
    assert message.content[1].refusal == "No"
    assert (first.name, first.arguments, second.name, second.arguments) == ("f", "{}", "g", "")
    added = [event for event in events if event.type == "response.output_item.added"]
    assert [event.output_index for event in added] == [0, 1, 2]
    ids = {event.item.id for event in added}
    assert ids == {message.id, first.id, second.id}


def test_the_clients_own_accumulation(client):
    with client.responses.stream(model="small", input="Judge", text_format=Verdict) as running:
        for event in running:
            last = event
        final = running.get_final_response()
    assert last.type == "response.completed"
    assert final.output_parsed == Verdict(answer="ok", score=4)
    with client.responses.stream(model="small", input="2 + 3?", tools=[ADD]) as running:
        final = running.get_final_response()
    assert final.output[0].name == "add"


async def test_the_asynchronous_client(served):
    info = served.info
    async with openai.AsyncOpenAI(base_url=info.base_url, api_key=info.token) as client:
        response = await client.responses.create(model="small", input="Hi")
        assert response.output_text == "Answer 1 to: Hi"
        opened = await client.responses.create(model="small", input="Hi", stream=True)
        kinds = [event.type async for event in opened]
    assert kinds[-1] == "response.completed"


def test_a_cut_stream_is_incomplete(served, client):
    served.door.cut_after = 2
    events = list(client.responses.create(model="small", input="Hi", stream=True))
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert events[-1].response.output[0].status == "incomplete"


def test_a_stream_without_words_is_an_empty_message(served, client):
    served.stub.script(stream(chunk("", "stop")))
    events = list(client.responses.create(model="small", input="Hi", stream=True))
    assert events[-1].response.output_text == ""
    assert events[-1].response.output[0].type == "message"


def test_a_stream_that_breaks_off_raises(served, client):
    served.stub.script(stream(chunk("Half"), done=False))
    opened = client.responses.create(model="small", input="Hi", stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(opened)
