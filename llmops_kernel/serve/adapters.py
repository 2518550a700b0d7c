"""Adapters that are served beside their base: found, held against it, and checked by answers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import EngineFailed, LLMOpsError, UsageProblem, nearest
from llmops_kernel.serve.models import server_name
from llmops_kernel.serve.record import Adapter
from llmops_kernel.serve.servers.ready import Caller, check_answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmops_kernel.finetune.registry import Version
    from llmops_kernel.serve.engines.protocol import Capabilities
    from llmops_kernel.serve.models import ServedModel
    from llmops_kernel.serve.record import ServerRecord

# What each engine loads of a registered version: its file or folder, and the export that makes it.
_FORMS = {
    "llama-server": ("gguf-adapter/adapter.gguf", "gguf-adapter"),
    "vllm": ("adapter", "adapter"),
}


def read_pairs(given: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=REF`` or ``REF`` (which is called like the model) as flags give them.

    Raises:
        UsageProblem: A name is missing, not fit to be called, or given twice.
    """
    found: dict[str, str] = {}
    for each in given:
        name, mark, ref = each.partition("=")
        ref = ref.strip() if mark else each.strip()
        name = server_name(name if mark else ref.partition("@")[0])
        if not ref:
            raise UsageProblem("An adapter is given as NAME=REF", detail=repr(each),
                               hint="REF is a registered version, such as area@1a2b3c")  # fmt: skip
        if name in found:
            raise UsageProblem("Two adapters cannot have one name", detail=name)
        found[name] = ref
    return found


def find_adapters(
    wanted: Mapping[str, str], model: ServedModel, engine: str, asked: str = ""
) -> tuple[Adapter, ...]:
    """Find what an engine shall load beside a base.

    Args:
        wanted: References by name: registered versions, or what was found before (paths).
        model: The base.
        engine: The engine's name.
        asked: What the person called the base: a registered version's name, or a path.

    Raises:
        UsageProblem: The engine loads none, there is no such version, it has no adapter in the
            engine's form, or it was trained on another base.
    """
    if wanted and engine not in _FORMS:
        raise UsageProblem(
            "This engine loads no adapters", detail=engine,
            hint="Serve with llama-server or vllm, or serve merged weights",
        )  # fmt: skip
    found = []
    for number, (name, ref) in enumerate(wanted.items()):
        version = registered(ref)
        require_base(version, model, asked)
        found.append(adapter_of(version, name, engine, number))
    return tuple(found)


def registered(ref: str) -> Version:
    """Return the registered version of a reference (raises `UsageProblem`)."""
    from llmops_kernel.finetune.registry import Registry

    registry = Registry()
    if ref.partition("@")[0] not in registry.names():
        known = list(registry.names())
        raise UsageProblem(
            f"No adapter {ref!r} is registered{nearest(ref.partition('@')[0], known)}",
            hint="llmops model list shows what is; a run with register: NAME registers its adapter",
        )
    return registry.get(ref)


def adapter_of(version: Version, name: str, engine: str, number: int = -1) -> Adapter:
    """Return a version's adapter in the form that an engine loads (raises `UsageProblem`)."""
    place, export = _FORMS.get(engine, _FORMS["vllm"])
    path = version.folder / place
    if not path.exists():
        raise UsageProblem(
            "The version has no adapter that this engine loads",
            detail=f"{version.ref}: {place} for {engine}",
            hint=f"Train with export: [{export}]; merged weights are served without --lora",
        )
    told = {key: each["sha256"] for key, each in version.files.items() if key.startswith(place)}
    text = json.dumps(told or [version.ref], sort_keys=True)
    identity = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Adapter(name, version.ref, str(path), identity, number)


def require_base(version: Version, model: ServedModel, asked: str = "") -> None:
    """Refuse an adapter that was trained on something else than what is served.

    The base is known by the hash of its weights, configuration and tokenizer, or, where only a GGUF
    file of it lies here, by the version it was exported from.

    Raises:
        UsageProblem: It was, or it cannot be told.
    """
    trained_on = str(version.base.get("sha256") or "")
    if model.folder is not None:
        from llmops_kernel.finetune.registry.record import base_of

        here = base_of({"base": {"name": model.name}, "base_folder": str(model.folder)})
        if trained_on and here.get("sha256") == trained_on:
            return
        reason = "its weights, configuration or tokenizer are not those it was trained on"
    elif version.parent and version.parent == _full_name(asked):
        return
    else:
        reason = "a GGUF file alone does not say which weights it was made from"
    raise UsageProblem(
        "The adapter was trained on another base than the one that is served",
        detail=f"{version.ref} was trained on {version.base.get('name') or 'a base of no name'}: "
        f"{reason}",
        hint="Serve the base that the adapter names: its registered version, or the folder with "
        "its weights (and its GGUF file beside them)",
    )


def _full_name(asked: str) -> str:
    try:
        return registered(asked).ref
    except LLMOpsError:
        return ""


def fields_of(engine: str, adapter: Adapter) -> dict[str, Any]:
    """Return what a request's body says so that an adapter answers it."""
    if engine == "llama-server":
        return {"lora": [{"id": adapter.number, "scale": 1.0}]}
    return {"model": adapter.name}


def fields_for(record: ServerRecord, name: str) -> dict[str, Any]:
    """Return what requests to a server say so that an adapter, or for "" the base, answers.

    Raises:
        UsageProblem: It has no such adapter.
    """
    if name:
        adapter = record.adapter(name)
        if adapter is None:
            known = [each.name for each in record.adapters]
            raise UsageProblem(
                f"The server has no adapter {name!r}{nearest(name, known)}",
                hint=f"%serve lora {record.name} lists what is loaded",
            )
        return fields_of(record.engine, adapter)
    if record.engine != "llama-server" or not record.adapters:
        return {}
    # An empty list would say nothing, and what it takes then can be changed while it runs.
    return {"lora": [{"id": each.number, "scale": 0.0} for each in record.adapters]}


class AdapterCaller(Caller):
    """Asks a server for the answers of one adapter.

    Args:
        url: The server's base URL, up to ``/v1``.
        key: The bearer key; "" for none.
        fields: What is said in each request; see `fields_of`.
    """

    def __init__(self, url: str, key: str, fields: Mapping[str, Any]) -> None:
        super().__init__(url, key)
        self._fields = dict(fields)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = 120.0) -> Any:
        """Send JSON to a path below the root; completions go to the adapter."""
        asked = path.endswith("/completions")
        return super().post(path, {**body, **self._fields} if asked else body, timeout_s)


def check_adapters(
    url: str,
    key: str,
    engine: str,
    served: str,
    able: Capabilities,
    adapters: Sequence[Adapter],
    *,
    parity: bool,
) -> int:
    """Let each adapter answer, and compare it with what was trained where its answers are known.

    Returns:
        Answers compared.

    Raises:
        EngineFailed: One answers garbage, or otherwise than the trained model.
    """
    compared = 0
    for each in adapters:
        caller = AdapterCaller(url, key, fields_of(engine, each))
        reference = registered(each.ref).folder / "reference.json" if parity else None
        if reference is not None and not reference.is_file():
            reference = None
        try:
            compared += check_answers(caller, served, able, reference)["probes"]
        except EngineFailed as error:
            raise EngineFailed(
                error.message, detail=f"adapter {each.name}: {error.detail}", hint=error.hint
            ) from error
    return compared
