"""The process that watches a training: limits, stop, and how it ended.

Started in a session of its own (``python -m llmops_kernel.finetune.supervise FOLDER``), it outlives
the kernel that asked for it. It holds the lock on the model's name, starts the worker in the side
environment, ends it when a limit is reached, writes the outcome, and registers what came out. The
worker dies with it, so that nothing trains unwatched.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.finetune import layout
from llmops_kernel.finetune.events import Journal, Tail
from llmops_kernel.finetune.launch import variables
from llmops_kernel.finetune.layout import RunFolder, write_json
from llmops_kernel.finetune.quota import oom_kills
from llmops_kernel.processes import process_start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_POLL_S = 0.2
_LOOK_S = 0.4
_CHILDREN_S = 5.0  # looking for children reads the whole table of processes
_GRACE_S = 180.0  # to end the step that runs and write a checkpoint
_TERM_S = 10.0
_LOG_LINES = 12


def main(argv: Sequence[str]) -> int:
    """Watch one run to its end.

    Args:
        argv: The run's folder, and the descriptor that holds the lock on the model's name.
    """
    folder = RunFolder(Path(argv[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = _Watch(folder).run()
    except Exception as error:  # noqa: BLE001 - whatever it was, the outcome has to be told
        traceback.print_exc()
        outcome = {
            "state": "failed",
            "reason": "the run could not be watched",
            "detail": f"{type(error).__name__}: {error}",
        }
    os.close(int(argv[1]))  # who sees the end can start the next run of this name
    folder.write_outcome({**outcome, "at": round(time.time(), 3)})
    return 0


class _Watch:
    """One worker, from its start to the outcome."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._run: dict[str, Any] = folder.read_json(folder.run_json)
        self._journal = Journal(folder.events)
        self._limits: dict[str, Any] = self._run.get("limits") or {}
        self._peak = 0
        self._killed = ""  # why this process killed the worker
        self._asked_at: float | None = None

    def run(self) -> dict[str, Any]:
        signal.signal(signal.SIGTERM, self._terminated)
        before = oom_kills()
        worker = self._start()
        try:
            code = self._watch(worker)
        finally:
            _end_group(worker)
        return self._outcome(code, oom=oom_kills() > before)

    def _terminated(self, _: int, __: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            self._folder.stop.write_text("terminated", encoding="utf-8")

    def _start(self) -> subprocess.Popen[bytes]:
        run = self._run
        command = [
            str(run["python"]), "-m", "llmops_kernel.finetune.worker", str(run["command"]),
            str(self._folder.run_json),
        ]  # fmt: skip
        with self._folder.log.open("ab") as log:
            worker = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables(str(run["backend_name"]), int(run["threads"])),
                process_group=0,
                cwd=run["cwd"],
            )
        write_json(
            self._folder.process,
            {
                "pid": os.getpid(),
                "start": process_start(os.getpid()),
                "worker_pid": worker.pid,
                "worker_start": process_start(worker.pid),
            },
        )
        return worker

    def _watch(self, worker: subprocess.Popen[bytes]) -> int:
        looked = began = time.monotonic()
        gauge = _Memory(worker.pid)
        wall, memory = self._limits.get("wall"), self._limits.get("memory")
        while True:
            try:
                return worker.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                pass
            now = time.monotonic()
            if now < looked + _LOOK_S:
                continue
            looked = now
            self._peak = max(self._peak, used := gauge.read())
            if memory and used > memory and not self._killed:
                self._killed = "memory"
                _signal_group(worker, signal.SIGKILL)
            if wall and now - began > wall and not self._folder.stop.exists():
                self._folder.stop.write_text("wall limit", encoding="utf-8")
            if self._folder.stop.exists():
                self._hurry(worker, now)

    def _hurry(self, worker: subprocess.Popen[bytes], now: float) -> None:
        """End a worker that does not heed the STOP file in time."""
        if self._asked_at is None:
            self._asked_at = now
        late = now - self._asked_at - float(self._run.get("grace_s", _GRACE_S))
        if late > _TERM_S:
            self._killed = self._killed or "grace"
            _signal_group(worker, signal.SIGKILL)
        elif late > 0:
            _signal_group(worker, signal.SIGTERM)

    def _outcome(self, code: int, *, oom: bool) -> dict[str, Any]:
        facts = {"exit_code": code, "peak_bytes": self._peak, "cpu_s": _cpu_seconds()}
        if self._killed == "memory":
            limit = int(self._limits["memory"])
            return {
                "state": "failed", "reason": "out of memory",
                "detail": f"{self._peak:,} bytes used, limits.memory is {limit:,}",
                "hint": "Use a smaller batch with more accumulate, or raise limits.memory", **facts,
            }  # fmt: skip
        if code == layout.DONE:
            return {**self._finished(), **facts}
        if code == layout.STOPPED or (code < 0 and self._asked_at is not None):
            reason = _text(self._folder.stop) or "asked"
            hint = "%finetune resume goes on from the last checkpoint"
            return {"state": "stopped", "reason": reason, "hint": hint, **facts}
        error = self._last_error()
        if code == layout.REFUSED:
            return {"state": "refused", **error, **facts}
        if code == layout.NO_MEMORY or (code == -signal.SIGKILL and oom):
            hint = error.get("hint") or "Use a smaller batch with more accumulate"
            return {"state": "failed", **error, "reason": "out of memory", "hint": hint, **facts}
        if code == layout.NO_DISK:
            hint = "Free some disk; %finetune resume goes on from the last checkpoint"
            return {"state": "failed", **error, "reason": "disk full", "hint": hint, **facts}
        if code < 0:
            name = signal.Signals(-code).name
            return {
                "state": "interrupted", "reason": "the training process was killed",
                "detail": name, "hint": "%finetune resume goes on from the last checkpoint",
                **facts,
            }  # fmt: skip
        if not error:
            error = {"reason": "the training process failed", "detail": _tail(self._folder.log)}
        return {"state": "failed", **error, **facts}

    def _finished(self) -> dict[str, Any]:
        """Register what came out, unless its gate says no."""
        from llmops_kernel.finetune.registering import register

        if not self._run.get("execute", True):
            from llmops_kernel.finetune.axolotl import written

            return dict(written(self._folder.path))
        if self._run["command"] == "preflight":
            return {"state": "checked"}
        trained = self._folder.read_json(self._folder.trained)
        gate = trained.get("gate")
        if gate is not None and not gate.get("passed"):
            return {
                "state": "rejected", "reason": "the gate was not passed",
                "detail": str(gate.get("detail", "")),
                "hint": "The model is in the run's folder and was not registered",
            }  # fmt: skip
        missing = [each for each in trained.get("exports", ()) if each.get("state") != "done"]
        version = None
        if self._run.get("register"):
            try:
                version = register(self._folder, self._run)
            except LLMOpsError as error:
                return {
                    "state": "failed", "reason": "the model could not be registered",
                    "detail": f"{error.message}: {error.detail}", "hint": error.hint,
                }  # fmt: skip
            shutil.rmtree(self._folder.out, ignore_errors=True)  # the registry has a copy
            self._journal.emit({"event": "registered", **version})
        self._journal.emit({"event": "done"})
        outcome: dict[str, Any] = {"state": "done", "version": version}
        if missing:
            told = [f"{each['export']}: {each.get('reason', '')}" for each in missing]
            outcome["detail"] = "not exported: " + "; ".join(told)
        return outcome

    def _last_error(self) -> dict[str, Any]:
        errors = [e for e in Tail(self._folder.events).read() if e["event"] == "error"]
        if not errors:
            return {}
        return {key: errors[-1][key] for key in ("reason", "detail", "hint") if key in errors[-1]}


class _Memory:
    """The resident bytes of a process and its children; 0 when it is gone."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._psutil = psutil
        self._pid = pid
        self._family: list[Any] = []
        self._looked = -_CHILDREN_S

    def read(self) -> int:
        """Return the bytes now."""
        now, total = time.monotonic(), 0
        with contextlib.suppress(self._psutil.Error):
            if now - self._looked >= _CHILDREN_S:
                self._looked = now
                process = self._psutil.Process(self._pid)
                self._family = [process, *process.children(recursive=True)]
        for each in self._family:
            with contextlib.suppress(self._psutil.Error):
                total += each.memory_info().rss
        return total


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the worker, which has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(each.ru_utime + each.ru_stime for each in used), 3)


def _signal_group(worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, number)


def _end_group(worker: subprocess.Popen[bytes]) -> None:
    """Leave no process behind, whatever the worker has started."""
    _signal_group(worker, signal.SIGKILL)
    worker.wait()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES:])[-2_000:]


if __name__ == "__main__":
    if os.fork():
        os._exit(0)  # who started this does not wait for the run
    sys.exit(main(sys.argv[1:]))
