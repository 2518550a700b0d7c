"""Token counts: an estimate that is the same everywhere, and a bound that holds."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.calls import tokenizers
from llmops_kernel.calls.request import ChatRequest, EmbeddingRequest
from llmops_kernel.calls.tokenizers import tokenizer_of
from llmops_kernel.calls.tokens import bound_tokens, count_request, count_tokens, has_media

if TYPE_CHECKING:
    from pathlib import Path

PROSE = (
    "A customer who lost a card should freeze it in the app first. After that, a new card can be "
    "ordered at once; it arrives within five working days, and the old one stops working for good."
)
CODE = '''def total(rows: list[dict[str, float]]) -> float:
    """Add up the amounts."""
    return sum(row["amount"] * row.get("rate", 1.0) for row in rows if row["ok"])
'''
JSON = '{"user_id": 48213, "items": [{"sku": "A-17", "price": 12.5}, {"sku": "B-2", "price": 3}]}'


def chat(content: Any = "Hello", **fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return ChatRequest.from_body(body)


@pytest.fixture(autouse=True)
def no_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what happens to be on this machine."""
    monkeypatch.setattr(tokenizers, "_loaded", dict.fromkeys(tokenizers._SHA256))
    monkeypatch.setattr(tokenizers, "_loading", {})


# ---- the built-in estimate ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "real"),
    # The real counts are o200k_base's.
    [
        (PROSE, 42),
        (CODE, 48),
        (JSON, 42),
        ("Die Überweisung wurde gestern ausgeführt, ist aber noch nicht angekommen.", 14),
        ("El pago con tarjeta fue rechazado dos veces y no entiendo por qué.", 15),
        ("请帮我查询一下昨天的转账记录,谢谢。", 13),
        ("カードを紛失しました。再発行の手続きを教えてください。", 17),
        ("1234567890 42 3.14159", 11),
        ("", 0),
    ],
)
def test_the_estimate_is_a_little_high(text: str, real: int) -> None:
    assert 0.95 * real <= count_tokens(text) <= 1.6 * real


@given(st.text())
def test_the_estimate_lies_between_nothing_and_the_bytes(text: str) -> None:
    count = count_tokens(text)
    assert bool(text) <= count <= len(text.encode())
    assert count_tokens(text) == count


@given(st.lists(st.text(max_size=30), max_size=6))
def test_joined_texts_count_no_more_than_their_parts(texts: list[str]) -> None:
    joined = count_tokens("\n".join(texts))
    assert joined <= sum(count_tokens(text) for text in texts) + len(texts)


@pytest.mark.parametrize("piece", ["a", " ", "\n", "{", "\t ", "é", "漢", "😀", "\r\n ", "A"])
def test_long_runs_are_no_trap(piece: str) -> None:
    text = piece * 300_000
    assert 0 < count_tokens(text) <= len(text.encode())


def test_unknown_models_are_counted_by_the_estimate() -> None:
    for model in ("llama-3", "sim/gpt-4o", "offline/extractive", "claude-sonnet-4-5"):
        assert count_tokens(PROSE, model) == count_tokens(PROSE)


# ---- requests ----------------------------------------------------------------------------------


def test_without_a_tokenizer_bytes_are_the_bound() -> None:
    text = "Größe: 漢字 😀"
    bound = bound_tokens(chat(text), "gpt-4o")
    assert len(text.encode()) < bound <= len(text.encode()) + 32


parts = st.lists(
    st.text(max_size=50)
    | st.lists(
        st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=30)}), max_size=3
    ),
    min_size=1,
    max_size=5,
)


@given(parts, st.sampled_from(["gpt-4o", "sim/gpt-4o", "llama"]), st.booleans())
def test_the_bound_is_never_below_the_estimate(
    contents: list[Any], model: str, tools: bool
) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    given_tools = [{"type": "function", "function": {"name": "f"}}] if tools else None
    request = ChatRequest.from_body({"model": "m", "messages": messages, "tools": given_tools})
    bound = bound_tokens(request, model)
    assert bound >= count_request(request, model)
    assert bound >= count_request(request)
    # What an engine counts that reads the request as one text.
    assert bound >= count_tokens(request.text)


def one(message: dict[str, Any]) -> ChatRequest:
    return ChatRequest.from_body({"model": "m", "messages": [message]})


def test_everything_the_model_reads_is_counted() -> None:
    plain = bound_tokens(chat(), "x")
    long = "word " * 100
    tool = {"type": "function", "function": {"name": "f", "description": long}}
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"title": long}}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": long}}
    for request in (
        chat(tools=[tool]),
        chat(response_format=schema),
        chat(functions=[tool["function"]]),
        chat([{"type": "text", "text": long}]),
        chat([{"type": "tool_result", "content": long}]),
        one({"role": "assistant", "content": None, "tool_calls": [call]}),
        one({"role": "user", "content": "x", "name": long}),
    ):
        assert bound_tokens(request, "x") >= plain + 400


def image(detail: str | None = None) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(os.urandom(300_000)).decode()
    inner = {"url": url, "detail": detail} if detail else {"url": url}
    return {"type": "image_url", "image_url": inner}


@pytest.mark.parametrize(
    ("model", "detail", "most"),
    [
        ("gpt-4o", "high", 1_445),
        ("gpt-4o", "low", 85),
        ("openai/gpt-4o-2024-08-06", None, 1_445),
        ("gpt-4o-mini", "high", 48_169),
        ("gpt-4o-mini", "low", 2_833),
        ("gpt-5", "high", 1_445),
        ("gpt-5-mini", "high", 3_779),
        ("claude-sonnet-4-5", "high", 16_384),
        ("claude-sonnet-4-5", "low", 16_384),
    ],
)
def test_an_image_is_bounded_by_its_tiles(model: str, detail: str | None, most: int) -> None:
    one = bound_tokens(chat([image(detail)]), model)
    two = bound_tokens(chat([image(detail), image(detail)]), model)
    assert two - one == most
    assert one <= most + 32


def test_other_parts_are_bounded_by_their_kind() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "x" * 80_000, "format": "mp3"}}
    assert 11_000 <= bound_tokens(chat([sound]), "gpt-4o-audio-preview") <= 11_032
    for kind in ("file", "video_url", "something new"):
        assert bound_tokens(chat([{"type": kind, "id": "1"}]), "gpt-4o") >= 128_000


def test_media_are_noticed() -> None:
    assert not has_media(chat())
    assert not has_media(chat([{"type": "text", "text": "x"}, {"type": "thinking"}]))
    assert not has_media(chat(modalities=["text"]))
    assert not has_media(EmbeddingRequest("m", "x"))
    assert has_media(chat([image()]))
    assert has_media(chat([{"type": "file"}]))
    assert has_media(chat(modalities=["text", "audio"]))


@pytest.mark.parametrize(
    ("value", "count"),
    [([1, 2, 3], 3), ([[1, 2], [3]], 3), (["ab", "cd"], 4), ("abcd", 4), (["ab", [7, 8]], 4)],
)
def test_embedding_inputs(value: Any, count: int) -> None:
    assert bound_tokens(EmbeddingRequest("m", value), "text-embedding-3-small") == count
    assert count_request(EmbeddingRequest("m", value)) <= count


# ---- OpenAI's tokenizers -----------------------------------------------------------------------


class Words:
    """A tokenizer that is easy to tell from the others."""

    def encode_ordinary(self, text: str) -> list[int]:
        return list(range(10 * len(text.split())))


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "_loaded", {"o200k_base": Words(), "cl100k_base": None})


@pytest.mark.usefixtures("words")
def test_a_tokenizer_at_hand_is_used_for_its_models() -> None:
    for model in ("gpt-4o", "openai/gpt-5-mini", "openrouter/openai/gpt-4.1", "o3", "ft:gpt-4o:x"):
        assert count_tokens("one two", model) == 20
        assert 20 < bound_tokens(chat("one two"), model) <= 20 + 32
    for model in ("gpt-4", "text-embedding-3-small", "llama", "sim/gpt-4o"):
        assert count_tokens("one two", model) == count_tokens("one two")


@pytest.mark.usefixtures("words")
def test_the_estimate_does_not_change_with_what_is_installed() -> None:
    assert count_tokens("one two") == 2


@pytest.mark.usefixtures("words")
def test_long_texts_are_not_tokenized() -> None:
    text = "one two " * 10_000
    assert count_tokens(text, "gpt-4o") == count_tokens(text)
    assert bound_tokens(chat(text), "gpt-4o") >= len(text)


def test_no_network_is_used_where_the_data_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[object] = []
    monkeypatch.setattr("socket.socket.connect", lambda *where: connections.append(where))
    monkeypatch.setattr(tokenizers, "_loaded", {})
    monkeypatch.setattr(tokenizers, "_folders", lambda: iter([tmp_path]))
    (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(b"broken")
    assert tokenizer_of("gpt-4o", wait=True) is None
    assert tokenizer_of("gpt-4", wait=True) is None
    assert count_tokens("one two", "gpt-4o") == 2
    assert connections == []


def test_real_data_are_loaded_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "_loaded", {})
    if tokenizers._folder_with("o200k_base") is None:
        pytest.skip("tiktoken's data are not on this machine")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    tokenizer = tokenizer_of("gpt-4o", wait=True)
    assert tokenizer is not None
    assert len(tokenizer.encode_ordinary(PROSE)) == 42
    assert os.environ.get("TIKTOKEN_CACHE_DIR") == before


def test_importing_costs_no_heavy_package() -> None:
    code = (
        "import sys, llmops_kernel.calls.tokens, llmops_kernel.calls.catalog, llmops_kernel.guard\n"
        "print(sorted({'tiktoken', 'genai_prices', 'keyring', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
