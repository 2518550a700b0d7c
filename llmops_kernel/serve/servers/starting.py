"""Starting a server: nothing is registered before it has answered, and nothing is left if not."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import EngineFailed, LLMOpsError, UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.serve.engines import Start, choose_engine, engine_named
from llmops_kernel.serve.models import ServedModel, find_model, server_name
from llmops_kernel.serve.record import Replica, ServerRecord
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.ready import Caller, check_answers, wait_healthy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from llmops_kernel.serve.engines import Engine
    from llmops_kernel.serve.record import Process

_WAIT_S = 180.0
_TRIES = 3  # another program may take a port between the look and the start
_PORT_TAKEN = ("address already in use", "couldn't bind", "could not bind", "errno 98")
_LOG_LINES = 6
_DEFAULT_CONTEXT = 4_096
_SMALL = 64 * 2**20  # bytes of weights


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a model shall be served.

    Attributes:
        slots: Requests at once.
        context: Tokens of one request; 0 for the model's own bound, at most 4,096.
        port: The port; 0 for any free one.
        threads: CPU threads; 0 for as many as this process may use.
        batching: Whether to batch where that is a choice; None for the engine's default.
        keep: Whether it outlives this process.
        idle_s: Seconds without a call after which it is stopped; 0 for never.
        wait_s: Seconds it may take until it answers.
        parity: Whether to compare its answers with the trained model's.
        usd_input: USD for 1M input tokens; 0 for none.
        usd_output: USD for 1M output tokens; 0 for none.
        extra: Further arguments for the engine.
    """

    slots: int = 8
    context: int = 0
    port: int = 0
    threads: int = 0
    batching: bool | None = None
    keep: bool = False
    idle_s: float = 0.0
    wait_s: float = _WAIT_S
    parity: bool = True
    usd_input: Decimal | float = 0
    usd_output: Decimal | float = 0
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slots < 1 or self.context < 0 or self.threads < 0:
            raise UsageProblem("Slots must be at least 1, context and threads at least 0")
        if self.wait_s <= 0 or self.idle_s < 0:
            raise UsageProblem("A wait must be above zero, an idle time at least zero")
        if self.usd_input < 0 or self.usd_output < 0:
            raise UsageProblem("A price must be at least zero")


@dataclass(frozen=True, slots=True)
class Started:
    """A server that has answered.

    Attributes:
        record: The server.
        fresh: Whether it was started now; it may have run already.
        checked: What was compared with the trained model; see `check_answers`.
    """

    record: ServerRecord
    fresh: bool
    checked: dict[str, int]


def start_server(
    asked: str,
    *,
    engine: str = "auto",
    name: str = "",
    wanted: Wanted | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Started:
    """Start a server on loopback and register it as ``local/NAME`` once it has answered.

    Args:
        asked: A path, or the name of a registered model.
        engine: An engine's name, or ``auto``.
        name: What to call it; "" for the model's own name.
        wanted: How it shall be served.
        say: Told what is being done, a line at a time.

    Raises:
        UsageProblem: The model, the engine or the port cannot be, or the name is taken.
        EngineFailed: The engine is not there, ended, hung, or answered what is no answer. What was
            started has been stopped, and nothing is registered.
    """
    wanted = wanted or Wanted()
    model = find_model(asked, name)
    chosen = choose_engine(model, engine)
    model = replace(model, name=server_name(name or model.name))
    with alone(model.name):
        if (running := _running(model, chosen)) is not None:
            return Started(running, fresh=False, checked={})
        with _cleaned(model.name):
            return _start(model, chosen, wanted, say)


def add_replicas(
    name: str, number: int, say: Callable[[str], None] = lambda _: None
) -> ServerRecord:
    """Bring a server to a number of replicas; the newest ones go first when there are too many.

    Raises:
        UsageProblem: There is no such server, it is somebody else's, or the number cannot be.
        EngineFailed: A replica did not come to answer; those that did stay.
    """
    if number < 1:
        raise UsageProblem("A server has at least one replica", hint=f"%serve stop {name}")
    with alone(name):
        record = records.read_record(name)
        if record.attached:
            raise UsageProblem("Replicas of a server that somebody else runs are theirs to start",
                               detail=name)  # fmt: skip
        model, engine, wanted = _again(record)
        living = [
            each for each in record.replicas if each.process and processes.alive(each.process)
        ]
        for each in living[number:]:
            assert each.process is not None
            records.write_record(record.with_(replicas=tuple(living[:number])))
            processes.end(each.process)
        living = living[:number]
        while len(living) < number:
            say(f"Starting replica {len(living) + 1} of {number}")
            replica, _ = _launch(model, engine, wanted, record.created)
            living.append(replica)
            record = record.with_(replicas=tuple(living))
            records.write_record(record)
            _forget_starting(name)
        record = record.with_(replicas=tuple(living))
        records.write_record(record)
        return record


def _start(
    model: ServedModel, engine: Engine, wanted: Wanted, say: Callable[[str], None]
) -> Started:
    folder = records.folder_of(model.name)
    records.write_private(folder / records.KEY, "sk-local-" + secrets.token_urlsafe(24) + "\n")
    with contextlib.suppress(OSError):
        (folder / records.LOG).unlink()
    wanted = replace(wanted, context=wanted.context or _context(model))
    say(f"Starting {engine.name} for {model.name}")
    began = time.monotonic()
    created = time.time()
    _watch(model.name, created)
    replica, start = _launch(model, engine, wanted, created)
    able = engine.capabilities(start)
    caller = Caller(replica.url, _key(model.name) if able.keyed else "")
    served = engine.command(start).model
    try:
        checked = check_answers(caller, served, able, model.reference if wanted.parity else None)
        _still_there(replica, model.name)
    except EngineFailed as error:
        raise _with_log(error, model.name) from error
    record = ServerRecord(
        name=model.name,
        engine=engine.name,
        model=served,
        source=str(model.gguf if engine.name == "llama-server" else model.folder or model.remote),
        identity=model.identity(f"{engine.name} {wanted.context}"),
        replicas=(replica,),
        context=wanted.context,
        slots=wanted.slots,
        created=created,
        owner=None if wanted.keep else processes.this_process(),
        idle_s=wanted.idle_s,
        usd_input=str(wanted.usd_input),
        usd_output=str(wanted.usd_output),
        capabilities=asdict(able),
        start={"model": _portable(model), "wanted": _again_wanted(wanted)},
        ready_s=round(time.monotonic() - began, 3),
    )
    (folder / records.USED).touch(mode=0o600)
    records.write_record(record)
    _forget_starting(model.name)
    say(f"local/{model.name} is ready")
    return Started(record, fresh=True, checked=checked)


def _launch(
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
            key=_key(model.name),
            key_file=folder / records.KEY,
            threads=wanted.threads or _threads(model),
            batching=wanted.batching,
            extra=wanted.extra,
        )
        command = engine.command(start)
        log = folder / records.LOG
        process = processes.spawn(command.argv, processes.clean_environment(command.env), log)
        _note_starting(model.name, process, created)
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
            raise _with_log(error, model.name) from error
        except BaseException:
            processes.end(process)
            raise
        return replica, start
    raise AssertionError("the last attempt returns or raises")


def _ended(process: Process) -> str:
    if how := processes.exit_text(process):
        return how
    return "" if processes.alive(process) else "it is gone"


def _still_there(replica: Replica, name: str) -> None:
    """Make sure that what answered is what we started: the port may be another's."""
    assert replica.process is not None
    if how := _ended(replica.process):
        raise EngineFailed("The engine ended before it answered", detail=f"{name}: {how}")


def _threads(model: ServedModel) -> int:
    """Return CPU threads: a small model spends more on handing work out than on the work."""
    return 1 if model.bytes < _SMALL else len(os.sched_getaffinity(0))


def _context(model: ServedModel) -> int:
    own = model.context()
    return min(own, _DEFAULT_CONTEXT) if own else _DEFAULT_CONTEXT


def _running(model: ServedModel, engine: Engine) -> ServerRecord | None:
    """Return the server of this name if it runs and serves the same.

    Raises:
        UsageProblem: It serves something else.
    """
    if model.name not in records.names():
        return None
    record = records.read_record(model.name)
    if not any(each.process and processes.alive(each.process) for each in record.replicas):
        if not record.attached:
            return None
    elif record.engine == engine.name and record.identity == model.identity(
        f"{engine.name} {record.context}"
    ):
        return record
    raise UsageProblem(
        f"local/{model.name} runs already and serves something else",
        detail=f"{record.engine}: {record.source}",
        hint=f"%serve stop {model.name}, or give another name with --as",
    )


def _with_log(error: EngineFailed, name: str) -> EngineFailed:
    """Return an error with the end of the log, which says more than we know."""
    last = [line.strip() for line in processes.tail(records.folder_of(name) / records.LOG)
            .splitlines() if line.strip()][-_LOG_LINES:]  # fmt: skip
    detail = "\n  ".join([part for part in (error.detail, *last) if part])
    return EngineFailed(
        error.message, detail=detail, hint=error.hint or f"llmops serve logs {name} shows its log"
    )


def _key(name: str) -> str:
    return (records.folder_of(name) / records.KEY).read_text(encoding="utf-8").strip()


# ---- what a start leaves if it is broken off --------------------------------------------------


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep two starts of one name apart.

    Raises:
        UsageProblem: Another one is going on.
    """
    import fcntl

    folder = records.folder_of(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageProblem(
                f"local/{name} is being started already",
                hint="Wait for it; %serve list shows when it is ready",
            ) from error
        end_leftovers(name)
        yield
    finally:
        os.close(handle)


@contextmanager
def _cleaned(name: str) -> Iterator[None]:
    """Remove what a start has made if it does not come to its end."""
    folder = records.folder_of(name)
    with contextlib.suppress(FileNotFoundError):
        (folder / records.RECORD).unlink()  # of a server that is dead
    try:
        yield
    except BaseException:
        end_leftovers(name)
        for file in (records.RECORD, records.KEY, records.USED):
            (folder / file).unlink(missing_ok=True)
        raise


def end_leftovers(name: str) -> bool:
    """End the processes of a start that was broken off; say whether there were any."""
    path = records.folder_of(name) / records.STARTING
    try:
        left = json.loads(path.read_text(encoding="utf-8"))
        process = records.Process(int(left["pid"]), float(left["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
        return False
    found = processes.end(process)
    path.unlink(missing_ok=True)
    return found


def _note_starting(name: str, process: Process, created: float) -> None:
    text = json.dumps({**asdict(process), "created": created})
    try:
        records.write_private(records.folder_of(name) / records.STARTING, text)
    except LLMOpsError:
        processes.end(process)
        raise


def _forget_starting(name: str) -> None:
    (records.folder_of(name) / records.STARTING).unlink(missing_ok=True)


def _watch(name: str, created: float) -> None:
    """Start the process that ends the server when nobody needs it, or its start is broken off."""
    me = processes.this_process()
    argv = [sys.executable, "-m", "llmops_kernel.serve.servers.watching", name, repr(created),
            str(me.pid), repr(me.started)]  # fmt: skip
    log = records.folder_of(name) / records.LOG
    processes.spawn(argv, processes.clean_environment({}), log)


# ---- what a further replica needs to know -----------------------------------------------------


def _portable(model: ServedModel) -> dict[str, Any]:
    return {key: None if value is None else str(value) for key, value in asdict(model).items()}


def _again_wanted(wanted: Wanted) -> dict[str, Any]:
    kept = ("slots", "context", "threads", "batching", "wait_s")
    return {**{name: getattr(wanted, name) for name in kept}, "extra": list(wanted.extra)}


def _again(record: ServerRecord) -> tuple[ServedModel, Engine, Wanted]:
    def path(value: str | None) -> Path | None:
        return None if value is None else Path(value)

    said = record.start["model"]
    model = ServedModel(
        said["name"],
        path(said["folder"]),
        path(said["gguf"]),
        path(said["reference"]),
        path(said["modelfile"]),
        said["remote"],
    )
    wanted = dict(record.start["wanted"])
    return model, engine_named(record.engine), Wanted(**{**wanted, "extra": tuple(wanted["extra"])})


def remove(name: str, *, log: bool = False) -> None:
    """Remove what is written down of a server; its log stays unless it is named."""
    folder = records.folder_of(name)
    if log:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for file in (records.RECORD, records.KEY, records.USED, records.STARTING):
        (folder / file).unlink(missing_ok=True)
