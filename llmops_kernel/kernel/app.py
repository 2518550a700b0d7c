"""The kernel process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipykernel.kernelapp import IPKernelApp

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.kernel.environment import enter

if TYPE_CHECKING:
    import logging

    from llmops_kernel.session import Session


class LLMOpsKernelApp(IPKernelApp):
    """IPython's kernel behind the door; takes every option and configuration of the original."""

    _door: Session | None = None

    def init_sockets(self) -> None:
        """Open the sockets without the warning about plain TCP on each start.

        Jupyter's default transport is not ours to choose, and every papermill run would repeat it.
        """
        self.log.addFilter(_not_about_encryption)
        try:
            super().init_sockets()  # type: ignore[no-untyped-call]
        finally:
            self.log.removeFilter(_not_about_encryption)

    def init_extensions(self) -> None:
        """Go behind the door, then load our extension, then the user's.

        This is the last step before code of the user can run (other extensions, startup files).
        """
        from llmops_kernel.magics import load, refuse

        try:
            self._door = enter(os.environ)
        except LLMOpsError as error:
            refuse(error)
            self.log.error("No model call can leave this kernel. %s", error.sentence())
        assert self.shell is not None, "initialize() makes it before the extensions"
        # Not by IPython's manager: a notebook's own `%load_ext llmops_kernel` would be told that
        # it is loaded already, in an output that other kernels do not have. Loading twice is fine.
        load(self.shell)
        super().init_extensions()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the session (holds are released, the record is written), then the sockets."""
        door, self._door = self._door, None
        if door is not None:
            try:
                door.close()
            except LLMOpsError as error:
                self.log.warning("%s", error.sentence())
        super().close()  # type: ignore[no-untyped-call]


def _not_about_encryption(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Kernel is running over TCP without encryption")
