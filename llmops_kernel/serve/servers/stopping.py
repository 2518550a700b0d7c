"""Stopping servers, and seeing which are alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import LLMOpsError, StoreError
from llmops_kernel.serve import record as records
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.leftovers import end_leftovers, remove
from llmops_kernel.serve.servers.ready import Caller

if TYPE_CHECKING:
    from llmops_kernel.serve.record import ServerRecord


@dataclass(frozen=True, slots=True)
class Seen:
    """A server as it was found.

    Attributes:
        record: What is written down of it.
        state: ``ready``, ``degraded`` (some replicas do not answer), ``unwell`` (none does, but a
            process lives), or ``dead``.
        answering: Replicas that answer.
        rss: Bytes of memory its processes have in use; None if that cannot be known.
    """

    record: ServerRecord
    state: str
    answering: int
    rss: int | None

    def as_json(self) -> dict[str, Any]:
        """Return what lists show; never a key."""
        record = self.record
        return {
            "name": record.name,
            "model": _shown(record),
            "engine": record.engine,
            "state": self.state,
            "answering": self.answering,
            "replicas": len(record.replicas),
            "slots": record.slots,
            "context": record.context,
            "urls": [each.url for each in record.replicas],
            "pids": [each.process.pid for each in record.replicas if each.process],
            "usd_input": record.usd_input,
            "usd_output": record.usd_output,
            "usd_per_1m": "free" if record.free else f"{record.usd_input} / {record.usd_output}",
            "rss": self.rss,
            "ready_s": record.ready_s,
            "capabilities": record.capabilities,
            "file_type": record.file_type,
            "adapters": [{"name": each.name, "ref": each.ref} for each in record.adapters],
            "kept": record.owner is None,
            "idle_s": record.idle_s,
        }


def stop_server(name: str, created: float | None = None) -> bool:
    """Stop a server and forget it; say whether a process had run.

    What is written down goes first, so that no further call is sent to it, and the name is free for
    another start while the processes end. Servers that somebody else runs are only forgotten.

    Args:
        name: The server.
        created: Stop only the server of this start; None for whichever there is.

    Raises:
        UsageProblem: There is no such server.
    """
    try:
        record = records.read_record(name)
    except StoreError:
        remove(name)  # damaged: its processes cannot be known
        return end_leftovers(name)
    if created not in (None, record.created):
        return False
    remove(name)
    ended = [end_leftovers(name, record.created)]  # a replica that was about to be
    ended += [processes.end(each.process) for each in record.replicas if each.process is not None]
    return any(ended)


def stop_owned(name: str) -> bool:
    """Stop a server if this process is the one that it ends with; say whether it was."""
    try:
        owner = records.read_record(name).owner
    except LLMOpsError:
        return False
    if owner is None or owner.pid != processes.this_process().pid:
        return False
    return stop_server(name)


def look(name: str, *, ask: bool = True) -> Seen:
    """Look whether a server is alive.

    Args:
        name: The server.
        ask: Whether to ask each replica; without, only its process is looked for.

    Raises:
        UsageProblem: There is no such server.
        StoreError: Its record cannot be read.
    """
    record = records.read_record(name)
    living = [
        each for each in record.replicas if each.process is None or processes.alive(each.process)
    ]
    answering = [each for each in living if not ask or _healthy(record, each.url)]
    if not living or (record.attached and not answering):
        state = "dead"
    elif not answering:
        state = "unwell"
    else:
        state = "ready" if len(answering) == len(record.replicas) else "degraded"
    sizes = [processes.resident_bytes(each.process) for each in living if each.process]
    known = [size for size in sizes if size is not None]
    return Seen(record, state, len(answering), sum(known) if known else None)


def look_at_all(*, ask: bool = True) -> list[Seen]:
    """Look at every registered server; records that cannot be read are left out."""
    found = []
    for name in records.names():
        try:
            found.append(look(name, ask=ask))
        except StoreError:
            continue
    return found


def read_log(name: str, lines: int = 40) -> str:
    """Return the end of a server's log, also after it was stopped.

    Raises:
        UsageProblem: There never was such a server.
    """
    log = records.folder_of(name) / records.LOG
    if not log.is_file():
        records.read_record(name)  # says that it does not exist
    return processes.tail(log, lines)


def key_of(record: ServerRecord) -> str:
    """Return the key that a server we run asks for; "" if it asks for none."""
    if not record.capabilities.get("keyed") or record.attached:
        return ""
    try:
        return (records.folder_of(record.name) / records.KEY).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _shown(record: ServerRecord) -> str:
    """Return what a server serves, in a word: a file's name, or what its owner calls the model."""
    if record.attached:
        return record.model
    return record.source.rpartition("/")[2] or record.source


def _healthy(record: ServerRecord, url: str) -> bool:
    caller = Caller(url, key_of(record))
    return caller.healthy("/health", 2.0) or bool(record.attached and caller.models())
