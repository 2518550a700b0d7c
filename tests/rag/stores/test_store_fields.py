from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.errors import SettingsError
from llmops_kernel.rag.stores import open_store, store_kinds
from llmops_kernel.rag.stores.adapter import collection_name
from llmops_kernel.rag.stores.fields import (
    decode_facts,
    encode_facts,
    filters_of,
    wall_of,
)
from llmops_kernel.rag.stores.urls import parse_url
from llmops_kernel.rag.where import Condition, Where

_texts = st.text(st.characters(codec=None), max_size=12)
_values = _texts | st.integers() | st.floats() | st.booleans()
_names = (
    _texts
    | st.sampled_from(["text", "id", "doc_id", "tenant", "in", "version", "llmops_wall", "_node"])
    | st.from_regex(r"[A-Za-z_][\w.-]{0,60}", fullmatch=True)
)
_facts = st.dictionaries(_names, _values, max_size=6).map(
    lambda facts: {**facts, "tenant": str(facts.get("tenant", "")), "doc_id": "0123456789abcdef"}
)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


@settings(max_examples=300)
@given(_facts)
def test_facts_survive_any_store(facts: dict[str, Any]) -> None:
    flat = encode_facts(facts)
    # What the strictest of them takes: ASCII-safe names, finite numbers, no NUL, valid UTF-8.
    for name, value in flat.items():
        assert name.isascii()
        assert name.isidentifier()
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        else:
            assert math.isfinite(value)
    back = decode_facts(json.loads(json.dumps(flat)))
    assert back.keys() == facts.keys()
    assert all(_same(back[name], facts[name]) for name in facts)


@settings(max_examples=300)
@given(
    facts=_facts,
    field=_names,
    op=st.sampled_from(["==", "!=", ">", ">=", "<", "<=", "in"]),
    value=_values,
    more=st.lists(_values, max_size=3),
)
def test_filters_pass_whatever_where_lets_through(
    facts: dict[str, Any], field: str, op: Any, value: Any, more: list[Any]
) -> None:
    for name in (field, *facts):
        asked = facts.get(name, value)  # often what the chunk has, so that conditions hold
        of = (asked, *more) if op == "in" else asked
        where = Where(facts["tenant"], (Condition(name, op, of),))
        if where.holds(facts):
            assert _passes(filters_of(where), encode_facts(facts))


def _passes(filters: Any, flat: dict[str, Any]) -> bool:
    if not hasattr(filters, "filters"):
        own = flat.get(filters.key)
        if own is None:
            return False
        # Only these are ever asked, of texts and of floats.
        assert filters.operator.value in {"==", "in", ">=", "<="}
        if filters.operator.value in {">=", "<="}:
            assert isinstance(own, float)
            assert isinstance(filters.value, float)
            return own >= filters.value if filters.operator.value == ">=" else own <= filters.value
        wanted = filters.value if isinstance(filters.value, list) else [filters.value]
        # Nothing that could end a quoted text or be taken for a parameter or a number.
        for text in wanted:
            assert not set(text) & set("'\"\\:%{}$;`\0\n")
            with pytest.raises(ValueError, match="could not convert"):
                float(text)
        return own in wanted
    every = any if filters.condition.value == "or" else all
    return every(_passes(each, flat) for each in filters.filters)


@given(_texts, _texts)
def test_walls_are_the_same_for_the_same_tenant_only(one: str, other: str) -> None:
    assert (wall_of(one) == wall_of(other)) == (one == other)


@given(_texts, _texts)
def test_names_of_indexes_do_not_collide_and_suit_every_store(one: str, other: str) -> None:
    name = collection_name(one)
    assert (name == collection_name(other)) == (one == other)
    assert len(name) <= 42
    assert name.replace("_", "").isalnum()
    assert name == name.lower()
    assert name.isascii()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("chroma", "/home/me/chroma"),
        ("qdrant", "/home/me/qdrant"),
        ("milvus", "/home/me/milvus.db"),
        ("chroma:///data/vec%20tors", "/data/vec tors"),
        ("CHROMA:////data/x", "/data/x"),
        ("milvus:///data/x.db", "/data/x.db"),
        ("qdrant://~/x", str(Path("~/x").expanduser())),
        ("qdrant://./x", str(Path("x").absolute())),
    ],
)
def test_urls_of_folders(url: str, path: str) -> None:
    place = parse_url(url, Path("/home/me"))
    assert Path(str(place.path)) == Path(path)
    assert place.label == str(place.path)


@pytest.mark.parametrize(
    ("url", "shown", "key"),
    [
        ("chroma+http://localhost", "http://localhost:8000", ""),
        ("chroma+https://:tok%40en@h.example", "https://h.example:443", "tok@en"),
        ("qdrant+https://h.example/base/", "https://h.example:6333/base", ""),
        ("qdrant+http://[::1]:99", "http://[::1]:99", ""),
        ("milvus+http://root:secret@h", "http://h:19530", "root:secret"),
        ("postgresql://me:secret@h:99/db?sslmode=require", "postgresql://me@h:99/db", "secret"),
        ("postgresql+psycopg://me@h/db?password=secret", "postgresql://me@h/db", "secret"),
        ("postgres://h/db", "postgresql://h/db", ""),
    ],
)
def test_urls_of_servers(url: str, shown: str, key: str) -> None:
    place = parse_url(url, Path("/home/me"))
    assert place.label == shown
    assert place.key == key
    assert "secret" not in repr(place) + place.label


def test_keys_of_servers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "q-key")
    assert parse_url("qdrant+http://h", Path("/x")).key == "q-key"
    monkeypatch.setenv("PINECONE_API_KEY", "p-key")
    place = parse_url("pinecone://bank?host=https://bank-1.svc.example", Path("/x"))
    assert (place.name, place.host, place.key) == ("bank", "https://bank-1.svc.example", "p-key")
    assert "p-key" not in repr(place) + place.label


@pytest.mark.parametrize(
    "url",
    [
        *("chroma://localhost:8000", "chroma+grpc://h", "chroma+http://", "qdrant+http://h:x"),
        *(
            "postgresql",
            "postgresql://",
            "postgresql://u:secret@[::1/db",
            "pinecone",
            "pinecone://",
        ),
        *("milvus://x.db", "chroma://data"),
    ],
)
def test_urls_of_another_form_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown form") as caught:
        open_store(url, index="i", dim=3, home=tmp_path)
    assert url.partition(":")[0].partition("+")[0] in caught.value.hint
    assert "secret" not in caught.value.sentence()


@pytest.mark.parametrize(
    ("url", "meant"),
    [("chrome", "chroma"), ("quadrant:///x", "qdrant"), ("pgvectors://h", "pgvector")],
)
def test_unknown_kinds_are_refused_with_the_nearest(url: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"did you mean '{meant}'") as caught:
        open_store(url, index="i", dim=3, home=tmp_path)
    assert ", ".join(store_kinds()) in caught.value.hint
    with pytest.raises(SettingsError, match="no vector store") as caught:
        open_store("me:hunter2@host", index="i", dim=3, home=tmp_path)
    assert "hunter2" not in caught.value.sentence()


def test_nothing_heavy_is_imported_before_a_store_is_opened() -> None:
    code = (
        "import sys, llmops_kernel.rag.stores; "
        "print([m for m in ('numpy', 'llama_index', 'chromadb', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
