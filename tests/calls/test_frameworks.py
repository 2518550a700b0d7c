"""Unchanged framework code, led to the endpoint by three environment variables alone."""

import asyncio
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from stub_door import serving

from llmops_kernel.errors import BudgetExceeded

HI = [{"role": "user", "content": "Hi"}]
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
BUDGET = BudgetExceeded(
    "The day's budget of this user is used up",
    scope="user",
    window="day",
    book="real",
    limit=1,
    spent=1,
    held=0,
    needed=1,
)
MARKER = "[llmops:budget_exceeded]"


@pytest.fixture
def served(monkeypatch):
    with serving() as served:
        for name, value in served.info.env().items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def client(served):
    with OpenAI() as client:
        yield client


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# ---- OpenAI SDK -----------------------------------------------------------------------------


def test_openai_chat(served, client):
    made = client.chat.completions.create(model="small", messages=HI, n=2)
    assert [choice.message.content for choice in made.choices] == [
        "Answer 1 to: Hi",
        "Answer 2 to: Hi",
    ]
    assert made.usage.total_tokens == 10
    assert served.door.calls[0][1].purpose == "external"


def test_openai_stream(client):
    plain = list(client.chat.completions.create(model="small", messages=HI, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in plain) == "Answer 1 to: Hi"
    assert all(part.usage is None for part in plain)
    asked = list(
        client.chat.completions.create(
            model="small", messages=HI, stream=True, stream_options={"include_usage": True}, n=2
        )
    )
    assert asked[-1].usage.prompt_tokens == 7
    assert {c.choices[0].index for c in asked[:-1]} == {0, 1}


def test_openai_stream_helper(client):
    with client.chat.completions.stream(model="small", messages=HI, tools=[ADD]) as running:
        final = running.get_final_completion()
    call = final.choices[0].message.tool_calls[0].function
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 2, "b": 3})


def test_openai_tools(client):
    first = client.chat.completions.create(model="small", messages=HI, tools=[ADD])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    tool = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "5"}
    second = client.chat.completions.create(
        model="small", messages=[*HI, message.to_dict(), tool], tools=[ADD]
    )
    assert second.choices[0].message.content == "Answer 1 to: 5"


def test_openai_json_mode(client):
    made = client.chat.completions.create(
        model="small", messages=HI, response_format={"type": "json_object"}
    )
    assert json.loads(made.choices[0].message.content) == {"answer": "ok", "score": 4}


def test_openai_embeddings_and_models(served, client):
    made = client.embeddings.create(model="embed", input=["one", "three"])
    assert [item.embedding for item in made.data] == [[3.0, 0.5], [5.0, 0.5]]
    assert served.stub.requests[0].body["encoding_format"] == "base64"
    assert [model.id for model in client.models.list()] == served.door.models()
    assert client.models.retrieve("offline/extractive").id == "offline/extractive"


def test_openai_responses(client):
    assert client.responses.create(model="small", input="Hi").output_text == "Answer 1 to: Hi"


def test_openai_leaving_a_stream_settles_it(served, client):
    with client.chat.completions.create(model="small", messages=HI, stream=True) as opened:
        next(opened)
    served.loop.run(_settled(served.door))
    assert len(served.door.outcomes) == 1


async def _settled(door):
    for _ in range(500):
        if door.outcomes:
            return
        await asyncio.sleep(0.01)


def test_openai_budget_is_one_request(served, client):
    served.door.error = BUDGET
    calls = [
        lambda: client.chat.completions.create(model="small", messages=HI),
        lambda: client.chat.completions.create(model="small", messages=HI, stream=True),
        lambda: client.embeddings.create(model="embed", input="x"),
        lambda: client.responses.create(model="small", input="x"),
    ]
    for call in calls:
        served.door.calls.clear()
        with pytest.raises(openai.APIStatusError) as caught:
            call()
        assert caught.value.status_code == 402
        assert caught.value.code == "budget_exceeded"
        assert MARKER in caught.value.message
        assert len(served.door.calls) == 1


async def test_openai_async(served):
    async with AsyncOpenAI() as client:
        made = await client.chat.completions.create(model="small", messages=HI)
        assert made.choices[0].message.content == "Answer 1 to: Hi"


# ---- LangChain ------------------------------------------------------------------------------


def test_langchain_chat(served):
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="small")
    assert model.invoke("Hi").content == "Answer 1 to: Hi"
    assert "".join(part.content for part in model.stream("Hi")) == "Answer 1 to: Hi"
    bound = model.bind_tools([add])
    assert bound.invoke("2 + 3?").tool_calls[0]["args"] == {"a": 2, "b": 3}
    assert len(served.door.calls) == 3


def test_langchain_structured_and_responses(served):
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    class Verdict(BaseModel):
        answer: str
        score: int

    model = ChatOpenAI(model="small")
    assert model.with_structured_output(Verdict).invoke("?") == Verdict(answer="ok", score=4)
    responses = ChatOpenAI(model="small", use_responses_api=True)
    assert responses.invoke("Hi").text == "Answer 1 to: Hi"
    assert "".join(part.text for part in responses.stream("Hi")) == "Answer 1 to: Hi"
    assert responses.bind_tools([add]).invoke("2 + 3?").tool_calls[0]["name"] == "add"


def test_langchain_embeddings(served):
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(model="embed", check_embedding_ctx_length=False)
    assert made.embed_query("four") == [4.0, 0.5]


@pytest.mark.parametrize("responses", [False, True])
def test_langchain_budget_is_one_request(served, responses):
    from langchain_openai import ChatOpenAI

    served.door.error = BUDGET
    model = ChatOpenAI(model="small", use_responses_api=responses)
    with pytest.raises(openai.APIStatusError, match="budget_exceeded") as caught:
        model.invoke("Hi")
    assert caught.value.status_code == 402
    assert len(served.door.calls) == 1


# ---- AutoGen --------------------------------------------------------------------------------


def _agent():
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    return client, AssistantAgent(
        "helper", model_client=client, tools=[add], reflect_on_tool_use=True
    )


# autogen tells that the stub's model is not the one it asked for.
@pytest.mark.filterwarnings("ignore:Resolved model mismatch:UserWarning")
async def test_autogen_agent(served):
    client, agent = _agent()
    try:
        result = await agent.run(task="2 + 3?")
    finally:
        await client.close()
    assert result.messages[-1].content == "Answer 1 to: 5"
    assert len(served.door.calls) == 2
    assert served.stub.requests[0].body["tools"][0]["function"]["name"] == "add"


async def test_autogen_budget_is_one_request(served):
    served.door.error = BUDGET
    client, agent = _agent()
    try:
        with pytest.raises(openai.APIStatusError, match="budget_exceeded") as caught:
            await agent.run(task="2 + 3?")
    finally:
        await client.close()
    assert caught.value.status_code == 402
    assert len(served.door.calls) == 1
