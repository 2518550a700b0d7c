"""The door answers embeddings requests in this process, for free."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai import OpenAI

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest, EmbeddingRequest
from llmops_kernel.embed import RemoteEmbedder, builtin, vectors_of
from llmops_kernel.errors import BadRequest, LLMOpsError, LoopDetected, SettingsError, UnknownModel

TEXTS = ["What does the card cost?", "Interest is paid quarterly.", ""]


@pytest.fixture
def open_session(tmp_path: Path) -> Any:
    opened: list[Session] = []

    def make(**settings: Any) -> Session:
        store = f"sqlite:///{tmp_path / f'{len(opened)}.db'}"
        opened.append(Session(store=store, user="ann", **settings))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


@pytest.fixture
def session(open_session: Any) -> Session:
    made: Session = open_session()
    return made


@pytest.fixture
def client(session: Session) -> Any:
    env = session.endpoint().env()
    with OpenAI(
        base_url=env["OPENAI_BASE_URL"], api_key=env["OPENAI_API_KEY"], max_retries=0
    ) as made:
        yield made


def _request(value: Any, model: str = "offline/embed", **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest.from_body({"model": model, "input": value, **fields})


# ---- from Python ----------------------------------------------------------------------------


def test_a_text(session: Session) -> None:
    reply = session.call(_request(TEXTS[0]))
    assert reply.kind == "embeddings"
    assert reply.model == "offline/embed"
    assert reply.choices[0]["object"] == "embedding"
    assert reply.choices[0]["embedding"] == builtin().embed_query(TEXTS[0]).tolist()
    assert reply.extra["embedder"] == builtin().id
    body = reply.body()
    assert body["object"] == "list"
    assert body["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


def test_texts_in_order_and_counted(session: Session) -> None:
    reply = session.call(_request(TEXTS))
    assert [item["index"] for item in reply.choices] == [0, 1, 2]
    assert np.array_equal(vectors_of(reply.choices), builtin().embed_texts(TEXTS))
    assert reply.usage is not None
    assert reply.usage.input_tokens == sum(map(builtin().count_tokens, TEXTS))
    assert not reply.usage.estimated


def test_many_texts_are_all_there(session: Session) -> None:
    texts = [f"number {number}" for number in range(150)]
    reply = session.call(_request(texts))
    assert [item["index"] for item in reply.choices] == list(range(150))
    nearest = np.argmax(np.array(vectors_of(reply.choices)) @ builtin().embed_texts(texts).T, 1)
    assert (nearest == np.arange(150)).mean() > 0.95


def test_base64(session: Session) -> None:
    reply = session.call(_request(TEXTS[0], encoding_format="base64"))
    packed = reply.choices[0]["embedding"]
    assert np.array_equal(
        np.frombuffer(base64.b64decode(packed), "<f4"), builtin().embed_query(TEXTS[0])
    )


def test_it_is_free_and_on_record(session: Session) -> None:
    reply = session.call(_request(TEXTS), purpose="embed")
    assert reply.cost_nano == 0
    settled = next(event for event in session.history() if event.kind == "settle")
    assert (settled.model, settled.book) == ("offline/embed", "simulated")
    assert (settled.spent_nano, settled.held_nano, settled.estimated) == (0, 0, False)
    span = session.traces()[0]
    assert span.kind == "embeddings"
    assert span.attributes["usd_nano"] == 0
    assert span.attributes["input_tokens"] == reply.usage.input_tokens
    assert span.attributes["purpose"] == "embed"
    assert all(status.spent == 0 for status in session.budget())


def test_it_passes_where_nothing_may_be_spent(open_session: Any) -> None:
    from llmops_kernel import Cap

    session = open_session(caps=[Cap(scope="user", window="day", usd=0)])
    assert len(session.call(_request("hello")).choices) == 1


def test_the_loop_breaker_counts_it(open_session: Any) -> None:
    session = open_session(breaker={"calls_per_run": 2})
    session.call(_request("a"))
    session.call(_request("b"))
    with pytest.raises(LoopDetected):
        session.call(_request("c"))


def test_the_alias_embed(open_session: Any) -> None:
    assert open_session().call(_request("a", model="embed")).model == "offline/embed"
    named = open_session(aliases={"vectors": "embed"})
    assert named.call(_request("a", model="vectors")).model == "offline/embed"
    own = open_session(aliases={"embed": "openai/text-embedding-3-small"})
    assert own.catalog.resolve("embed").name == "openai/text-embedding-3-small"
    circle = open_session(aliases={"embed": "embed"})
    with pytest.raises(SettingsError, match="circle"):
        circle.call(_request("a", model="embed"))


def test_the_names_are_offered(session: Session) -> None:
    assert {"offline/embed", "embed"} <= set(session.models())


@pytest.mark.parametrize(
    "model", ["offline/extractive", "sim/gpt-4o", "text-embedding-3-small", "offline/embedd"]
)
def test_other_models_do_not_embed(session: Session, model: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        session.call(_request("a", model=model))
    assert "offline/embed" in caught.value.sentence()


def test_an_unknown_model_is_unknown(session: Session) -> None:
    with pytest.raises(UnknownModel, match="No alias, provider or price list"):
        session.call(_request("a", model="no-such-embedder"))


def test_the_embedder_does_not_chat(session: Session) -> None:
    request = ChatRequest("offline/embed", ({"role": "user", "content": "Hi"},))
    with pytest.raises(UnknownModel, match="embeddings only") as caught:
        session.call(request)
    assert "offline/extractive" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "fields", "param"),
    [
        ([1, 2, 3], {}, "input"),
        ([[1, 2], [3]], {}, "input"),
        (["a", None], {}, "input[1]"),
        (["a", {"text": "b"}], {}, "input[1]"),
        (["a"] * 2_049, {}, "input"),
        ("a", {"dimensions": 256}, "dimensions"),
        ("a", {"dimensions": True}, "dimensions"),
        ("a", {"encoding_format": "int8"}, "encoding_format"),
        ("a", {"encoding_format": ["float"]}, "encoding_format"),
    ],
)
def test_what_cannot_be_served(
    session: Session, value: Any, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        session.call(_request(value, **fields))
    assert caught.value.param == param
    assert all(status.held == 0 for status in session.budget())


def test_token_ids_are_refused_with_a_way_out(session: Session) -> None:
    with pytest.raises(BadRequest) as caught:
        session.call(_request([[9906]]))
    assert "check_embedding_ctx_length=False" in caught.value.hint


def test_its_own_dimensions_and_other_fields_pass(session: Session) -> None:
    reply = session.call(_request("a", dimensions=384, encoding_format="float", user="u"))
    assert len(reply.choices[0]["embedding"]) == 384


async def test_calls_at_the_same_time(session: Session) -> None:
    texts = [f"question {number}" for number in range(12)]
    replies = await asyncio.gather(
        *(asyncio.to_thread(session.call, _request(text)) for text in texts)
    )
    for text, reply in zip(texts, replies, strict=True):
        assert reply.choices[0]["embedding"] == builtin().embed_query(text).tolist()


def test_an_embedder_through_the_door(session: Session) -> None:
    def call(texts: list[str]) -> list[list[float]]:
        return vectors_of(session.call(_request(texts), purpose="embed").choices)

    embedder = RemoteEmbedder(call, id="offline/embed@1")
    assert embedder.dim == 384
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), builtin().embed_texts(TEXTS), atol=1e-6)
    assert len(session.traces()) == 2


# ---- over HTTP ------------------------------------------------------------------------------


def test_the_sdk_in_its_default_encoding(client: OpenAI) -> None:
    made = client.embeddings.create(model="embed", input=TEXTS[:2])  # base64 on the wire
    assert np.array_equal(
        np.array([item.embedding for item in made.data], np.float32),
        builtin().embed_texts(TEXTS[:2]),
    )
    assert made.model == "offline/embed"
    assert made.usage.prompt_tokens == made.usage.total_tokens > 0


def test_the_sdk_with_floats(client: OpenAI) -> None:
    made = client.embeddings.create(
        model="offline/embed", input="hello", encoding_format="float", dimensions=384
    )
    assert made.data[0].embedding == builtin().embed_query("hello").tolist()


def test_what_the_sdk_raises(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not token ids"):
        client.embeddings.create(model="embed", input=[[9906, 11]])
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="embed", input="a", dimensions=512)
    assert caught.value.param == "dimensions"
    with pytest.raises(openai.NotFoundError, match="offline/embed"):
        client.embeddings.create(model="offline/extractive", input="a")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="no-such-embedder", input="a")


def test_models_are_listed(client: OpenAI) -> None:
    assert {"embed", "offline/embed"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("embed").id == "embed"


def test_langchain_without_tokenising(client: OpenAI, session: Session) -> None:
    from langchain_openai import OpenAIEmbeddings

    env = session.endpoint().env()
    made = OpenAIEmbeddings(
        model="embed",
        check_embedding_ctx_length=False,
        base_url=env["OPENAI_BASE_URL"],
        api_key=env["OPENAI_API_KEY"],
    )
    np.testing.assert_allclose(made.embed_query("hello"), builtin().embed_query("hello"))


def test_damage_is_reported_over_http(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise LLMOpsError("The built-in embedding model is incomplete or was changed")

    monkeypatch.setattr("llmops_kernel.embed.minilm._loaded", damaged)
    with pytest.raises(openai.InternalServerError, match="incomplete or was changed"):
        client.embeddings.create(model="embed", input="a")
