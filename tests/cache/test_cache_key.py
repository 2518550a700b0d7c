"""Everything that affects an answer is in its key; nothing else is; tenants never meet."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.cache.key import facts_of
from llmops_kernel.cache.seal import Seal, secret_in
from llmops_kernel.calls import ChatRequest, EmbeddingRequest
from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.prices import FreePrice
from llmops_kernel.store.cache_rows import EntryRow

TARGET = Target("stub/m", "stub", "m", FreePrice("x"), base_url="http://a/v1")
BODY: dict[str, Any] = {
    "model": "stub/m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "ann"},
    ],
    "n": 2,
    "max_tokens": 7,
    "temperature": 0,
    "top_p": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
    "stop": ["x"],
    "seed": 1,
    "user": "u1",
    "logit_bias": {"1": 2},
    "frequency_penalty": 0.1,
    "reasoning_effort": "low",
    "a_field_of_tomorrow": {"deep": [1, {"er": None}]},
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def _facts(body: dict[str, Any], target: Target = TARGET, **more: str) -> str:
    return facts_of(ChatRequest.from_body(body), target, **{"tenant": "bank", "salt": "", **more})


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    found = [leaf for key, inner in items for leaf in _leaves(inner, (*path, key))]
    return found or [path]


@pytest.mark.parametrize("path", [p for p in _leaves(BODY) if p[0] != "model"])
def test_every_leaf_of_the_body_changes_the_key(path: tuple[Any, ...]) -> None:
    changed = json.loads(json.dumps(BODY))
    place = changed
    for step in path[:-1]:
        place = place[step]
    last = path[-1]
    old = place[last]
    place[last] = {str: f"{old}x", int: 99, float: 0.75}.get(type(old), "other")
    if path == ("messages", 0, "role"):
        place[last] = "developer"
    if path == ("messages", 1, "role"):
        place[last] = "assistant"
    if path == ("temperature",):
        place[last] = 0.5
    assert _facts(changed) != _facts(BODY)


@pytest.mark.parametrize("name", [name for name in BODY if name not in ("model", "messages")])
def test_every_field_counts_by_its_absence(name: str) -> None:
    assert _facts({k: v for k, v in BODY.items() if k != name}) != _facts(BODY)


@given(st.text(min_size=1, max_size=12), values, values)
def test_unknown_fields_count(name: str, one: Any, other: Any) -> None:
    name = f"x_{name}"
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (_facts({**BODY, name: one}) == _facts({**BODY, name: other})) == same


@given(st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_count(chance: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            chance.shuffle(items)
            return {key: shuffled(inner) for key, inner in items}
        return [shuffled(inner) for inner in value] if isinstance(value, list) else value

    assert _facts(shuffled(BODY)) == _facts(BODY)


def test_the_order_of_messages_counts() -> None:
    assert _facts({**BODY, "messages": BODY["messages"][::-1]}) != _facts(BODY)


def test_streams_share_the_key_unless_the_shapes_say_different_things() -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert _facts({**BODY, **options}) == _facts(BODY)
    assert _facts({**BODY, "metadata": {"a": "b"}, "prompt_cache_key": "k"}) == _facts(BODY)
    probable = {**BODY, "logprobs": True}
    assert _facts({**probable, **options}) != _facts(probable)


def test_the_target_counts_and_the_alias_does_not() -> None:
    assert _facts({**BODY, "model": "small"}) == _facts(BODY)
    changes: list[dict[str, Any]] = [
        {"model": "m2"},
        {"name": "other/m"},
        {"base_url": "http://b/v1"},
        {"headers": {"x-version": "2"}},
    ]
    from dataclasses import replace

    for change in changes:
        assert _facts(BODY, replace(TARGET, **change)) != _facts(BODY), change


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.text())
def test_tenants_and_salts_never_meet(one: str, other: str, salt: str, pepper: str) -> None:
    """Not even where one's name is made to look like a part of the other's request."""
    same = (one, salt) == (other, pepper)
    assert (_facts(BODY, tenant=one, salt=salt) == _facts(BODY, tenant=other, salt=pepper)) == same


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_row_sealed_for_one_tenant_fits_no_other(one: str, other: str) -> None:
    seal = Seal(b"s" * 32)
    row = seal.sealed(EntryRow("k", one, "m", "", "real", "[]", 1, 2, 3, "", "{}"))
    assert seal.fits(row._replace(tenant=other)) == (one == other)


def test_a_key_needs_a_tenant_and_plain_json() -> None:
    with pytest.raises(ValueError):
        _facts(BODY, tenant="")
    with pytest.raises(ValueError):
        _facts({**BODY, "x": float("nan")})
    with pytest.raises(TypeError):
        _facts({**BODY, "x": object()})


def test_embeddings_have_keys_of_their_own() -> None:
    def facts(**body: Any) -> str:
        request = EmbeddingRequest.from_body({"model": "stub/m", "input": "Hi", **body})
        return facts_of(request, TARGET, tenant="bank", salt="")

    assert len({facts(), facts(input=["Hi"]), facts(dimensions=3), facts(input="hi")}) == 4


@pytest.mark.parametrize("field", EntryRow._fields)
def test_every_column_is_sealed(field: str) -> None:
    seal = Seal(b"s" * 32)
    row = EntryRow("k", "t", "m", "n", "real", "[]", 1, 2, 3, "", '{"a":1}')
    row = seal.sealed(row)
    assert seal.fits(row)
    old = getattr(row, field)
    edited = row._replace(**{field: old + 1 if isinstance(old, int) else f"{old}x"})
    assert not seal.fits(edited)
    assert not Seal(b"t" * 32).fits(row)
    assert not seal.fits(row._replace(mac=None))  # type: ignore[arg-type]


def test_keys_depend_on_the_secret() -> None:
    assert Seal(b"a" * 32).key("x") != Seal(b"b" * 32).key("x")
    assert len(Seal(b"a" * 32).key("x")) == 48


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.key"
    secret = secret_in(path)
    assert secret == secret_in(path)
    assert len(secret) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert secret_in(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("")  # a full disk
    assert len(secret_in(path)) == 64
    assert [file.name for file in path.parent.iterdir()] == ["x.key"]


def test_processes_that_begin_together_agree_on_the_secret(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from llmops_kernel.cache.seal import secret_in; "
        "print(secret_in(Path(sys.argv[1])).decode())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "x.key")],
            stdout=subprocess.PIPE,
            env=dict(os.environ),
        )
        for _ in range(4)
    ]
    assert len({each.communicate()[0] for each in started}) == 1
