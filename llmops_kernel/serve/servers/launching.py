"""One process of an engine: started, waited for until it is healthy, ended if it is not."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from llmops_kernel.errors import EngineFailed
from llmops_kernel.serve import record as records
from llmops_kernel.serve.engines import Start
from llmops_kernel.serve.record import Replica
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.leftovers import note_starting
from llmops_kernel.serve.servers.ready import Caller, wait_healthy

if TYPE_CHECKING:
    from llmops_kernel.serve.engines import Engine
    from llmops_kernel.serve.models import ServedModel
    from llmops_kernel.serve.record import Process
    from llmops_kernel.serve.servers.wanted import Wanted

_TRIES = 3  # another program may take a port between the look and the start
_PORT_TAKEN = ("address already in use", "couldn't bind", "could not bind", "errno 98")
_LOG_LINES = 6
_SMALL = 64 * 2**20  # bytes of weights


def launch(
    model: ServedModel, engine: Engine, wanted: Wanted, created: float
) -> tuple[Replica, Start]:
    """Start one process and wait until it is healthy.

    Raises:
        EngineFailed: It did not become so; it was stopped.
    """
    folder = records.folder_of(model.name)
    for attempt in range(_TRIES):
        start = Start(
            model=model,
            port=processes.free_port(wanted.port),
            slots=wanted.slots,
            context=wanted.context,
            key=key_in(model.name),
            key_file=folder / records.KEY,
            threads=wanted.threads or _threads(model),
            batching=wanted.batching,
            lora=wanted.lora,
            extra=wanted.extra,
        )
        command = engine.command(start)
        log = folder / records.LOG
        process = processes.spawn(command.argv, processes.clean_environment(command.env), log)
        note_starting(model.name, process, created)
        replica = Replica(f"http://127.0.0.1:{start.port}/v1", process)
        caller = Caller(replica.url, start.key if engine.capabilities(start).keyed else "")
        try:
            wait_healthy(
                caller, engine.health, ended=partial(_ended, process), wait_s=wanted.wait_s
            )
        except EngineFailed as error:
            processes.end(process)
            taken = any(text in processes.tail(log).lower() for text in _PORT_TAKEN)
            if taken and not wanted.port and attempt + 1 < _TRIES:
                continue
            raise with_log(error, model.name) from error
        except BaseException:
            processes.end(process)
            raise
        return replica, start
    raise AssertionError("the last attempt returns or raises")


def _ended(process: Process) -> str:
    if processes.alive(process):
        return ""
    return processes.exit_text(process) or "it is gone"


def still_there(replica: Replica, name: str) -> None:
    """Make sure that what answered is what we started: the port may be another's."""
    assert replica.process is not None
    if how := _ended(replica.process):
        raise EngineFailed("The engine ended before it answered", detail=f"{name}: {how}")


def with_log(error: EngineFailed, name: str) -> EngineFailed:
    """Return an error with the end of the log, which says more than we know."""
    last = [line.strip() for line in processes.tail(records.folder_of(name) / records.LOG)
            .splitlines() if line.strip()][-_LOG_LINES:]  # fmt: skip
    detail = "\n  ".join([part for part in (error.detail, *last) if part])
    return EngineFailed(
        error.message, detail=detail, hint=error.hint or f"llmops serve logs {name} shows its log"
    )


def key_in(name: str) -> str:
    """Return the key in the folder of a server that is being started."""
    return (records.folder_of(name) / records.KEY).read_text(encoding="utf-8").strip()


def _threads(model: ServedModel) -> int:
    """Return CPU threads: a small model spends more on handing work out than on the work."""
    return 1 if model.bytes < _SMALL else len(os.sched_getaffinity(0))
