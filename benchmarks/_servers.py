"""Starts the servers that are measured, each a process of its own, and stops them again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).parent
_LITELLM_KEY = "sk-benchmark"
# LiteLLM imports for a minute on a busy machine before it listens.
_PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it is, what opens it, and whose CPU time counts."""

    name: str
    url: str
    key: str
    model: str
    pid: int


@contextmanager
def stub() -> Iterator[Server]:
    """Run the stub upstream."""
    with _process([sys.executable, str(HERE / "_stub.py")], pipe=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server("stub", f"http://127.0.0.1:{port}/v1", "none", "gpt-4o", process.pid)


@contextmanager
def gateway(upstream: Server, folder: Path) -> Iterator[Server]:
    """Run ``llmops gateway`` in front of an upstream, three caps and the loop breaker on."""
    settings, env_file = folder / "llmops.toml", folder / "gateway.env"
    settings.write_text(gateway_settings(upstream.url), encoding="utf-8")
    env = {"LLMOPS_CONFIG": str(settings), "LLMOPS_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "llmops_kernel.cli", "gateway", "--env-file", str(env_file)]
    with _process(command, env, folder / "gateway.log") as process:
        _wait(process, env_file.exists, folder / "gateway.log")
        lines = env_file.read_text(encoding="utf-8").splitlines()
        told = dict(line.split("=", 1) for line in lines if "=" in line)
        yield Server(
            "llmops gateway",
            told["OPENAI_BASE_URL"],
            told["OPENAI_API_KEY"],
            "bench/gpt-4o",
            process.pid,
        )


def gateway_settings(url: str) -> str:
    """Return settings with an upstream priced like OpenAI, and limits that are never reached."""
    caps = (("user", "day"), ("user", "month"), ("run", "total"))
    tables = "".join(
        f'[[caps]]\nscope = "{scope}"\nwindow = "{window}"\nusd = 1000000\n\n'
        for scope, window in caps
    )
    return (
        f'user = "bench"\nproject = "bench"\n\n{tables}'
        "[breaker]\ncalls_per_cell = 100000000\ncalls_per_run = 100000000\n"
        "usd_per_minute = 1000000\n\n"
        f'[providers.bench]\nbase_url = "{url}"\nprices = "openai"\n'
    )


@contextmanager
def litellm(upstream: Server, folder: Path, python: Path) -> Iterator[Server]:
    """Run LiteLLM's proxy in front of an upstream: one worker, a master key, no database."""
    config, port = folder / "litellm.yaml", _free_port()
    parameters = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-none"}
    settings = {
        "model_list": [{"model_name": "gpt-4o", "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": _LITELLM_KEY},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
    script = str(python.with_name("litellm"))
    command = [script, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with _process([*command, "--num_workers", "1"], env, folder / "litellm.log") as process:
        alive = f"http://127.0.0.1:{port}/health/liveliness"
        _wait(process, lambda: _answers(alive), folder / "litellm.log")
        url = f"http://127.0.0.1:{port}/v1"
        yield Server("LiteLLM proxy", url, _LITELLM_KEY, "gpt-4o", process.pid)


@contextmanager
def _process(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    *,
    pipe: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    hidden = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY")
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and not name.startswith("LLMOPS_")
    }
    with Path(log or os.devnull).open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            list(command),
            env={**clean, **(env or {})},
            stdout=subprocess.PIPE if pipe else out,
            stderr=out if log else None,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _wait(process: subprocess.Popen[str], ready: object, log: Path) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while not ready():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > give_up:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            sys.exit(f"a server did not start:\n{tail}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
