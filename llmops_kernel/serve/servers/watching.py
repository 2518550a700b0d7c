"""A small process beside a server: ends it when its owner has gone, or when nobody calls it.

Run as ``python -m llmops_kernel.serve.servers.watching NAME CREATED PID STARTED``, before the
engine is; the last two name the process that starts it. It is what keeps a killed kernel from
leaving an engine behind, registered or not yet.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.serve import record as records
from llmops_kernel.serve.record import Process
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.leftovers import end_leftovers, start_noted
from llmops_kernel.serve.servers.stopping import stop_server

_STEP_S = 1.0
_GONE = 3  # looks without a trace of the server after which there is nothing to watch


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look has found.

    Attributes:
        reason: Why the server should be stopped; "" to let it run.
        there: Whether there is a server, registered or about to be.
        needed: Whether it has to be watched on.
    """

    reason: str = ""
    there: bool = True
    needed: bool = True


def look_once(name: str, created: float, starter: Process, now: float) -> Verdict:
    """Look at a server, and say what is to be done."""
    folder = records.folder_of(name)
    if not (folder / records.RECORD).is_file():
        start = start_noted(name)
        if start is None:
            return Verdict(there=False)
        if start != created:
            return Verdict(needed=False)  # the name was free, and somebody has taken it
        return Verdict("" if processes.alive(starter) else "its start was broken off")
    try:
        record = records.read_record(name)
    except LLMOpsError:
        return Verdict(there=False)
    if record.created != created:
        return Verdict(needed=False)  # another server of the same name, with a watch of its own
    if not processes.living(record.replicas):
        return Verdict("its processes have ended")
    if record.owner is not None and not processes.alive(record.owner):
        return Verdict("its owner has gone")
    if record.idle_s and now - last_use(name) > record.idle_s:
        return Verdict("nobody has called it")
    return Verdict(needed=record.owner is not None or record.idle_s > 0)


def last_use(name: str) -> float:
    """Return when a server was called last, in seconds since 1970."""
    try:
        return (records.folder_of(name) / records.USED).stat().st_mtime
    except OSError:
        return 0.0


def watch(name: str, created: float, starter: Process, step_s: float = _STEP_S) -> str:
    """Watch until there is nothing to watch; return why the server was stopped, if it was."""
    missed = 0
    while True:
        verdict = look_once(name, created, starter, time.time())
        missed = 0 if verdict.there else missed + 1
        if not verdict.needed or missed >= _GONE:
            return ""
        # What was read may be older than what was looked at: a replica can have come and another
        # gone in between. A second look sees both as they are.
        if verdict.reason and look_once(name, created, starter, time.time()).reason:
            if (records.folder_of(name) / records.RECORD).is_file():
                stop_server(name, created)
            else:
                end_leftovers(name, created)
            return verdict.reason
        time.sleep(step_s)


def main() -> int:
    """Watch the server on the command line."""
    name, created, pid, started = sys.argv[1:]
    try:
        reason = watch(name, float(created), Process(int(pid), float(started)))
    except LLMOpsError as error:
        reason = error.sentence()
    if reason:
        sys.stderr.write(f"llmops: stopped local/{name}: {reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
