"""Servers that somebody else runs: any OpenAI-compatible URL, and Ollama."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmops_kernel.errors import EngineFailed, UsageProblem, nearest
from llmops_kernel.serve import record as records
from llmops_kernel.serve.engines import Capabilities
from llmops_kernel.serve.models import server_name
from llmops_kernel.serve.record import Replica, ServerRecord
from llmops_kernel.serve.servers.leftovers import alone
from llmops_kernel.serve.servers.ready import Caller, Unanswered, check_speaks, refused_key
from llmops_kernel.serve.servers.wanted import Started, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.serve.models import ServedModel

_OLLAMA = "http://127.0.0.1:11434/v1"


def attach(
    name: str,
    url: str,
    *,
    model: str = "",
    key_env: str = "",
    wanted: Wanted | None = None,
    engine: str = "attached",
    batches: bool = False,
) -> Started:
    """Register a server that runs already (vLLM, SGLang, TGI, LM Studio, ...) as ``local/NAME``.

    Args:
        name: What to call it.
        url: Its base URL, up to ``/v1``; ``http`` for this machine, else ``https``.
        model: What the model is called there; "" for the only one that it lists.
        key_env: Variable that holds its key.
        wanted: Its price and context; the rest does not matter.
        engine: What to call the engine in lists.
        batches: Whether it is known to work on several requests at once.

    Raises:
        UsageProblem: The URL cannot be used, the name is taken, or the variable holds no key.
        EngineFailed: Nobody answers there, it wants another key, or what it sends is no chat
            completion or always the empty text.
    """
    wanted, name = wanted or Wanted(), server_name(name)
    base = checked_url(url)
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if key_env and not key:
        raise UsageProblem("The variable of --key-env holds no key", detail=key_env,
                           hint="Set it before the kernel or the command is started")  # fmt: skip
    with alone(name):
        if name in records.names():
            raise UsageProblem(f"local/{name} runs already", hint=f"%serve stop {name}")
        caller = Caller(base, key)
        served = model_at(caller, model)
        check_speaks(caller, served)
        identity = hashlib.sha256(f"{base}\n{served}".encode()).hexdigest()[:12]
        record = ServerRecord(
            name=name,
            engine=engine,
            model=served,
            source=f"{served} at {base}",
            identity=identity,
            replicas=(Replica(base),),
            context=wanted.context,
            slots=wanted.slots,
            created=time.time(),
            usd_input=str(wanted.usd_input),
            usd_output=str(wanted.usd_output),
            key_env=key_env,
            capabilities=asdict(Capabilities(batches=batches, keyed=bool(key_env))),
        )
        records.write_record(record)
        return Started(record, fresh=True, checked={})


def start_ollama(
    model: ServedModel, *, wanted: Wanted | None = None, url: str = _OLLAMA
) -> Started:
    """Give a model to a running Ollama and register it.

    Raises:
        UsageProblem: There is neither a Modelfile nor a GGUF file.
        EngineFailed: Ollama is not on this machine, does not run, or refuses the model.
    """
    caller = Caller(url)
    if not caller.healthy("/api/version"):
        raise EngineFailed(
            "Ollama does not run on this machine",
            detail=caller.root,
            hint="Start it with `ollama serve`",
        )
    program = shutil.which("ollama")
    if program is None:
        raise EngineFailed("The program ollama is not on the path",
                           hint="Install it, or attach with --url")  # fmt: skip
    modelfile = ollama_modelfile(model)
    done = subprocess.run(  # noqa: S603 - the person's own program, no shell
        [program, "create", model.name, "-f", str(modelfile)],
        capture_output=True, text=True, check=False, errors="replace", cwd=modelfile.parent,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise EngineFailed("Ollama refused the model", detail=" ".join(said))
    return attach(model.name, url, model=model.name, wanted=wanted, engine="ollama")


def ollama_modelfile(model: ServedModel) -> Path:
    """Return the Modelfile of a model; one with its GGUF file alone is written if it has none.

    Raises:
        UsageProblem: There is no GGUF file either.
    """
    if model.modelfile is not None:
        return model.modelfile
    if model.gguf is None:
        raise UsageProblem("Ollama needs a GGUF file or a Modelfile", detail=model.name,
                           hint="Export gguf:q8_0")  # fmt: skip
    path = records.folder_of(model.name) / "Modelfile"
    records.write_private(path, f"FROM {model.gguf}\n")
    return path


def checked_url(url: str) -> str:
    """Return a server's base URL, up to ``/v1`` (raises `UsageProblem` where it cannot be one)."""
    parts = urlsplit(url.strip().rstrip("/"))
    local = parts.hostname in {"localhost", "::1"} or (parts.hostname or "").startswith("127.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageProblem("The URL of a server begins with http:// or https://", detail=repr(url))
    if parts.username or parts.password or parts.query:
        raise UsageProblem(
            "The URL of a server holds no user, password or query",
            hint="Put its key into a variable, and name that with --key-env",
        )
    if parts.scheme == "http" and not local:
        raise UsageProblem(
            "A server on another machine is called through https only",
            detail=parts.hostname or "",
            hint="Use https, or a tunnel to a port of 127.0.0.1",
        )
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return base if base.endswith("/v1") else f"{base}/v1"


def model_at(caller: Caller, asked: str) -> str:
    """Return what a model is called at a server.

    Args:
        caller: Asks it.
        asked: The name that was given; "" for the only one that it lists.

    Raises:
        UsageProblem: It has no such model, or which is meant is not clear.
        EngineFailed: Nobody answers there, or not without another key.
    """
    listed, why = [], ""
    try:
        listed = caller.listed()
    except Unanswered as error:
        if not error.reached:
            raise EngineFailed(
                "No server answers there",
                detail=f"{caller.url}: {error}",
                hint="Look at host and port, and whether it has been started",
            ) from error
        if wants := refused_key(error, keyed=caller.keyed):
            raise wants from error
        why = f" ({error})"  # some list nothing
    if asked:
        if listed and asked not in listed and f"{asked}:latest" not in listed:
            raise UsageProblem(
                f"The server has no model {asked!r}{nearest(asked, listed)}",
                detail=f"it lists {', '.join(listed[:8])}",
            )
        return asked
    if len(listed) != 1:
        raise UsageProblem(
            "Which of the server's models is meant is not clear",
            detail=f"it lists {', '.join(listed[:8]) or 'none'}{why}",
            hint="Name it with --model",
        )
    return listed[0]
