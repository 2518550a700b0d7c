"""``llama-server`` of llama.cpp: GGUF files, continuous batching, on CPU and GPU."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.envs import root
from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.engines.protocol import Capabilities, Command, Start

if TYPE_CHECKING:
    from llmops_kernel.serve.models import ServedModel

VARIABLE = "LLMOPS_LLAMA_SERVER"
_HINT = (
    "llmops serve build llama-server builds it here in minutes; or put it on the path, or its "
    f"place into {VARIABLE}"
)


def built_place() -> Path:
    """Return where our own build of the program is or would be."""
    return root() / "llama-server" / "bin" / "llama-server"


def find_program() -> Path | None:
    """Return the program: ``LLMOPS_LLAMA_SERVER``, the path, then our own build.

    Raises:
        UsageProblem: The variable names no program.
    """
    if named := os.environ.get(VARIABLE):
        path = Path(named).expanduser()
        if path.is_dir():
            path = path / "llama-server"
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise UsageProblem(f"{VARIABLE} names no program", detail=str(path))
        return path
    if found := shutil.which("llama-server"):
        return Path(found)
    path = built_place()
    return path if path.is_file() else None


class LlamaServer:
    """The engine."""

    name = "llama-server"
    health = "/health"

    def capabilities(self, start: Start) -> Capabilities:
        """Return what it can do: everything that is asked here."""
        return Capabilities(
            batches=start.slots > 1,
            lora="lora in each request" if start.lora else "",
            prefix_cache=True,
            tokenize="/tokenize",
            render="/apply-template",
            metrics="/metrics",
        )

    def available(self) -> str:
        """Return where the program is."""
        found = find_program()
        return "" if found is None else str(found)

    def can_serve(self, model: ServedModel) -> str:
        """Return why it cannot: without a GGUF file."""
        return "" if model.gguf is not None else "it needs a GGUF file"

    def command(self, start: Start) -> Command:
        """Return the command; the context of all slots together is what the program asks for.

        Raises:
            EngineFailed: The program is not on this machine.
            UsageProblem: There is no GGUF file.
        """
        program = find_program()
        if program is None:
            raise EngineFailed("There is no llama-server on this machine", hint=_HINT)
        if start.model.gguf is None:
            raise UsageProblem(
                "llama-server needs a GGUF file",
                detail=start.model.name,
                hint="Export gguf:q8_0, or serve with --engine transformers",
            )
        argv = [
            str(program), "--model", str(start.model.gguf), "--host", "127.0.0.1",
            "--port", str(start.port), "--alias", start.model.name,
            "--parallel", str(start.slots), "--ctx-size", str(start.context * start.slots),
            "--no-kv-unified", "--metrics", "--no-ui", "--offline", "--log-colors", "off",
        ]  # fmt: skip
        if start.key_file is not None:
            argv += ["--api-key-file", str(start.key_file)]
        if start.threads:
            argv += ["--threads", str(start.threads)]
        if start.lora:
            # Loaded at scale 0: --lora-init-without-apply leaves them applied to requests that
            # name none. And no prompts are kept outside their slot, where they would be found
            # again for another adapter.
            scaled = ",".join(f"{_plain(path)}:0" for path in start.lora.values())
            argv += ["--lora-scaled", scaled, "--cache-ram", "0"]
        return Command((*argv, *start.extra), model=start.model.name)


def _plain(path: str) -> str:
    """Return a path as the program's list of adapters can hold it (raises `UsageProblem`)."""
    if any(mark in path for mark in ',:"'):
        raise UsageProblem(
            "llama-server takes no adapter whose path has a comma, a colon or quotes", detail=path
        )
    return path
