"""One notebook, one kernel: start it, send the cells, take the outputs, never leave it behind."""

# papermill and nbformat have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from importlib import resources
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.utils import ensure_async, ensure_event_loop, run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient

from llmops_kernel.errors import RunFailed
from llmops_kernel.runs.masking import clean_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_client.manager import KernelManager

    from llmops_kernel.guard.secrets import Secrets
    from llmops_kernel.runs.state import RunState

KERNEL = "llmops"
_OUTPUTS = {"stream", "display_data", "update_display_data", "execute_result", "error"}
# The address of a Unix socket holds about 107 characters; the kernel appends a number.
_LONGEST_SOCKET = 90
_PATIENCE = 3.0  # seconds for a cell to notice that it was interrupted


class OwnKernelSpecs(KernelSpecManager):
    """Finds the `llmops` kernel even where its spec was never installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return an installed spec, or the one in this package."""
        try:
            return super().get_kernel_spec(kernel_name)
        except NoSuchKernel:
            if kernel_name != KERNEL:
                raise
        folder = resources.files("llmops_kernel") / "kernel" / "spec"
        return KernelSpec.from_resource_dir(str(folder))


class RunClient(PapermillNotebookClient):
    """Executes the cells of a run.

    Args:
        state: The run's state and saved file (a papermill execution manager).
        env: The kernel's environment.
        sources: Sources to send in place of the saved ones, by cell id (secrets are masked there).
        secrets: What must not get into the outputs.
        options: Options of nbclient.
    """

    def __init__(
        self,
        state: RunState,
        *,
        env: Mapping[str, str],
        sources: Mapping[str, str],
        secrets: Secrets,
        **options: Any,
    ) -> None:
        if options.get("kernel_name") == KERNEL:
            # As nbclient does for the kernels it knows: a run's sources, with the real values of
            # its parameters, must not get into the user's history file.
            history = "--HistoryManager.hist_file=:memory:"
            options["extra_arguments"] = [*options.get("extra_arguments", []), history]
        super().__init__(state, store_widget_state=False, **options)
        self._env = dict(env)
        self._sources = dict(sources)
        self._secrets = secrets
        self._manager: KernelManager | None = None
        self._sockets: Path | None = None
        self._over = False

    def create_kernel_manager(self) -> KernelManager:
        """Create the kernel's manager: our spec if none is installed, Unix sockets where possible.

        Unix sockets need no free ports, cannot be reached by other users, and spare each run the
        kernel's warning that TCP is not encrypted.
        """
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = OwnKernelSpecs(parent=manager)
        if os.name == "posix":
            folder = Path(tempfile.mkdtemp(prefix="llmops-"))
            self._sockets = folder
            if len(str(folder)) < _LONGEST_SOCKET:
                manager.transport = "ipc"
                manager.ip = str(folder / "k")
        self._manager = manager
        return manager

    def execute(self, **options: Any) -> Any:
        """Run the cells; the kernel is gone afterwards, however this ends."""
        self.reset_execution_trackers()
        try:
            with self.setup_kernel(env=self._env, **options):
                assert self.kc is not None
                info = run_sync(self._reply)(self.kc.kernel_info(), self.startup_timeout)
                if info is not None:
                    self.nb.metadata["language_info"] = info["content"]["language_info"]
                self.papermill_execute_cells()
                return self.nb
        except (NoSuchKernel, OSError, RuntimeError) as error:
            if self.nb_man.started:
                raise
            raise RunFailed(
                "The kernel did not start",
                detail=str(error),
                hint="llmops doctor, or llmops kernel install",
            ) from error
        finally:
            self._leave_nothing()

    def papermill_execute_cells(self) -> None:
        """Execute the cells up to the first failure, which is noted in its cell."""
        for index, cell in enumerate(self.nb.cells):
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except BaseException as error:
                self._over = True
                self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
                if not isinstance(error, CellExecutionError | DeadKernelError):
                    _cancel_tasks()
                    with suppress(RuntimeError, OSError):  # it may be gone meanwhile
                        run_sync(self._calm)()
                if not isinstance(error, CellExecutionError | CellTimeoutError | DeadKernelError):
                    raise
                break  # papermill raises for what it finds in the saved notebook
            finally:
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute one cell, under its id, which the kernel's hooks see as in JupyterLab."""
        client = self.kc
        assert client is not None
        client.session.metadata = {"cellId": cell.get("id", "")}
        source = self._sources.get(cell.get("id", ""))
        if source is None:
            return super().execute_cell(cell, cell_index, **options)
        # The saved cell never holds the real source, not even while it runs.
        send = client.execute
        client.execute = lambda _, **kw: send(source, **kw)  # type: ignore[method-assign]
        try:
            return super().execute_cell(cell, cell_index, **options)
        finally:
            client.execute = send  # type: ignore[method-assign]

    def process_message(self, msg: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Take a message from the kernel, without secrets and widgets."""
        if self._over:  # a kernel that is interrupted has more to say than why the cell failed
            return None
        if msg["msg_type"] in _OUTPUTS:
            msg["content"] = clean_message(msg["content"], self._secrets)
        return super().process_message(msg, *args, **options)

    async def _calm(self) -> None:
        """Stop what the cell still does, so that the kernel closes its session in order."""
        assert self.kc is not None
        assert self.km is not None
        await ensure_async(self.km.interrupt_kernel())
        await self._reply(self.kc.kernel_info(), _PATIENCE)

    async def _reply(self, question: str, seconds: float) -> dict[str, Any] | None:
        """Return the kernel's reply to a message, or None if it does not come in time."""
        assert self.kc is not None
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            with suppress(Empty):
                reply: dict[str, Any] = await ensure_async(
                    self.kc.shell_channel.get_msg(timeout=0.2)
                )
                if reply["parent_header"].get("msg_id") == question:
                    return reply
        return None

    def _leave_nothing(self) -> None:
        """Kill the kernel if it is still there: a start or a shutdown may be interrupted."""
        manager = self._manager
        process = getattr(getattr(manager, "provisioner", None), "process", None)
        if manager is not None and process is not None and process.poll() is None:
            with suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            process.wait()
        _cancel_tasks()
        if self.kc is not None:  # the start was interrupted
            self.kc.stop_channels()
        if manager is not None:
            manager.cleanup_connection_file()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)


def _cancel_tasks() -> None:
    """Cancel what an interrupt or a time-out left waiting for the kernel."""
    loop = ensure_event_loop()
    if loop.is_running():  # started from a notebook: the tasks are on a loop of another thread
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
