"""Answers on a Redis server that a team shares.

Each answer is one key that Redis itself lets expire; beside them lie when each was used, when it
expires, how large it is and how large all are together, so that the bounds hold for everybody.
Changes of several keys are scripts: Redis runs each alone.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from llmops_kernel.cache.backend import CacheDown, Limits, Selection
from llmops_kernel.errors import MissingExtra, SettingsError
from llmops_kernel.store import Lease
from llmops_kernel.store.cache_rows import EntryRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmops_kernel.store.cache_rows import EventRow, FlightRow
    from llmops_kernel.store.near_rows import NearRow

_T = TypeVar("_T")
_FORMS = ("redis://", "rediss://", "unix://")
_PREFIX = "{llmops-cache}:"  # one slot of a cluster: the scripts touch several keys
_ENTRY, _FLIGHT = f"{_PREFIX}e:", f"{_PREFIX}f:"
_BOOKS = tuple(_PREFIX + name for name in ("used", "expires", "size", "total"))
# Sorted sets of keys by where near questions find them; and per key the names of its sets.
_NEAR, _NEAR_OF = f"{_PREFIX}n:", f"{_PREFIX}near"
_BATCH = 500
# Longer than any answer within a machine room takes; a dead server must not hold calls up.
_TIMEOUT_S = 2.0

_DROP = (
    f"local NEAR = '{_NEAR_OF}'"
    + """
local function drop(key)
  local near = redis.call('HGET', NEAR, key)
  if near then
    for set in string.gmatch(near, '%S+') do redis.call('ZREM', set, key) end
    redis.call('HDEL', NEAR, key)
  end
  local size = redis.call('HGET', KEYS[3], key)
  if size then
    redis.call('HDEL', KEYS[3], key)
    redis.call('DECRBY', KEYS[4], size)
  end
  redis.call('ZREM', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  return redis.call('DEL', ARGV[1] .. key)
end
"""
)
# The answer; or the claim that stands ('' when it is the caller's own, made now).
_ENTER = """
local found = redis.call('GET', KEYS[5])
if found then
  redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[2], ARGV[1])
  return {found, ''}
end
local held = redis.call('GET', KEYS[6])
if held and held ~= ARGV[5] then return {'', held} end
redis.call('SET', KEYS[6], ARGV[3], 'PX', ARGV[4])
return {'', ''}
"""
_PUT = (
    _DROP
    + """
local key, at = ARGV[2], ARGV[4]
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'LIMIT', 0, 1000)) do
  drop(old)
end
drop(key)
redis.call('SET', ARGV[1] .. key, ARGV[3], 'PX', ARGV[6])
redis.call('ZADD', KEYS[1], at, key)
redis.call('ZADD', KEYS[2], ARGV[5], key)
redis.call('HSET', KEYS[3], key, ARGV[7])
redis.call('INCRBY', KEYS[4], ARGV[7])
if ARGV[10] ~= '' then
  redis.call('HSET', NEAR, key, ARGV[10])
  for set in string.gmatch(ARGV[10], '%S+') do redis.call('ZADD', set, at, key) end
end
local gone = 0
while redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[8])
    or tonumber(redis.call('GET', KEYS[4])) > tonumber(ARGV[9]) do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)
  if #oldest == 0 then break end
  drop(oldest[1])
  gone = gone + 1
end
return gone
"""
)
_REMOVE = (
    _DROP
    + """
local removed = 0
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' or redis.call('GET', ARGV[1] .. ARGV[i]) == ARGV[i + 1] then
    removed = removed + drop(ARGV[i])
  end
end
return removed
"""
)
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisBackend:
    """Answers on a Redis server.

    Args:
        url: ``redis://[user:password@]host[:port][/database]``, ``rediss://`` or ``unix://``.
        limits: How much is kept, for all who share the server.

    Raises:
        MissingExtra: The redis package is not installed.
        SettingsError: The URL cannot be used.
    """

    def __init__(self, url: str, limits: Limits) -> None:
        try:
            import redis
        except ImportError as error:
            raise MissingExtra("cache", "redis") from error
        if not url.startswith(_FORMS):
            raise SettingsError(
                "The cache's URL has an unknown form",
                hint='Leave it empty for the record, or use "redis://HOST:PORT/DATABASE"',
            )
        try:
            self._client: Any = redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                health_check_interval=30,
            )
        except ValueError as error:
            raise SettingsError("The cache's URL cannot be used", detail=str(error)) from error
        self._errors = (redis.RedisError, OSError)
        self._limits = limits
        self._where = f"{urlsplit(url).hostname or 'Redis'}"
        self._scripts = {
            name: self._client.register_script(text)
            for name, text in (
                ("enter", _ENTER), ("put", _PUT), ("remove", _REMOVE), ("release", _RELEASE),
            )
        }  # fmt: skip
        self._claims: dict[str, tuple[str, str]] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="llmops-cache")

    def arun(self, work: Callable[..., _T], *arguments: Any) -> Awaitable[_T]:
        """Run a method in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def enter(self, key: str, claim: FlightRow, at: int) -> EntryRow | Literal["claimed", "held"]:
        """See `Backend.enter`."""
        mine = _claim_text(claim)
        milliseconds = max((claim.expires - at) // 1_000, 1)
        keys = [*_BOOKS, _ENTRY + key, _FLIGHT + key]
        found, held = self._run("enter", keys, [key, at, mine, milliseconds, ""])
        if not found and held and _is_dead(held):
            # In place of this claim and no other: somebody may have been faster.
            found, held = self._run("enter", keys, [key, at, mine, milliseconds, held])
        if found:
            return _row(key, found)
        if held:
            return "held"
        with self._lock:
            self._claims[claim.claim_id] = (key, mine)
        return "claimed"

    def put(self, row: EntryRow, at: int, claim_id: str = "", near: NearRow | None = None) -> int:
        """See `Backend.put`."""
        values = [
            _ENTRY,
            row.entry_key,
            json.dumps(row[1:], separators=(",", ":")),
            at,
            row.expires,
            max((row.expires - at) // 1_000, 1),
            row.size,
            self._limits.entries,
            self._limits.bytes,
            " ".join(_sets(near)) if near else "",
        ]
        evicted = int(self._run("put", [*_BOOKS], values))
        self.release(row.entry_key, claim_id)
        return evicted

    def put_soon(
        self, row: EntryRow, at: int, claim_id: str, near: NearRow | None, evicted: EventRow
    ) -> bool:
        """See `Backend.put_soon`: every change is one of its own here."""
        del row, at, claim_id, near, evicted
        return False

    def release_soon(self, key: str, claim_id: str) -> bool:
        """See `Backend.release_soon`."""
        del key, claim_id
        return False

    def find(self, key: str, at: int) -> EntryRow | None:  # noqa: ARG002 - Redis lets it expire
        """See `Backend.find`."""
        text = self._read(lambda: self._client.get(_ENTRY + key))
        return None if text is None else _row(key, text)

    def twins(self, near: NearRow, at: int, limit: int) -> list[EntryRow]:  # noqa: ARG002
        """See `Backend.twins`."""
        keys: dict[str, None] = {}
        for name in _sets(near)[:-1] or _sets(near):
            newest = partial(self._client.zrevrange, name, 0, limit - 1)
            keys.update(dict.fromkeys(self._read(newest)))
        some = list(keys)[:limit]
        if not some:
            return []
        texts = self._read(lambda: self._client.mget([_ENTRY + key for key in some]))
        pairs = zip(some, texts, strict=True)
        return [_row(key, text) for key, text in pairs if text is not None]

    def touch(self, key: str, at: int) -> None:
        """See `Backend.touch`."""
        self._read(lambda: self._client.zadd(_BOOKS[0], {key: at}, xx=True, gt=True))

    def release(self, key: str, claim_id: str) -> None:
        """See `Backend.release`."""
        with self._lock:
            _, mine = self._claims.pop(claim_id, ("", ""))
        if mine:
            self._run("release", [_FLIGHT + key], [mine])

    def remove(self, row: EntryRow) -> bool:
        """See `Backend.remove`."""
        text = self._read(lambda: self._client.get(_ENTRY + row.entry_key))
        if text is None or _row(row.entry_key, text) != row:
            return False
        return bool(self._run("remove", [*_BOOKS], [_ENTRY, row.entry_key, text]))

    def clear(self, selection: Selection) -> int:
        """See `Backend.clear`."""
        removed = 0
        everything = selection == Selection()
        keys = self._read(lambda: self._client.zrange(_BOOKS[0], 0, -1))
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            texts = self._read(partial(self._client.mget, [_ENTRY + key for key in some]))
            chosen: list[str] = []
            for key, text in zip(some, texts, strict=True):
                if everything or (text is not None and _is_selected(_row(key, text), selection)):
                    chosen += [key, ""]
            if chosen:
                removed += int(self._run("remove", [*_BOOKS], [_ENTRY, *chosen]))
        return removed

    def measure(self, at: int) -> tuple[int, int]:
        """See `Backend.measure`; what has expired is removed."""
        over = self._read(lambda: self._client.zrangebyscore(_BOOKS[1], "-inf", at))
        for start in range(0, len(over), _BATCH):
            pairs = [part for key in over[start : start + _BATCH] for part in (key, "")]
            self._run("remove", [*_BOOKS], [_ENTRY, *pairs])
        entries = self._read(lambda: self._client.zcard(_BOOKS[0]))
        return int(entries), int(self._read(lambda: self._client.get(_BOOKS[3])) or 0)

    def close(self) -> None:
        """See `Backend.close`."""
        try:
            with self._lock:
                claims, self._claims = list(self._claims.values()), {}
            for key, mine in claims:
                self._run("release", [_FLIGHT + key], [mine])
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()

    def _run(self, name: str, keys: list[str], values: list[Any]) -> Any:
        return self._read(lambda: self._scripts[name](keys=keys, args=values))

    def _read(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._errors as error:
            # The client's text can quote the address with its password.
            raise CacheDown(f"{self._where}: {type(error).__name__}") from error


def _sets(near: NearRow) -> list[str]:
    """Return the names of the sets of a question: by its forms, then all of its place."""
    by_sign = [f"{_NEAR}{near.place}:{sign}" for sign in dict.fromkeys(near.signs)]
    return [*by_sign, f"{_NEAR}{near.place}"]


def _claim_text(claim: FlightRow) -> str:
    owner = claim.owner
    lease = [owner.lease_id, owner.machine, owner.boot, owner.pid, owner.pid_start]
    return json.dumps([claim.claim_id, lease], separators=(",", ":"))


def _is_dead(held: str) -> bool:
    try:
        return bool(Lease(*json.loads(held)[1]).is_dead())
    except (ValueError, TypeError, IndexError, KeyError):
        return True


def _row(key: str, text: str) -> EntryRow:
    """Return the row of a text; one of another shape gets no seal that could fit."""
    try:
        row = EntryRow(key, *json.loads(text))
    except (ValueError, TypeError):
        return EntryRow(key, "", "", "", "", "[]", 0, 0, 0, "", text)
    return row


def _is_selected(row: EntryRow, selection: Selection) -> bool:
    wanted = (
        (selection.tenant, row.tenant),
        (selection.model, row.model),
        (selection.notebook, row.notebook),
    )
    if any(value is not None and value != has for value, has in wanted):
        return False
    try:
        return selection.tag is None or selection.tag in json.loads(row.tags)
    except (ValueError, TypeError):
        return False
