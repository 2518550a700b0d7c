"""The servers there are, as calls see them: the price and the key of ``local/NAME``.

A record is read when its file has changed, so that a server another process starts, scales or
stops is seen at the next call.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.prices import FreePrice, TablePrice
from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.settings import PriceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.calls.prices import Price
    from llmops_kernel.serve.record import ServerRecord

PROVIDER = "local"
_KEPT_PLACES = 256


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: tuple[int, int]
    record: ServerRecord
    targets: dict[str, Target]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a server's files are, as text: a path object for each call costs more than the look."""

    record: str
    key: str
    used: str


class LocalServers:
    """The servers there are, as the catalog and the upstream ask for them.

    Args:
        variable: Gives the value of a variable, for keys of servers that others run.
    """

    def __init__(self, variable: Callable[[str], str | None] = os.environ.get) -> None:
        self._variable = variable
        self._known: dict[str, _Known] = {}
        self._keys: dict[str, tuple[tuple[int, int], str]] = {}
        self._where: dict[tuple[str, str], _Places] = {}
        self._owned: list[str] = []

    def own(self, name: str) -> None:
        """Note that a server ends with this session."""
        self._owned.append(name)

    def close(self) -> None:
        """Stop the servers that end with this session and are still its own."""
        owned, self._owned = self._owned, []
        if not owned:
            return
        from llmops_kernel.serve.servers.stopping import stop_owned

        for name in owned:
            stop_owned(name)

    def names(self) -> list[str]:
        """Return what servers and their adapters are called below ``local/``."""
        found = []
        for name in records.names():
            record = self.record(name)
            found.append(name)
            found += [f"{name}:{each.name}" for each in record.adapters] if record else []
        return found

    def record(self, name: str) -> ServerRecord | None:
        """Return a server by its name or one of its adapters'; None if there is none."""
        found = self._find(name.partition(":")[0])
        return None if found is None else found.record

    def target(self, name: str) -> Target | None:
        """Return where calls to ``local/NAME`` go; None if no such server is registered.

        The target's base URL names server and weights, not a port: answers in the cache stay good
        when the same weights are served again, and are not served for others. `LocalDoor` puts a
        replica's URL in its place. An adapter, ``local/NAME:ADAPTER``, is a target of its own: with
        its own name in prices, caps and traces, and its own place in the cache.
        """
        server, _, adapter = name.partition(":")
        found = self._find(server)
        return None if found is None else found.targets.get(adapter)

    def key_of(self, target: Target) -> str | None:
        """Return the key that a target's replica asks for: for its own address, and no other."""
        if target.provider != PROVIDER:
            return None
        record = self.record(target.name.partition("/")[2])
        if record is None or all(each.url != target.base_url for each in record.replicas):
            return None
        if record.attached:
            return self._variable(record.key_env) if record.key_env else None
        return self._key(record) if record.capabilities.get("keyed") else None

    def used(self, name: str) -> None:
        """Note that a server is called."""
        with contextlib.suppress(OSError):
            os.utime(self._places(name).used)

    def _find(self, name: str) -> _Known | None:
        if not name or os.sep in name or name in (os.curdir, os.pardir):
            return None
        try:
            stat = os.stat(self._places(name).record)  # noqa: PTH116 - see _Places
        except (OSError, ValueError):
            self._known.pop(name, None)
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(name)
        if known is not None and known.stamp == stamp:
            return known
        try:
            record = records.read_record(name)
        except (UsageProblem, StoreError):
            return None
        known = self._known[name] = _Known(stamp, record, _targets(record))
        return known

    def _key(self, record: ServerRecord) -> str | None:
        path = self._places(record.name).key
        try:
            stat = os.stat(path)  # noqa: PTH116 - see _Places
            stamp = (stat.st_mtime_ns, stat.st_ino)
            known = self._keys.get(record.name)
            if known is None or known[0] != stamp:
                known = stamp, Path(path).read_text(encoding="utf-8").strip()
                self._keys[record.name] = known
        except OSError:
            return None
        return known[1]

    def _places(self, name: str) -> _Places:
        home = os.environ.get("LLMOPS_HOME", "")
        places = self._where.get((home, name))
        if places is None:
            if len(self._where) >= _KEPT_PLACES:
                self._where.clear()
            folder = records.folder_of(name)
            files = (str(folder / each) for each in (records.RECORD, records.KEY, records.USED))
            places = self._where[home, name] = _Places(*files)
        return places


def _targets(record: ServerRecord) -> dict[str, Target]:
    """Return where calls to a server go, and to each of its adapters; "" is the base."""
    own = f"{record.name}/{record.identity}"
    if record.adapters:
        # Requests may say themselves which adapters, by number: what the numbers mean counts.
        told = "\n".join(f"{each.number} {each.identity}" for each in record.adapters)
        own = f"{own}+{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    found = {"": _target(record, record.name, record.model, own)}
    for each in record.adapters:
        model = record.model if each.number >= 0 and record.engine == "llama-server" else each.name
        name = f"{record.name}:{each.name}"
        place = f"{record.name}/{record.identity}:{each.identity}"
        found[each.name] = _target(record, name, model, place)
    return found


def _target(record: ServerRecord, name: str, model: str, place: str) -> Target:
    return Target(
        name=f"{PROVIDER}/{name}",
        provider=PROVIDER,
        model=model,
        price=_price(record, name),
        base_url=f"local://{place}",
    )


def _price(record: ServerRecord, name: str) -> Price:
    most = record.context or None
    if record.free:
        return FreePrice(f"free: {PROVIDER}/{name}", most)
    settings = PriceSettings(
        input=Decimal(record.usd_input),
        output=Decimal(record.usd_output),
        max_output_tokens=most,
        confirm=True,  # a GPU's tokens may cost less than any provider's
    )
    return TablePrice(f"{PROVIDER}/{name}", settings)
