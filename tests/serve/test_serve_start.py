"""Starting and stopping: clear states, nothing half-registered, no process left behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from llmops_kernel.errors import EngineFailed, LLMOpsError, UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.serve.record import Process, folder_of, names, read_record, write_record
from llmops_kernel.serve.servers import launching, watching
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.starting import add_replicas, start_server
from llmops_kernel.serve.servers.stopping import key_of, look, look_at_all, read_log, stop_server
from llmops_kernel.serve.servers.wanted import Wanted

QUICK = Wanted(wait_s=20.0)
Liar = Callable[..., Path]


def engines(word: str = "lying_server.py") -> list[psutil.Process]:
    """Return the engine processes that belong to this test's model."""
    found = []
    for each in psutil.process_iter(["cmdline", "environ"]):
        line = each.info["cmdline"] or []
        home = (each.info["environ"] or {}).get("LLMOPS_HOME")
        if any(word in part for part in line) and home == os.environ["LLMOPS_HOME"]:
            found.append(each)
    return found


def eventually(true: Callable[[], bool], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.05)
    return true()


def test_a_server_is_registered_once_it_has_answered(liar: Liar) -> None:
    said: list[str] = []
    made = start_server(str(liar()), wanted=QUICK, say=said.append)
    assert made.fresh
    assert names() == ["model"]
    assert look("model").state == "ready"
    assert look("model").rss
    assert said[-1] == "local/model is ready"
    assert [each.record.name for each in look_at_all()] == ["model"]
    assert stop_server("model")
    assert names() == []
    assert engines() == []
    assert "lying server" in read_log("model")  # the log stays


def test_the_key_is_random_private_and_on_no_command_line(liar: Liar) -> None:
    keys = set()
    for _ in range(2):
        record = start_server(str(liar()), wanted=QUICK).record
        key = key_of(record)
        keys.add(key)
        folder = folder_of("model")
        for name in (records.KEY, records.RECORD, records.LOG):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert key not in (folder / records.RECORD).read_text()
        for each in engines():
            assert key not in " ".join(each.cmdline())
            assert key not in str(each.environ())
        stop_server("model")
        assert not (folder / records.KEY).exists()
    assert len(keys) == 2
    assert all(len(key) > 30 for key in keys)


def test_engines_do_not_inherit_keys(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-mine")
    monkeypatch.setenv("MY_OWN_API_KEY", "sk-secret-of-mine")
    start_server(str(liar()), wanted=QUICK)
    running = engines()
    assert running
    for each in running:
        assert "sk-secret-of-mine" not in each.environ().values()


@pytest.mark.parametrize(
    ("mode", "sentence", "wait_s"),
    [
        ("exits", "The engine ended before it answered", 20.0),
        ("never", "The engine did not become ready in time", 1.0),
        ("deaf", "The engine did not become ready in time", 1.0),
        ("garbage", "The engine does not answer", 20.0),
        ("shapeless", "The engine answers garbage", 20.0),
        ("dies", "The engine does not answer", 20.0),
        ("ill", "The engine does not answer", 20.0),
    ],
)
def test_an_engine_that_fails_leaves_nothing(
    liar: Liar, mode: str, sentence: str, wait_s: float
) -> None:
    with pytest.raises(EngineFailed) as caught:
        start_server(str(liar(mode)), wanted=Wanted(wait_s=wait_s))
    assert caught.value.message == sentence
    assert caught.value.hint
    assert f"mode {mode}" in caught.value.detail  # the end of its log
    if mode == "exits":
        assert "exit code 1" in caught.value.detail
    assert names() == []
    assert eventually(lambda: engines() == [])
    left = {path.name for path in folder_of("model").iterdir()}
    assert left <= {records.LOG, ".lock"}
    assert start_server(str(liar("good")), wanted=QUICK).fresh  # and the name is free


def test_a_slow_start_is_waited_for(liar: Liar) -> None:
    assert start_server(str(liar("slow")), wanted=QUICK).record.ready_s >= 1.0


def test_an_interrupted_start_leaves_nothing(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    model = liar()
    monkeypatch.setattr(launching, "wait_healthy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start_server(str(model), wanted=QUICK)
    assert names() == []
    assert eventually(lambda: engines() == [])


def test_two_starts_at_once_of_one_name(liar: Liar) -> None:
    model = liar("slow")
    results: list[object] = []

    def start() -> None:
        try:
            results.append(start_server(str(model), wanted=QUICK).fresh)
        except LLMOpsError as error:
            results.append(error.message)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(results, key=str) == [True, "local/model is being started already"]
    assert len(engines()) == 1


def test_a_second_start_finds_the_first(liar: Liar) -> None:
    first = start_server(str(liar()), wanted=QUICK).record
    again = start_server(str(liar()), wanted=QUICK)
    assert not again.fresh
    assert again.record == first
    with pytest.raises(UsageProblem, match="serves something else"):
        start_server(str(liar(name="other")), name="model", wanted=QUICK)
    assert read_record("model") == first


def test_a_port_that_is_taken(liar: Liar) -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        with pytest.raises(UsageProblem, match="The port is taken"):
            start_server(str(liar()), wanted=Wanted(port=mine.getsockname()[1], wait_s=20.0))
    assert names() == []
    assert eventually(lambda: engines() == [])


def test_a_dead_server_is_seen_and_can_be_started_again(liar: Liar) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    process = record.replicas[0].process
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    assert eventually(lambda: not processes.alive(process))
    assert names() == [] or look("model").state == "dead"  # its watch may have seen it first
    assert start_server(str(liar()), wanted=QUICK).fresh
    assert look("model").state == "ready"


def test_stopping_spares_another_process_with_the_same_number(liar: Liar) -> None:
    record = start_server(str(liar()), wanted=Wanted(keep=True, wait_s=20.0)).record
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        replica = replace(record.replicas[0], process=Process(other.pid, 1_000_000.0))
        write_record(record.with_(replicas=(replica,)))
        assert not stop_server("model")
        assert other.poll() is None
        other.kill()
    for each in engines():
        each.kill()


def test_a_damaged_record_can_be_stopped(liar: Liar) -> None:
    start_server(str(liar()), wanted=QUICK)
    (folder_of("model") / records.RECORD).write_text("{")
    assert look_at_all() == []
    stop_server("model")
    assert names() == []
    for each in engines():
        each.kill()


def test_replicas_come_and_go(liar: Liar) -> None:
    start_server(str(liar()), wanted=QUICK)
    grown = add_replicas("model", 3)
    assert len({each.url for each in grown.replicas}) == 3
    assert look("model").answering == 3
    assert len(engines()) == 3
    process = grown.replicas[1].process
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    assert eventually(lambda: look("model").state == "degraded")
    assert len(add_replicas("model", 2).replicas) == 2  # the dead one is not counted
    assert eventually(lambda: len(engines()) == 2)
    with pytest.raises(UsageProblem):
        add_replicas("model", 0)


def test_a_replica_that_fails_does_not_harm_the_others(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    liar("exits")
    with pytest.raises(EngineFailed):
        add_replicas("model", 2)
    assert read_record("model").replicas == record.replicas
    assert look("model").state == "ready"


_STARTER = """
import sys, time
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.wanted import Wanted
start_server(sys.argv[1], wanted=Wanted(wait_s=60.0, keep=sys.argv[2] == "keep"))
print("started", flush=True)
time.sleep(60)
"""


def _starter(model: Path, how: str = "own") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_STARTER), str(model), how],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.faults
def test_a_killed_owner_takes_its_server_along(liar: Liar) -> None:
    with _starter(liar()) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        assert names() == ["model"]
        starter.kill()
    assert eventually(lambda: names() == [] and engines() == [])


@pytest.mark.faults
def test_a_start_that_is_killed_leaves_no_engine(liar: Liar) -> None:
    with _starter(liar("never")) as starter:
        assert eventually(lambda: bool(engines()))
        starter.kill()
    assert names() == []
    assert eventually(lambda: engines() == [])


@pytest.mark.faults
def test_a_kept_server_outlives_its_starter(liar: Liar) -> None:
    with _starter(liar(), "keep") as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        starter.kill()
    time.sleep(2.5)  # twice the step of a watch
    assert look("model").state == "ready"


def test_a_server_nobody_calls_is_stopped(liar: Liar) -> None:
    record = start_server(str(liar()), wanted=Wanted(idle_s=600.0, wait_s=20.0)).record
    me, now = processes.this_process(), time.time()
    look_once = watching.look_once
    assert look_once("model", record.created, me, now + 500).reason == ""
    assert look_once("model", record.created, me, now + 700).reason == "nobody has called it"
    os.utime(folder_of("model") / records.USED, (now + 300, now + 300))
    assert look_once("model", record.created, me, now + 700).reason == ""
    assert not look_once("model", record.created + 1, me, now).needed  # another one by now
    os.utime(folder_of("model") / records.USED, (now - 9, now - 9))
    write_record(record.with_(idle_s=5.0))
    assert watching.watch("model", record.created, me, step_s=0.05) == "nobody has called it"
    assert names() == []
    assert engines() == []


@pytest.mark.parametrize("name", ["../up", "a/b", "Ä", "-x", "x" * 80])
def test_names_that_cannot_be(liar: Liar, name: str) -> None:
    with pytest.raises(UsageProblem):
        start_server(str(liar()), name=name, wanted=QUICK)
    assert names() == []


@pytest.mark.parametrize(
    "change", [{"slots": 0}, {"context": -1}, {"wait_s": 0}, {"idle_s": -1}, {"usd_output": -1}]
)
def test_wishes_that_cannot_be(change: dict[str, float]) -> None:
    with pytest.raises(UsageProblem):
        Wanted(**change)  # type: ignore[arg-type]


def test_what_cannot_be_served(tmp_path: Path, liar: Liar) -> None:
    liar()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for asked in ("nothing-there", str(tmp_path / "notes.txt"), str(tmp_path / "empty")):
        with pytest.raises(UsageProblem) as caught:
            start_server(asked, wanted=QUICK)
        assert caught.value.hint
