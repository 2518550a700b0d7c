"""The worker, with a note of every program it starts, host it asks for and file it writes.

``WATCHED_LOG=FILE python watched_worker.py -m MODULE ARGUMENTS``
"""

import json
import os
import runpy
import sys
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_log = Path(os.environ["WATCHED_LOG"]).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITING and not isinstance(path, int):
            _tell("write", path)
    elif event in ("os.mkdir", "os.link", "os.symlink", "shutil.copyfile"):
        _tell("write", arguments[1 if event != "os.mkdir" else 0])
    elif event == "os.rename":
        _tell("write", arguments[1])
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"):
        _tell("program", arguments[0])
    elif event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        _tell("network", arguments[-1] if event == "socket.connect" else arguments[0])


def _tell(kind: str, what: object) -> None:
    text = os.fsdecode(what) if isinstance(what, (str, bytes, os.PathLike)) else str(what)
    if kind == "write":
        text = os.path.realpath(text)
    _log.write(json.dumps([kind, text]) + "\n")


if __name__ == "__main__":
    sys.addaudithook(_look)
    sys.path.pop(0)  # this folder
    module, sys.argv = sys.argv[2], sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
