"""What is written down of a server that runs: who may call it, where, and what stops it.

``<data home>/serving/NAME/`` holds ``engine.json`` (this record), ``key``, ``log`` and ``used``,
all readable by the owner only. The record is there if and only if the server has answered.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import StoreError, UsageProblem, nearest
from llmops_kernel.files import write_whole
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from pathlib import Path

RECORD, STARTING, KEY, LOG, USED = "engine.json", "starting.json", "key", "log", "used"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one with the same number.

    Attributes:
        pid: Its number.
        started: When it started, in seconds since 1970.
    """

    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class Replica:
    """One process that serves.

    Attributes:
        url: Its base URL, up to ``/v1``.
        process: The process; None for a server that somebody else runs.
    """

    url: str
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter beside a base.

    Attributes:
        name: It is called as ``local/SERVER:NAME``.
        ref: The registered version, ``name@version``; "" for a path.
        path: The file or folder that the engine loads.
        identity: Twelve hex digits that change with its weights; answers are cached under them.
        number: Its place among those the engine was started with, from 0; -1 if it came later.
    """

    name: str
    ref: str
    path: str
    identity: str
    number: int = -1


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server.

    Attributes:
        name: It is called as ``local/NAME``.
        engine: The engine's name.
        model: What the model is called in requests to it.
        source: What it serves, for people.
        identity: Twelve hex digits that change with the weights; answers are cached under them.
        replicas: The processes.
        context: Tokens of one request; 0 where it is not known.
        slots: Requests each replica works on at once.
        created: When it was registered, in seconds since 1970.
        owner: The process with which it ends; None if it stays.
        idle_s: Seconds without a call after which it is stopped; 0 for never.
        usd_input: USD for 1M input tokens.
        usd_output: USD for 1M output tokens.
        key_env: Variable that holds the key of a server somebody else runs.
        capabilities: What the engine can do.
        start: What a further replica needs to know.
        ready_s: Seconds from the start to the first answer.
        adapters: Adapters beside the base; each is called as ``local/NAME:ADAPTER``.
        file_type: How its weights are stored, such as ``q8_0``; "" where it is not known.
    """

    name: str
    engine: str
    model: str
    source: str
    identity: str
    replicas: tuple[Replica, ...]
    context: int = 0
    slots: int = 1
    created: float = 0.0
    owner: Process | None = None
    idle_s: float = 0.0
    usd_input: str = "0"
    usd_output: str = "0"
    key_env: str = ""
    capabilities: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    ready_s: float = 0.0
    adapters: tuple[Adapter, ...] = ()
    file_type: str = ""

    @property
    def attached(self) -> bool:
        """Whether somebody else runs it."""
        return all(each.process is None for each in self.replicas)

    @property
    def free(self) -> bool:
        """Whether its tokens cost nothing."""
        return float(self.usd_input) == 0 and float(self.usd_output) == 0

    def adapter(self, name: str) -> Adapter | None:
        """Return the adapter of a name, or None."""
        return next((each for each in self.adapters if each.name == name), None)

    def with_(self, **changes: Any) -> ServerRecord:
        """Return a changed copy."""
        return replace(self, **changes)


def serving_home() -> Path:
    """Return the folder of all servers."""
    return data_home() / "serving"


def folder_of(name: str) -> Path:
    """Return the folder of a server."""
    return serving_home() / name


def names() -> list[str]:
    """Return the names of the registered servers."""
    home = serving_home()
    return sorted(path.parent.name for path in home.glob(f"*/{RECORD}")) if home.is_dir() else []


def read_record(name: str) -> ServerRecord:
    """Return a registered server.

    Raises:
        UsageProblem: There is none of that name.
        StoreError: Its record cannot be read.
    """
    path = folder_of(name) / RECORD
    try:
        return parse_record(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = names()
        raise UsageProblem(
            f"No server local/{name} runs{nearest(name, known)}",
            hint=f"Running: {', '.join(known)}" if known else f"Start it: %serve start {name}",
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            "The record of a server cannot be read", detail=f"{path}: {error}",
            hint=f"llmops serve stop {name}",
        ) from error  # fmt: skip


def parse_record(text: str) -> ServerRecord:
    """Read a record's text (raises `ValueError`, `TypeError` or `KeyError` if it is none)."""
    values = json.loads(text)
    if values.pop("version", None) != _VERSION:
        raise ValueError("written by another version")
    owner = values.pop("owner")
    replicas = tuple(
        Replica(each["url"], None if each["process"] is None else Process(**each["process"]))
        for each in values.pop("replicas")
    )
    adapters = tuple(Adapter(**each) for each in values.pop("adapters", ()))
    return ServerRecord(
        replicas=replicas,
        adapters=adapters,
        owner=None if owner is None else Process(**owner),
        **values,
    )


def write_record(record: ServerRecord) -> None:
    """Write a record at once and whole (raises `StoreError`)."""
    text = json.dumps({"version": _VERSION, **asdict(record)}, indent=1)
    write_private(folder_of(record.name) / RECORD, text)


def write_private(path: Path, text: str) -> None:
    """Write a file at once and whole, readable by the owner only (raises `StoreError`)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, text, private=True)
    except OSError as error:
        raise StoreError(
            "The record of a server cannot be written",
            detail=f"{path}: {error.strerror or error}",
        ) from error
