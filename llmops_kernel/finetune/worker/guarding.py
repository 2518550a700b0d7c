"""The worker's ties to its supervisor: it dies with it, and before the notebook does."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0


def tie_to_parent() -> None:
    """End this process when its parent ends, however that ends."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os._exit(1)
    threading.Thread(target=_look, args=(parent,), daemon=True).start()


def offer_to_oom_killer() -> None:
    """When memory runs out, let the kernel take this process rather than a person's notebook."""
    with contextlib.suppress(OSError):  # not on Linux
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
