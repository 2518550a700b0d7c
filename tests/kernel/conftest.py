import os
import sys
from types import SimpleNamespace

import pytest
from jupyter_client.manager import KernelManager

from llmops_kernel.kernel.install import install


class Kernel:
    """A running kernel; `run` executes a cell and collects what a notebook would save."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, code, timeout=60):
        texts = {"stdout": "", "stderr": ""}
        outputs = []

        def collect(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                texts[content["name"]] += content["text"]
            elif message["msg_type"] in ("error", "execute_result", "display_data"):
                outputs.append(SimpleNamespace(kind=message["msg_type"], **content))

        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=collect)
        return SimpleNamespace(status=reply["content"]["status"], outputs=outputs, **texts)

    def value(self, expression):
        """Return the repr of an expression in the kernel."""
        done = self.run(f"print(repr({expression}))")
        assert done.status == "ok", done.outputs
        return done.stdout.strip()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start `llmops` kernels in a home of their own; all are gone afterwards."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    install(prefix=tmp_path)
    running = []

    def starter(**variables):
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LLMOPS_", "OPENAI_", "LANGSMITH_", "JPY_"))
        }
        env |= {
            "HOME": str(home),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "LLMOPS_HOME": str(home / "llmops"),
            **variables,
        }
        manager = KernelManager(kernel_name="llmops", transport="ipc", ip=str(tmp_path / "k"))
        manager.connection_file = str(tmp_path / f"kernel-{len(running)}.json")
        log = (tmp_path / f"kernel-{len(running)}.log").open("w")
        manager.start_kernel(env=env, cwd=str(folder), stdout=log, stderr=log)
        client = manager.client()
        client.start_channels()
        kernel = Kernel(manager, client)
        kernel.folder, kernel.log = folder, tmp_path / f"kernel-{len(running)}.log"
        running.append((kernel, log))
        client.wait_for_ready(timeout=60)
        return kernel

    yield starter
    for kernel, log in running:
        kernel.client.stop_channels()
        if kernel.manager.has_kernel:
            kernel.manager.shutdown_kernel(now=True)
        kernel.manager.cleanup_resources()
        log.close()


@pytest.fixture(autouse=True)
def ready_loop():
    """jupyter_client's blocking calls want an event loop of this thread."""
    if sys.version_info >= (3, 14):
        import asyncio

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        yield
        loop.close()
    else:
        yield
