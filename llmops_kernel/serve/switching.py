"""Adapters of a server that runs: which are loaded, and vLLM's loading and unloading.

llama-server loads adapters at its start and chooses among them in each request. vLLM also takes
further ones while it runs, where it was started with ``VLLM_ALLOW_RUNTIME_LORA_UPDATING``.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import EngineFailed, UsageProblem, nearest
from llmops_kernel.serve import record as records
from llmops_kernel.serve.adapters import adapter_of, registered, require_base
from llmops_kernel.serve.servers.leftovers import alone
from llmops_kernel.serve.servers.ready import Caller, Unanswered
from llmops_kernel.serve.servers.stopping import key_of
from llmops_kernel.serve.servers.wanted import read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmops_kernel.finetune.registry import Version
    from llmops_kernel.serve.record import Adapter, ServerRecord

_LOOK_S = 5.0
_LOAD, _UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_MAY = "Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"


def adapters_loaded(name: str) -> dict[str, Any]:
    """Return a server's adapters, and whether its engine says that it has them.

    Returns:
        ``name``, ``engine`` and ``adapters``: each with ``name``, ``ref``, ``identity`` and
        ``loaded`` (None where the engine does not tell).

    Raises:
        UsageProblem: There is no such server.
    """
    record = records.read_record(name)
    seen = [_told(record, each) for each in _callers(record)]
    adapters = []
    for each in record.adapters:
        told = [one(each) for one in seen]
        loaded = None if None in told else all(told)
        facts = {key: value for key, value in asdict(each).items() if key != "path"}
        adapters.append({**facts, "loaded": loaded})
    return {"name": record.name, "engine": record.engine, "adapters": adapters}


def load_adapters(name: str, wanted: Mapping[str, str]) -> ServerRecord:
    """Load adapters into every replica of a vLLM that runs; none is left in half of them.

    Args:
        name: The server.
        wanted: Registered versions by the name that each shall have.

    Raises:
        UsageProblem: The engine takes none while it runs, there is no such version, it was trained
            on another base, or the name is taken.
        EngineFailed: A replica refused it.
    """
    with alone(name):
        record = _open(name)
        for called, ref in wanted.items():
            if called in {record.model, *(each.name for each in record.adapters)}:
                raise UsageProblem("The server has a model of that name already", detail=called,
                                   hint=f"%serve lora {name} --unload {called}")  # fmt: skip
            version = registered(ref)
            _require_base(record, version)
            adapter = adapter_of(version, called, "vllm")
            body = {"lora_name": called, "lora_path": adapter.path}
            done: list[_Asker] = []
            try:
                for caller in _callers(record):
                    _post(caller, _LOAD, body)
                    done.append(caller)
            except EngineFailed:
                for caller in done:
                    _forget(caller, called)
                raise
            record = _write(record, (*record.adapters, adapter))
    return record


def unload_adapters(name: str, adapters: Sequence[str]) -> ServerRecord:
    """Take adapters out of a vLLM that runs; calls to them fail from now on.

    Raises:
        UsageProblem: The engine takes none out while it runs, or has none of that name.
        EngineFailed: A replica refused.
    """
    with alone(name):
        record = _open(name)
        for called in adapters:
            if record.adapter(called) is None:
                known = [each.name for each in record.adapters]
                raise UsageProblem(
                    f"The server has no adapter {called!r}{nearest(called, known)}",
                    hint=f"%serve lora {name} lists what is loaded",
                )
            # Out of the record first: no further call is sent to what is about to go.
            record = _write(record, tuple(x for x in record.adapters if x.name != called))
            for caller in _callers(record):
                _post(caller, _UNLOAD, {"lora_name": called})
    return record


def _open(name: str) -> ServerRecord:
    record = records.read_record(name)
    if record.engine not in ("vllm", "attached"):
        raise UsageProblem(
            "This engine takes adapters at its start only", detail=record.engine,
            hint=f"%serve stop {name}, then %serve start ... --lora NAME=REF; requests choose "
            "among those that were loaded",
        )  # fmt: skip
    return record


def _require_base(record: ServerRecord, version: Version) -> None:
    """Refuse an adapter of another base; at a server of others the base is known by name alone."""
    if not record.attached:
        require_base(version, read_back(record)[0])
        return
    base = str(version.base.get("name") or "")
    if base.rpartition("/")[2].lower() != record.model.rpartition("/")[2].lower():
        raise UsageProblem(
            "The adapter was trained on another base than the one that is served",
            detail=f"{version.ref} was trained on {base or 'a base of no name'}, the server calls "
            f"its model {record.model}",
            hint="Attach the server of that base",
        )


def _write(record: ServerRecord, adapters: tuple[Adapter, ...]) -> ServerRecord:
    start = dict(record.start)
    if start:  # a further replica loads what is loaded now
        lora = {each.name: each.path for each in adapters}
        start["wanted"] = {**start["wanted"], "lora": lora}
    able = {**record.capabilities, "lora": "model in each request" if adapters else ""}
    record = replace(record, adapters=adapters, start=start, capabilities=able)
    records.write_record(record)
    return record


def _callers(record: ServerRecord) -> list[_Asker]:
    key = os.environ.get(record.key_env, "").strip() if record.key_env else key_of(record)
    return [_Asker(each.url, key) for each in record.replicas]


def _post(caller: Caller, path: str, body: dict[str, Any]) -> None:
    try:
        caller.post(path, body)
    except Unanswered as error:
        if error.reached and not error.status:
            return  # done, and said so in plain text
        hint = _MAY if error.status in (404, 405) else ""
        raise EngineFailed(
            "The engine refused to change its adapters", detail=str(error), hint=hint
        ) from error


def _forget(caller: Caller, called: str) -> None:
    try:
        _post(caller, _UNLOAD, {"lora_name": called})
    except EngineFailed:
        return  # what matters is the error that led here


def _told(record: ServerRecord, caller: _Asker) -> Callable[[Adapter], bool | None]:
    """Return what says of an adapter whether a replica has it; None where it does not tell."""
    if record.engine != "llama-server":
        names = caller.models()
        return lambda adapter: adapter.name in names if names else None
    listed = caller.get("/lora-adapters")
    if not isinstance(listed, list):
        return lambda _: None
    files = [Path(str(each.get("path", ""))) for each in listed if isinstance(each, dict)]
    return lambda adapter: Path(adapter.path) in files[adapter.number : adapter.number + 1]


class _Asker(Caller):
    def get(self, path: str) -> Any:
        """Return the JSON of a path below the root; None where there is none."""
        try:
            return self._ask(self._request(self.root + path), _LOOK_S)
        except Unanswered:
            return None
