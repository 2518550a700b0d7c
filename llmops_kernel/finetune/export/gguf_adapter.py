"""An adapter as one GGUF file, which llama-server loads beside its base.

The base's weights are not in it: the engine adds each layer's two small matrices to what it has.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.gguf_config import check_config
from llmops_kernel.finetune.export.gguf_tensors import permuted, renamed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PART = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_MERGE = "Export merged or gguf:q8_0, which hold everything that was trained"


def write_adapter(checkpoint: Path, base: Path, out: Path, *, name: str = "") -> dict[str, Any]:
    """Write an adapter for llama-server.

    What each layer adds is ``scale * B @ A``. An engine knows one alpha and reckons the scale as
    alpha over the rank; where PEFT scales otherwise (rank-stabilised, or by layer) the difference
    is multiplied into B.

    Args:
        checkpoint: ``adapter_config.json`` and ``adapter_model.safetensors``, as PEFT saves them.
        base: The folder of the base, for the shape of its heads.
        out: The file; it appears only when it is whole.
        name: The adapter's name in the file.

    Returns:
        ``tensors`` (matrices written), ``rank`` (the largest), ``alpha``.

    Raises:
        UsageProblem: The checkpoint is no adapter, or such a file cannot carry what it holds.
    """
    import gguf
    import numpy as np
    from safetensors.torch import load_file

    said = adapter_config(checkpoint)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    check_config(config)
    pairs = _pairs(load_file(str(checkpoint / "adapter_model.safetensors")))
    if config.get("tie_word_embeddings") and "lm_head" in pairs:
        raise _beyond("the output layer, which is the embeddings' own matrix in this base")
    alpha = float(said["lora_alpha"])
    unfinished = out.with_name(f".{out.name}.part")
    writer = gguf.GGUFWriter(unfinished, "llama")
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        writer.add_name(name or checkpoint.name)
        rank = 0
        for module, (a, b) in pairs.items():
            weight = f"{module}.weight"
            rows = permuted(weight, b.float(), config)
            own = int(a.shape[0])
            rows = rows * (_scale(said, module, own) * own / alpha)
            rank = max(rank, own)
            target = renamed(weight)
            writer.add_tensor(f"{target}.lora_a", np.ascontiguousarray(a.float().numpy()))
            writer.add_tensor(f"{target}.lora_b", np.ascontiguousarray(rows.numpy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except BaseException:
        writer.close()
        unfinished.unlink(missing_ok=True)
        raise
    writer.close()
    unfinished.replace(out)
    return {"tensors": 2 * len(pairs), "rank": rank, "alpha": alpha}


def adapter_config(checkpoint: Path) -> dict[str, Any]:
    """Return what PEFT says of an adapter.

    Raises:
        UsageProblem: There is no adapter, or a file for llama-server cannot carry it.
    """
    path = checkpoint / "adapter_config.json"
    if not path.is_file() or not (checkpoint / "adapter_model.safetensors").is_file():
        raise UsageProblem(
            "There is no adapter: the whole model was trained", hint="Export gguf:q8_0 instead"
        )
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if said.get("peft_type", "LORA") != "LORA":
        raise _beyond(f"an adapter of the kind {said['peft_type']}")
    refuse_whole(said.get("modules_to_save") or ())
    for reason, there in {
        "magnitudes (DoRA)": said.get("use_dora"),
        "biases": said.get("bias", "none") != "none",
        "another form of alpha": not said.get("lora_alpha"),
    }.items():
        if there:
            raise _beyond(reason)
    return said


def refuse_whole(modules: Iterable[str]) -> None:
    """Refuse an adapter with modules that are trained whole (raises `UsageProblem`)."""
    if whole := ", ".join(modules):
        raise _beyond(f"modules that were trained whole: {whole}", _WHOLE)


_WHOLE = (
    f"{_MERGE}; or train with lora.save_modules: [], which suits a base that has learnt its "
    "embeddings"
)


def _beyond(what: str, hint: str = _MERGE) -> UsageProblem:
    return UsageProblem(
        "A GGUF file of an adapter cannot carry all that was trained",
        detail=f"the adapter has {what}",
        hint=hint,
    )


def _pairs(tensors: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return A and B of each module (``model.layers.0.self_attn.q_proj``), in a stable order."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(tensors):
        part = _PART.fullmatch(name)
        if part is None:
            raise _beyond(name)
        found.setdefault(part[1], {})[part[2]] = tensors[name]
    if not found or any(len(each) != 2 for each in found.values()):
        raise UsageProblem("The adapter is not whole", detail="a matrix of a layer is missing")
    return {module: (each["A"], each["B"]) for module, each in found.items()}


def _scale(said: dict[str, Any], module: str, rank: int) -> float:
    """Return what PEFT multiplies ``B @ A`` of a module with."""
    alpha = float(said["lora_alpha"])
    for pattern, own in (said.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = float(own)
            break
    return alpha / (math.sqrt(rank) if said.get("use_rslora") else rank)
