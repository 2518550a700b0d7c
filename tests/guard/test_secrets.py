"""Secrets are found by value and by shape, and nothing else is touched."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llmops_kernel.guard import MASK, Secrets, looks_secret

SHAPED = [
    "sk-proj-abcdEFGH1234567890abcd",
    "sk-ant-api03-AAAA-bbbb1111_cccc",
    "sk-or-v1-0123456789abcdef0123456789abcdef",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "gsk_abcdefghij1234567890abcd",
    "hf_abcdefghijABCDEFGHIJ12",
    "ghp_123456789012345678901234567890123456",
    "github_pat_11ABCDEFG0123456789_abcdefghij",
    "glpat-abcdefghij1234567890",
    "xoxb-1234567890-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "csk-abcdefghij1234567890abcd",
    "pplx-abcdefghij1234567890abcd",
    "xai-abcdefghij1234567890abcd",
    "llmops-AbC123_-xyzAbC123_-xyzAbC1",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123456",
    "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n\nMIIabc\n-----END RSA PRIVATE KEY-----",
]

CLEAN = [
    "a task-force took a risk-free sk-learn-things course on self-attention",
    "llmops-kernel-extension-for-jupyterlab is bearer implementation-specific-things",
    "see https://example.com:8080/a?b=c@d and mail me@example.com",
    "def get_token_count(max_tokens: int) -> int:  # AKIA is a prefix, AIza too",
    "ghosts_and_ghouls gsk_short hf_model eyJ. eyJ",
    "ratio 3://4, a:b@c",
]


@pytest.mark.parametrize("secret", SHAPED)
def test_keys_are_found_by_their_shape(secret: str) -> None:
    secrets = Secrets()
    assert secrets.redact(f"before {secret} after") == f"before {MASK} after"
    assert secrets.redact(json.dumps({"k": f"={secret!r}"})).count(MASK) == 1


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_comes_back_as_it_is(text: str) -> None:
    assert Secrets().redact(text) is text


def test_what_surrounds_a_secret_stays() -> None:
    secrets = Secrets()
    assert (
        secrets.redact("Authorization: Bearer abc.def-123456789012345, x")
        == f"Authorization: Bearer {MASK}, x"
    )
    url = "postgresql+psycopg://user:p4ss@db.example.com:5432/x"
    assert secrets.redact(url) == f"postgresql+psycopg://user:{MASK}@db.example.com:5432/x"


def test_a_registered_value_is_found_in_its_json_and_url_forms() -> None:
    secrets = Secrets()
    value = 'p"ss\\wörd&1'
    assert secrets.register(value)
    for form in (value, json.dumps(value), json.dumps(value, ensure_ascii=False), quote(value, "")):
        assert secrets.redact(f"x={form}").strip('"').endswith(MASK), form


def test_short_values_are_not_looked_for() -> None:
    secrets = Secrets()
    assert not secrets.register("  abc ")
    assert secrets.redact("abc") == "abc"


def test_values_are_not_shown() -> None:
    secrets = Secrets()
    secrets.register("hunter2hunter2")
    assert "hunter2" not in repr(secrets)


values = st.text(min_size=6, max_size=24).filter(lambda v: len(v.strip()) >= 6)


@given(
    st.lists(values, min_size=1, max_size=4), st.lists(st.text(max_size=20), max_size=5), st.data()
)
@example(["ab***cd"], ["abXXXXXXcd"], None)
def test_no_registered_value_survives(
    known: list[str], noise: list[str], data: st.DataObject | None
) -> None:
    secrets = Secrets()
    for value in known:
        assert secrets.register(value)
    parts = noise + known if data is None else data.draw(st.permutations(noise + known))
    clean = secrets.redact("".join(parts))
    assert not any(value.strip() in clean for value in known)
    assert secrets.redact(clean) == clean


@given(st.lists(st.sampled_from(SHAPED) | st.text(max_size=12), max_size=6))
def test_redacting_twice_changes_nothing_more(parts: list[str]) -> None:
    secrets = Secrets()
    clean = secrets.redact("".join(parts))
    assert secrets.redact(clean) == clean


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_like, values)
def test_json_is_cleaned_at_every_depth(value: object, secret: str) -> None:
    secrets = Secrets()
    secrets.register(secret)
    clean = secrets.redact_json({"deep": [value, {secret: [secret]}]})
    texts = list(_texts(clean))
    assert not any(secret.strip() in text for text in texts)
    assert any(MASK in text for text in texts)


@given(json_like)
def test_clean_json_is_not_copied(value: object) -> None:
    secrets = Secrets()
    assume(all(secrets.redact(text) == text for text in _texts(value)))
    assert secrets.redact_json(value) is value


def test_json_nested_without_end_is_cut() -> None:
    value: object = "sk-abcdefghij1234567890"
    for _ in range(5_000):
        value = [value]
    clean = Secrets().redact_json(value)
    for _ in range(150):
        assert isinstance(clean, list)
        clean = clean[0]


@pytest.mark.parametrize(
    "piece", ["sk-", "eyJ", "eyJ.", "://", "://a:", "Bearer ", "llmops-", "AKIA", "gsk_"]
)
def test_long_hostile_texts_are_no_trap(piece: str) -> None:
    # Work that grows with the square of the length would not end here.
    text = piece * 200_000
    assert Secrets().redact(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "OPENAI_API_KEY", "token", "hf_token", "hfToken", "accessToken",
        "secret", "db-password", "client_secret", "key", "api_keys", "access_tokens", "credentials",
        "pwd", "AWS_ACCESS_KEY_ID", "aws_secret_access_key", "private.key", "hftoken", "dbpassword",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)
    assert Secrets().looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens", "token_count", "keyword", "keywords", "monkey", "tokenizer", "n_tokens",
        "total_tokens", "tokens_per_second", "stop_token", "primary_key", "sort_key", "key_env",
        "secret_name", "password_length", "keyboard", "model", "temperature", "secretary", "",
        "tokens", "prompt_tokens", "output_tokens", "maxTokens", "compass",
    ],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not looks_secret(name)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for side in pair for text in _texts(side)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []
