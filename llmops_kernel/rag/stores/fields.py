"""A chunk's facts as a store can filter them, and what of a `Where` a store can be asked.

Stores differ in what a filter may hold and in what it then means: some paste values into SQL or
into an expression language, some keep 3 and 3.0 apart, some fail on a number where another row has
a text. So a store is only ever asked three things, which all answer alike and which no value can
break out of: is this text one of these, is this number at least, at most. Texts with other
characters than letters, digits and a few marks are asked by their hash, numbers are asked as
floats. What cannot be asked that way is left out: the store returns too much, never too little, and
`Where.holds` decides on the chunk's own facts.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

from llmops_kernel.rag.stores.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.rag.documents import Value
    from llmops_kernel.rag.where import Condition, Where

_OURS = "llmops_"
WALL = f"{_OURS}wall"  # the tenant, as a hash: filters on it are the wall between tenants
CHUNK = f"{_OURS}chunk"  # the chunk's id, where the store wants ids of another form
_DOC = f"{_OURS}doc"  # `doc_id` is a name that LlamaIndex keeps for itself
_REST = f"{_OURS}rest"  # JSON of the facts that no store could hold as they are

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}", re.ASCII)
# No quotes, backslashes, colons, percent signs or braces: those mean something to some store.
_PLAIN_TEXT = re.compile(r"[\w .,/()&+#@~-]{0,200}")
# Fields of LlamaIndex and of the stores, and words of Milvus's filter language.
# fmt: off
_TAKEN = frozenset((
    "id", "text", "embedding", "doc_id", "document_id", "ref_doc_id", "node_id", "metadata",
    "vector", "values", "score", "document", "distance", "sparse_embedding", "and", "or",
    "not", "in", "like", "is", "null", "true", "false", "exists", "has", "all", "any",
    "array", "contains", "json_contains", "json_contains_all", "json_contains_any",
    "array_contains", "array_length", "text_match", "phrase_match", "between", "div", "mod",
))
# fmt: on
_LONGEST = 500  # characters of a text that is kept as a field of its own
_EXACT = 2**53  # beyond it a float does not hold every integer


def encode_facts(facts: Mapping[str, Value]) -> dict[str, Value]:
    """Return flat metadata that every store can hold and `decode_facts` reads back exactly."""
    flat: dict[str, Value] = {WALL: wall_of(str(facts.get("tenant", "")))}
    rest: dict[str, Value] = {}
    for name, value in facts.items():
        key = _natural(name)
        if key and _storable(value):
            flat[key] = value
        else:
            rest[name] = value
        if isinstance(value, str):
            if not (key and _plain(value)):
                flat[_hashed_name(name)] = _hash(value)
        elif (number := _float(value)) is not None:
            flat[_number_name(name)] = number
    if rest:
        flat[_REST] = json.dumps(rest)
    return flat


def decode_facts(metadata: Mapping[str, Any]) -> dict[str, Value]:
    """Return the facts of a stored chunk."""
    facts = {key: value for key, value in metadata.items() if not key.startswith(_OURS)}
    if _DOC in metadata:
        facts["doc_id"] = metadata[_DOC]
    if _REST in metadata:
        facts.update(json.loads(metadata[_REST]))
    return facts


def own_names(metadata: Iterable[str]) -> list[str]:
    """Return the names of the fields that are there to filter by, not to read."""
    return [name for name in metadata if name.startswith(_OURS)]


def wall_of(tenant: str) -> str:
    """Return the tenant's mark: the same for the same tenant only, and safe in any filter."""
    return _hash(f"tenant\x1f{tenant}")


def walls_of(where: Where) -> list[str]:
    """Return the marks of the tenants that a search may see."""
    return [wall_of(tenant) for tenant in where.tenants]


def is_exact(where: Where) -> bool:
    """Return whether a store that passes `filters_of` can be expected to pass the rest."""
    return all(
        condition.op in {"==", "in"}
        or (condition.op in {">=", "<="} and not isinstance(condition.value, str))
        for condition in where.conditions
    )


def filters_of(where: Where, *, wall: bool = True) -> Any:
    """Return the LlamaIndex ``MetadataFilters`` that all chunks of a `Where` pass.

    Args:
        where: What a search may see.
        wall: Whether the tenants are part of the filters; False for a store that keeps tenants
            apart in another way.

    Returns:
        The filters, or None when there is nothing to filter by.
    """
    types = load("llama_index.core.vector_stores.types", extra="rag")
    wanted = [_one_of(WALL, walls_of(where))] if wall else []
    for condition in where.conditions:
        wanted.extend(_asked(condition))
    return types.MetadataFilters(filters=wanted) if wanted else None


def _asked(condition: Condition) -> list[Any]:
    name, op, value = condition.field, condition.op, condition.value
    if isinstance(value, tuple):
        return _any_of(name, value)
    if op == "==":
        return _equal(name, value)
    number = None if isinstance(value, str) else _float(value)
    if number is None or op == "!=":
        return []  # texts have an order only here, and stores disagree on what "not" says of gaps
    # Not strict, because two integers may share a float.
    return [_compared(_number_name(name), ">=" if op in {">", ">="} else "<=", number)]


def _equal(name: str, value: Value) -> list[Any]:
    if isinstance(value, str):
        key = _natural(name)
        if key and _plain(value):
            return [_one_of(key, [value])]
        return [_one_of(_hashed_name(name), [_hash(value)])]
    number = _float(value)
    if number is None:
        return []
    key = _number_name(name)
    return [_compared(key, ">=", number), _compared(key, "<=", number)]


def _any_of(name: str, values: tuple[Value, ...]) -> list[Any]:
    types = load("llama_index.core.vector_stores.types", extra="rag")
    texts = [value for value in values if isinstance(value, str)]
    key = _natural(name)
    plain = [text for text in texts if key and _plain(text)]
    hashes = [_hash(text) for text in texts if not (key and _plain(text))]
    ways: list[Any] = []
    if plain:
        ways.append(_one_of(str(key), plain))
    if hashes:
        ways.append(_one_of(_hashed_name(name), hashes))
    numbers = [_equal(name, value) for value in values if not isinstance(value, str)]
    ways += [types.MetadataFilters(filters=both) for both in numbers if both]
    return [types.MetadataFilters(filters=ways, condition="or")] if ways else []


def _one_of(key: str, values: list[str]) -> Any:
    types = load("llama_index.core.vector_stores.types", extra="rag")
    if len(values) == 1:
        return types.MetadataFilter(key=key, value=values[0], operator="==")
    return types.MetadataFilter(key=key, value=values, operator="in")


def _compared(key: str, op: str, number: float) -> Any:
    types = load("llama_index.core.vector_stores.types", extra="rag")
    return types.MetadataFilter(key=key, value=number, operator=op)


def _natural(name: str) -> str | None:
    """Return the field that holds a fact as it is, or None when the name cannot be one."""
    if name == "doc_id":
        return _DOC
    if name.startswith(_OURS) or name.lower() in _TAKEN or not _PLAIN_NAME.fullmatch(name):
        return None
    return name


def _hashed_name(name: str) -> str:
    return f"{_OURS}eq_{_hash(name)[1:17]}"


def _number_name(name: str) -> str:
    natural = _natural(name)
    return f"{_OURS}num_{natural or _hash(name)[:16]}"


def _plain(text: str) -> bool:
    if not _PLAIN_TEXT.fullmatch(text):
        return False
    try:  # PostgreSQL's adapter compares what looks like a number as one
        float(text)
    except ValueError:
        return True
    return False


def _storable(value: Value) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and "\0" not in value and _encodes(value)
    return abs(value) < _EXACT  # not for NaN either


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _float(value: float) -> float | None:
    """Return the nearest finite float, so that order is kept; None for what has no order."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    if math.isnan(number):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, number))


def _hash(text: str) -> str:
    # The letter in front keeps thirty-two digits from being taken for a number.
    return "x" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
