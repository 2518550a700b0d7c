"""The worker's program: one job, one exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.finetune import layout
from llmops_kernel.finetune.worker.guarding import offer_to_oom_killer, tie_to_parent
from llmops_kernel.finetune.worker.job import Ended, Job

if TYPE_CHECKING:
    from collections.abc import Sequence

_FULL = ("no space left", "disk quota exceeded", "os error 28", "errno 28")
_MEMORY = ("can't allocate memory", "out of memory", "cannot allocate memory", "std::bad_alloc")


def main(argv: Sequence[str]) -> int:
    """Do one job.

    Args:
        argv: ``run`` or ``preflight``, and the path of ``run.json``.

    Returns:
        An exit code of `layout`.
    """
    if len(argv) != 2 or argv[0] not in ("run", "preflight"):
        sys.stderr.write("usage: python -m llmops_kernel.finetune.worker run|preflight RUN.json\n")
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides, by the STOP file
    job = Job.read(Path(argv[1]))
    if job.run.get("watched", True):
        tie_to_parent()
        offer_to_oom_killer()
    try:
        job.emit({"event": "begin", "backend": job.run["backend_name"]})
        _work(job, only_preflight=argv[0] == "preflight")
        return layout.DONE
    except Ended as ended:
        return _tell(job, ended)
    except LLMOpsError as error:
        return _tell(job, Ended(layout.FAILED, error.message, detail=error.detail, hint=error.hint))
    except BaseException as error:  # noqa: BLE001 - of any library: it is told, and the exit code says it
        told = classified(error)  # first: where the log's disk is full, printing fails as well
        with contextlib.suppress(OSError):
            traceback.print_exc()
        return _tell(job, told)


def _work(job: Job, *, only_preflight: bool) -> None:
    backend = job.run["backend_name"]
    if backend == "axolotl":
        from llmops_kernel.finetune.worker.axolotl import train_with_axolotl

        train_with_axolotl(job, only_preflight=only_preflight)
        return
    if backend == "unsloth":
        from llmops_kernel.finetune.worker.unsloth import bring_in

        bring_in(job)
    from llmops_kernel.finetune.worker.training import carry_out

    carry_out(job, only_preflight=only_preflight)


def classified(error: BaseException) -> Ended:
    """Return what a failure means to the person: no memory, no disk, or what it says."""
    said = f"{type(error).__name__}: {error}"[:1_500]
    low = said.lower()
    if isinstance(error, MemoryError) or any(mark in low for mark in _MEMORY):
        return Ended(
            layout.NO_MEMORY, "out of memory", detail=said,
            hint="Use a smaller train.batch with more train.accumulate, or a smaller max_length",
        )  # fmt: skip
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or any(mark in low for mark in _FULL) or _broken_write(low):
        return Ended(layout.NO_DISK, "disk full", detail=said)
    return Ended(layout.FAILED, "the training failed", detail=said)


def _broken_write(said: str) -> bool:
    """Whether torch could not write: its message names no reason, so the disk is looked at."""
    if "pytorchstreamwriter" not in said and "unexpected pos" not in said:
        return False
    disk = os.statvfs(".")
    return disk.f_bavail * disk.f_frsize < 1 << 20


def _tell(job: Job, ended: Ended) -> int:
    with contextlib.suppress(OSError):  # the disk may be full; the exit code tells it as well
        kind = "stopped" if ended.code == layout.STOPPED else "error"
        job.emit(
            {"event": kind, "reason": ended.reason, "detail": ended.detail, "hint": ended.hint}
        )
    return ended.code


def _end_output() -> None:
    """Write what is printed still, or drop it: failing at exit would change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream.fileno())
                os.close(nothing)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    _end_output()
    sys.exit(code)
