"""llama-server: found, run for a while on loopback, and spoken with over HTTP.

Works with the standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import ProviderError, ProviderUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TIMEOUT = 120.0
_START = 60.0


def find_server() -> Path | None:
    """Return ``llama-server``: ``LLMOPS_LLAMA_SERVER``, the one on the path, or our own build.

    A variable that names none means that there is none: a mistake must not choose another one.
    """
    if named := os.environ.get("LLMOPS_LLAMA_SERVER"):
        path = Path(named).expanduser()
        path = path / "llama-server" if path.is_dir() else path
        return path if path.is_file() else None
    if found := shutil.which("llama-server"):
        return Path(found)
    built = _environments() / "llama-server" / "bin" / "llama-server"
    return built if built.is_file() else None


def beside_server(*names: str) -> Path | None:
    """Return the first of these files that lies beside ``llama-server`` or in its sources."""
    server = find_server()
    for folder in server.resolve().parents if server is not None else ():
        for name in names:
            if (folder / name).is_file():
                return folder / name
        if (folder / ".git").exists() or (folder / "CMakeLists.txt").exists():
            break  # the sources end here
    return None


def _environments() -> Path:
    """Return the folder of side environments, from within one of them or from our own."""
    if named := os.environ.get("LLMOPS_ENVS"):
        return Path(named).expanduser()
    try:
        from llmops_kernel.envs import root
    except ModuleNotFoundError:  # in a side environment, which has none of our packages
        return Path(sys.prefix).parent
    return root()


@contextmanager
def llama_server(gguf: Path, program: Path) -> Iterator[tuple[str, str]]:
    """Run ``llama-server`` on loopback with a random key while the block runs.

    Yields:
        Its URL and key.

    Raises:
        ProviderUnreachable: It ended before it was ready, or was not ready in time.
    """
    key = token_hex(16)
    with tempfile.TemporaryDirectory(prefix="llmops-parity-") as folder:
        keys, log = Path(folder) / "key", Path(folder) / "log"
        keys.touch(mode=0o600)  # a key among the arguments would be seen in the process list
        keys.write_text(key, encoding="utf-8")
        port = _free_port()
        command = [
            str(program), "--model", str(gguf), "--host", "127.0.0.1", "--port", str(port),
            "--api-key-file", str(keys), "--parallel", "1", "--ctx-size", "512", "--threads", "1",
            "--jinja", "--no-warmup", "--offline",
            # By default it remembers keys and values in 16 bits, which alone turns ties over.
            "--cache-type-k", "f32", "--cache-type-v", "f32", "--flash-attn", "off",
        ]  # fmt: skip
        with log.open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - the person's own program, no shell
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(url, process, log)
            yield url, key
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if process.poll() is not None:
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()
            told = [line.strip() for line in said if "error" in line.lower()] or said
            raise ProviderUnreachable(
                "The engine ended before it was ready", detail=" / ".join(told[-3:])[:500]
            )
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.05)
    raise ProviderUnreachable("The engine was not ready in time", detail=f"{_START:.0f} s")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Engine:
    """Speaks HTTP with an engine: OpenAI's paths, and llama-server's own where they are.

    Args:
        url: Where it is, with or without ``/v1``.
        key: Its bearer token, or "".
        model: The model's name there.

    Each method raises `ProviderUnreachable` or `ProviderError`.
    """

    def __init__(self, url: str, key: str, model: str) -> None:
        root = url.rstrip("/")
        self._root = root.removesuffix("/v1")
        self._key, self._model = key, model

    def shows_tokens(self) -> bool:
        """Whether llama-server's own paths are there."""
        try:
            return "tokens" in self._post("/tokenize", {"content": "a"})
        except ProviderUnreachable:
            raise
        except ProviderError:
            return False

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return messages as the model's template has them, ready to be answered."""
        return str(self._post("/apply-template", {"messages": list(messages)})["prompt"])

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a rendered prompt."""
        body = {"content": text, "add_special": True, "parse_special": True}
        return [int(each) for each in self._post("/tokenize", body)["tokens"]]

    def complete(self, ids: Sequence[int], most: int) -> list[int]:
        """Return the tokens of a greedy answer."""
        body = {
            "prompt": list(ids), "n_predict": most, "temperature": 0, "top_k": 1,
            "cache_prompt": False, "return_tokens": True,
        }  # fmt: skip
        return [int(each) for each in self._post("/completion", body).get("tokens", ())]

    def chat(self, messages: Sequence[Mapping[str, str]], most: int) -> str:
        """Return the text of a greedy answer to messages."""
        body = {
            "model": self._model, "messages": list(messages), "max_tokens": most,
            "temperature": 0, "seed": 0,
        }  # fmt: skip
        answer = self._post("/v1/chat/completions", body)
        return str(answer["choices"][0]["message"].get("content") or "")

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(  # noqa: S310 - the person's own URL
            self._root + path, json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read(2_000).decode(errors="replace")
            raise ProviderError(
                "The engine answered with an error", upstream_status=error.code, detail=said[:300]
            ) from error
        except (OSError, urllib.error.URLError) as error:
            raise ProviderUnreachable(
                "The engine cannot be reached", detail=str(error), dispatched=False
            ) from error
        except ValueError as error:
            raise ProviderError("The engine did not answer with JSON") from error
        if not isinstance(found, dict):
            raise ProviderError("The engine did not answer with a JSON object")
        return found
