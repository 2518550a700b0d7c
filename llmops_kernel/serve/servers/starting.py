"""Starting a server: nothing is registered before it has answered, and nothing is left if not."""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from llmops_kernel.errors import EngineFailed, UsageProblem

# As a module: it imports from this package, and may be the one that is imported first.
from llmops_kernel.serve import adapters as lora
from llmops_kernel.serve import record as records
from llmops_kernel.serve.engines import choose_engine
from llmops_kernel.serve.filetype import file_type
from llmops_kernel.serve.models import find_model, refuse_changed, server_name
from llmops_kernel.serve.record import ServerRecord
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.differing import differences
from llmops_kernel.serve.servers.launching import key_in, launch, still_there, with_log
from llmops_kernel.serve.servers.leftovers import alone, cleaned, end_leftovers, forget_starting
from llmops_kernel.serve.servers.ready import Caller, check_answers
from llmops_kernel.serve.servers.wanted import Started, Wanted, read_back, written_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.serve.engines import Engine
    from llmops_kernel.serve.models import ServedModel
    from llmops_kernel.serve.record import Adapter, Replica

_DEFAULT_CONTEXT = 4_096


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
            return _as_it_runs(running, wanted, say)
        refuse_changed(asked)
        with cleaned(model.name):
            adapters = lora.find_adapters(wanted.lora, model, chosen.name, asked)
            wanted = replace(wanted, lora={each.name: each.path for each in adapters})
            return _start(model, chosen, wanted, adapters, say)


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
        model, engine, wanted = read_back(record)
        living = processes.living(record.replicas)
        for each in living[number:]:
            assert each.process is not None
            records.write_record(record.with_(replicas=tuple(living[:number])))
            processes.end(each.process)
        living = living[:number]
        while len(living) < number:
            say(f"Starting replica {len(living) + 1} of {number}")
            replica, _ = launch(model, engine, wanted, record.created)
            _refuse_stopped(record, replica)
            living.append(replica)
            record = record.with_(replicas=tuple(living))
            records.write_record(record)
            forget_starting(name)
        record = record.with_(replicas=tuple(living))
        records.write_record(record)
        return record


def _refuse_stopped(record: ServerRecord, replica: Replica) -> None:
    """End a replica whose server was stopped while it came up: nothing may register it again."""
    try:
        same = records.read_record(record.name).created == record.created
    except UsageProblem:
        same = False
    if not same:
        end_leftovers(record.name, record.created)
        assert replica.process is not None
        processes.end(replica.process)
        raise UsageProblem(f"local/{record.name} was stopped while it was scaled")


def _start(
    model: ServedModel,
    engine: Engine,
    wanted: Wanted,
    adapters: tuple[Adapter, ...],
    say: Callable[[str], None],
) -> Started:
    folder = records.folder_of(model.name)
    records.write_private(folder / records.KEY, "sk-local-" + secrets.token_urlsafe(24) + "\n")
    with contextlib.suppress(OSError):
        (folder / records.LOG).unlink()
    if wanted.context > (own := model.context()) > 0:
        say(f"{model.name} reads {own} tokens: beyond them its answers are worth nothing")
    wanted = replace(wanted, context=wanted.context or _context(model))
    say(f"Starting {engine.name} for {model.name}")
    began = time.monotonic()
    created = time.time()
    _watch(model.name, created)
    replica, start = launch(model, engine, wanted, created)
    able = engine.capabilities(start)
    key = key_in(model.name) if able.keyed else ""
    caller = Caller(replica.url, key)
    served = engine.command(start).model
    try:
        checked = check_answers(caller, served, able, model.reference if wanted.parity else None)
        checked["adapter_probes"] = lora.check_adapters(
            replica.url, key, engine.name, served, able, adapters, parity=wanted.parity
        )
        still_there(replica, model.name)
    except EngineFailed as error:
        raise with_log(error, model.name) from error
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
        start=written_down(model, wanted),
        ready_s=round(time.monotonic() - began, 3),
        adapters=adapters,
        file_type=file_type(model, engine.name),
    )
    (folder / records.USED).touch(mode=0o600)
    records.write_record(record)
    forget_starting(model.name)
    say(f"local/{model.name} is ready")
    return Started(record, fresh=True, checked=checked)


def _as_it_runs(record: ServerRecord, wanted: Wanted, say: Callable[[str], None]) -> Started:
    """Return a server that runs already, and say what was asked for in vain."""
    differs = differences(wanted, record)
    if differs:
        say(
            f"local/{record.name} runs already, otherwise than asked: {'; '.join(differs)}. "
            f"To change it: llmops serve stop {record.name}, then start it again"
        )
    return Started(record, fresh=False, checked={}, differs=differs)


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
    if not processes.living(record.replicas):
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


def _watch(name: str, created: float) -> None:
    """Start the process that ends the server when nobody needs it, or its start is broken off."""
    me = processes.this_process()
    argv = [sys.executable, "-m", "llmops_kernel.serve.servers.watching", name, repr(created),
            str(me.pid), repr(me.started)]  # fmt: skip
    log = records.folder_of(name) / records.LOG
    processes.spawn(argv, processes.clean_environment({}), log)
