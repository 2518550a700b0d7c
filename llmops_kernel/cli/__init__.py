"""The same verbs from a shell: ``llmops run``, ``llmops budget``, ``llmops doctor`` and others.

One module per verb, each with a line of help, its arguments and a function that returns the exit
code. They are imported when the program starts and so import nothing heavy themselves.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_WRONG_USAGE = 2
_GATE = ["judge", "gate"]  # to those who call it, 2 is an inconclusive run
_INTERRUPTED = 130
_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name (default: the process's own).

    Returns:
        0 for success, 1 for a failure that was told on stderr, 2 for wrong arguments, 130 after
        Ctrl-C. The exit codes of ``judge gate`` are its own.
    """
    from llmops_kernel.cli._parser import build_parser

    given = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = build_parser().parse(given)
    except LLMOpsError as error:
        if given[:2] == _GATE:
            from llmops_kernel.cli.judge_gate import WRONG_USAGE

            return _tell(error, WRONG_USAGE)
        return _tell(error, _WRONG_USAGE)
    except SystemExit as done:  # --help and --version print and leave
        return int(done.code or 0)
    try:
        from llmops_kernel.display.room import text_room

        with text_room(_columns()):
            code: int = arguments.call(arguments)
        sys.stdout.flush()
    except LLMOpsError as error:
        return _tell(error, 1)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader left (`llmops ... | head`). Python must not find the pipe broken at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code


def _columns() -> int:
    """Return how wide the terminal is; 0 where what is written is read by something else."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _tell(error: LLMOpsError, code: int) -> int:
    sys.stderr.write("\n".join(error._render_traceback_()) + "\n")
    return code
