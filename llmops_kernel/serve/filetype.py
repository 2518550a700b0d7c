"""How a model's weights are stored, as its own files say it."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.serve.models import ServedModel

# general.file_type of a GGUF file; numbers of types that were given up are left out.
_GGUF = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k",
    11: "q3_k_s", 12: "q3_k_m", 13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s",
    17: "q5_k_m", 18: "q6_k", 19: "iq2_xxs", 20: "iq2_xs", 21: "q2_k_s", 22: "iq3_xs",
    23: "iq3_xxs", 24: "iq1_s", 25: "iq4_nl", 26: "iq3_s", 27: "iq3_m", 28: "iq2_s", 29: "iq2_m",
    30: "iq4_xs", 31: "iq1_m", 32: "bf16", 36: "tq1_0", 37: "tq2_0", 38: "mxfp4",
}  # fmt: skip
_SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_MOST_KEYS, _MOST_TEXT = 4_096, 2**24


def file_type(model: ServedModel, engine: str) -> str:
    """Return how the weights that an engine serves are stored.

    Args:
        model: What is served.
        engine: The engine's name; with llama-server it is the GGUF file, else the folder.

    Returns:
        A GGUF type (``q8_0``), a quantisation (``awq, 4 bits``) or a number format (``bfloat16``);
        "" where the files do not say.
    """
    if model.gguf is not None and (engine == "llama-server" or model.folder is None):
        said = gguf_facts(model.gguf, "general.file_type").get("general.file_type")
        return _GGUF.get(said, "") if isinstance(said, int) else ""
    return "" if model.folder is None else _of_folder(model.folder)


def gguf_facts(path: Path, *names: str) -> dict[str, Any]:
    """Return facts of a GGUF file's header; lists are left out, and {} of what is no such file."""
    found: dict[str, Any] = {}
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                return {}
            _, _, number = struct.unpack("<IQQ", file.read(20))
            for _ in range(min(number, _MOST_KEYS)):
                key = _text(file)
                value = _value(file, struct.unpack("<I", file.read(4))[0])
                if key in names:
                    found[key] = value
                if len(found) == len(names):
                    break
    except (OSError, struct.error, ValueError, KeyError):
        return found
    return found


def _of_folder(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(config, dict):
        return ""
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict):
        bits = quantised.get("bits") or quantised.get("w_bit")
        method = str(quantised.get("quant_method") or "quantised")
        return f"{method}, {bits} bits" if bits else method
    return str(config.get("dtype") or config.get("torch_dtype") or "")


def _text(file: BinaryIO) -> str:
    (size,) = struct.unpack("<Q", file.read(8))
    if size > _MOST_TEXT:
        raise ValueError("a text is too long")
    return file.read(size).decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind != _ARRAY:
        return struct.unpack(f"<{_SIZES[kind]}", file.read(struct.calcsize(_SIZES[kind])))[0]
    of, number = struct.unpack("<IQ", file.read(12))
    if of in (_TEXT, _ARRAY):
        for _ in range(number):
            _value(file, of)
    else:
        file.seek(number * struct.calcsize(_SIZES[of]), 1)
    return None
