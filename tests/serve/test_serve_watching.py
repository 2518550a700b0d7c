"""Two starts of one name, one after the other: nothing of the first may harm the second."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.serve.record import Process, folder_of, names
from llmops_kernel.serve.servers import launching, starting, watching
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.leftovers import end_leftovers, note_starting
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import key_of, look, stop_server
from llmops_kernel.serve.servers.wanted import Started, Wanted

QUICK = Wanted(wait_s=20.0)
GONE = Process(2**22 + 1, 1_000_000.0)  # above the highest number a process can have
Liar = Callable[..., Path]


@pytest.fixture
def sleeper() -> Iterator[Process]:
    """A process with a session of its own, as an engine has one."""
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                            start_new_session=True)  # fmt: skip
    yield Process(made.pid, psutil.Process(made.pid).create_time())
    made.kill()
    made.wait()


def test_a_watch_leaves_a_later_start_alone(sleeper: Process) -> None:
    """The first start's watch sees the second's file, and its own starter has ended."""
    note_starting("model", sleeper, 200.0)
    assert not watching.look_once("model", 100.0, GONE, 0.0).needed
    assert watching.watch("model", 100.0, GONE, step_s=0.01) == ""
    assert processes.alive(sleeper)
    assert (folder_of("model") / records.STARTING).is_file()


def test_a_watch_ends_what_its_own_start_left(sleeper: Process) -> None:
    note_starting("model", sleeper, 100.0)
    me = processes.this_process()
    assert watching.look_once("model", 100.0, me, 0.0) == watching.Verdict()
    assert watching.watch("model", 100.0, GONE, step_s=0.01) == "its start was broken off"
    assert not processes.alive(sleeper)
    assert not (folder_of("model") / records.STARTING).exists()


def test_a_damaged_note_is_nothing_to_watch(sleeper: Process) -> None:
    note_starting("model", sleeper, 100.0)
    (folder_of("model") / records.STARTING).write_text("{")
    assert not watching.look_once("model", 100.0, GONE, 0.0).there
    assert watching.watch("model", 100.0, GONE, step_s=0.01) == ""


def test_leftovers_of_one_start_are_not_those_of_another(sleeper: Process) -> None:
    note_starting("model", sleeper, 200.0)
    assert not end_leftovers("model", created=100.0)
    assert processes.alive(sleeper)
    assert (folder_of("model") / records.STARTING).is_file()
    assert end_leftovers("model", created=200.0)
    assert not processes.alive(sleeper)


def test_stopping_one_server_spares_the_next_of_its_name(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may take seconds to end; the name is free before, and may be taken at once."""
    first = start_server(str(liar()), wanted=QUICK).record
    real = processes.end
    second: list[Started] = []

    def end(process: Process, grace_s: float = 5.0) -> bool:
        if not second:
            monkeypatch.setattr(processes, "end", real)
            second.append(start_server(str(liar()), wanted=QUICK))
        return real(process, grace_s)

    monkeypatch.setattr(processes, "end", end)
    assert stop_server("model")
    [started] = second
    assert started.fresh
    assert look("model").state == "ready"
    assert look("model").record == started.record
    assert key_of(started.record)
    assert not processes.living(first.replicas)


def test_a_server_of_another_start_is_not_stopped(liar: Liar) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    assert not stop_server("model", created=record.created - 1)
    assert look("model").state == "ready"
    assert stop_server("model", created=record.created)
    assert names() == []


_KEEPER = """
import sys
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.wanted import Wanted
start_server(sys.argv[1], wanted=Wanted(wait_s=60.0, keep=True, idle_s=600.0))
"""


@pytest.mark.faults
def test_a_name_is_free_for_a_new_start_while_the_old_watch_lives(liar: Liar) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(_KEEPER), str(liar())], check=True,
                   timeout=60)  # fmt: skip
    assert stop_server("model")
    # Slow enough for the first one's watch to look while the second is being started.
    assert start_server(str(liar("slow")), wanted=QUICK).fresh
    assert look("model").state == "ready"


def test_a_server_that_is_stopped_while_it_is_scaled_stays_stopped(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_server(str(liar()), wanted=QUICK)
    real = launching.launch

    def launch(*given: Any) -> Any:
        made = real(*given)
        stop_server("model")
        return made

    monkeypatch.setattr(starting, "launch", launch)
    with pytest.raises(UsageProblem, match="was stopped while"):
        starting.add_replicas("model", 2)
    assert names() == []
    assert not (folder_of("model") / records.STARTING).exists()
