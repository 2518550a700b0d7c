"""What exports other programs make: llama.cpp's converter and quantiser, AWQ and GPTQ libraries.

Nothing is installed or downloaded here: a tool that is missing is named, and how to get it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.finetune.export.llama import beside_server

_LETTERS = 300  # of a failed program's last words
_SAMPLES = 128


class Unavailable(LLMOpsError):
    """What an export needs is not on this machine."""

    status = 501
    code = "export_unavailable"


def quantiser(llama: str = "") -> list[str]:
    """Return the command of llama.cpp's quantiser.

    Looked for in ``llama`` (a build, its ``bin`` or the program), beside ``llama-server``, on the
    path, then as ``llama_cpp`` in this environment.

    Raises:
        Unavailable: There is none.
    """
    if llama:
        root = Path(llama).expanduser()
        for path in (root, root / "llama-quantize", root / "bin" / "llama-quantize",
                     root / "build" / "bin" / "llama-quantize"):  # fmt: skip
            if path.is_file() and path.name.startswith("llama-quantize"):
                return [str(path)]
    if beside := beside_server("llama-quantize"):
        return [str(beside)]
    if found := shutil.which("llama-quantize"):
        return [found]
    if importlib.util.find_spec("llama_cpp") is not None:
        return [sys.executable, "-c", _THROUGH_LIBRARY]
    raise Unavailable(
        "K-quants need llama.cpp's quantiser, which was not found",
        hint="Build its target llama-quantize beside llama-server, or export gguf:q8_0 or "
        "gguf:q4_0, which need no program",
    )


# llama_cpp has no command for it; the library's function does the same.
_THROUGH_LIBRARY = """
import ctypes, sys, llama_cpp
source, target, name = sys.argv[1:4]
options = llama_cpp.llama_model_quantize_default_params()
options.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + name.upper())
sys.exit(llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(options)))
"""


def quantise(source: Path, out: Path, type_: str, llama: str = "") -> dict[str, Any]:
    """Make K-quants of an F32 or F16 file; the file appears only when it is whole.

    Returns:
        ``bpw`` (bits per weight, over all tensors) and ``kept``: how many matrices could not have
        the type, because their rows are not divisible by 256.

    Raises:
        Unavailable: There is no quantiser.
        UsageProblem: It failed.
    """
    unfinished = out.with_name(f".{out.name}.part")
    command = [*quantiser(llama), str(source), str(unfinished), type_.upper()]
    try:
        said = _run(command, "llama.cpp's quantiser failed")
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    import gguf

    tensors = gguf.GGUFReader(out).tensors
    bits = 8 * sum(int(each.n_bytes) for each in tensors)
    weights = sum(int(each.n_elements) for each in tensors)
    return {"bpw": round(bits / weights, 4), "kept": said.count("fallback quantization")}


def converter(named: str = "") -> str:
    """Return the path of ``convert_hf_to_gguf.py``: as named, or in the sources of the engine.

    "" where there is none.
    """
    found = beside_server("convert_hf_to_gguf.py") if not named else None
    return named or (str(found) if found else "")


def convert(folder: Path, out: Path, converter: str, type_: str = "f16") -> None:
    """Convert with the official ``convert_hf_to_gguf.py``.

    Raises:
        Unavailable: It is not at the path.
        UsageProblem: It refused the model.
    """
    script = Path(converter).expanduser()
    if script.is_dir():
        script = script / "convert_hf_to_gguf.py"
    if not script.is_file():
        raise Unavailable("The converter is not at the path given", detail=str(script))
    unfinished = out.with_name(f".{out.name}.part")
    command = [sys.executable, str(script), str(folder), "--outfile", str(unfinished),
               "--outtype", type_]  # fmt: skip
    try:
        _run(command, "The official converter refused the model")
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _run(command: list[str], failed: str) -> str:
    done = subprocess.run(  # noqa: S603 - the person's own program, no shell
        command, capture_output=True, text=True, check=False, errors="replace"
    )
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode:
        last = [line.strip() for line in said.splitlines() if line.strip(" ^~\t")][-1:]
        raise UsageProblem(failed, detail="".join(last)[:_LETTERS])
    return said


def check_gpu(kind: str) -> str:
    """Return the library that makes AWQ or GPTQ weights here.

    Raises:
        Unavailable: There is no GPU, or no library.
    """
    import torch

    if not torch.cuda.is_available():
        raise Unavailable(
            f"{kind.upper()} needs a CUDA GPU, and there is none here",
            hint="Export gguf:q4_0 on this machine, or run the export where a GPU is",
        )
    known = {"gptq": ("gptqmodel", "llmcompressor"), "awq": ("llmcompressor", "gptqmodel")}[kind]
    for name in known:
        if importlib.util.find_spec(name) is not None:
            return name
    raise Unavailable(
        f"{kind.upper()} needs one of {', '.join(known)} in the training environment",
        hint=f"pip install {known[0]} there",
    )


def quantise_on_gpu(kind: str, folder: Path, out: Path, texts: list[str]) -> dict[str, Any]:
    """Write AWQ or GPTQ weights (4 bits, groups of 128) with a library, on a GPU.

    Args:
        kind: ``awq`` or ``gptq``.
        folder: Merged weights.
        out: The folder to write.
        texts: Texts like those the model will see, to calibrate on.

    Returns:
        ``library``, ``bits``, ``group``, ``calibration`` (texts used), ``device``.

    Raises:
        Unavailable: There is no GPU, or no library.
        UsageProblem: There are no texts.
    """
    library = check_gpu(kind)
    if not texts:
        raise UsageProblem(
            f"{kind.upper()} is calibrated on texts, and none were given",
            hint="Keep the run's training file where the run names it",
        )
    import torch

    if library == "gptqmodel":
        _with_gptqmodel(kind, folder, out, texts[:_SAMPLES])
    else:
        _with_llmcompressor(kind, folder, out, texts[:_SAMPLES])
    return {
        "library": library, "bits": 4, "group": 128, "calibration": min(len(texts), _SAMPLES),
        "device": torch.cuda.get_device_name(),
    }  # fmt: skip


def _with_gptqmodel(kind: str, folder: Path, out: Path, texts: list[str]) -> None:
    from gptqmodel import GPTQModel, QuantizeConfig

    options: dict[str, Any] = {"bits": 4, "group_size": 128}
    if kind == "awq":
        options["quant_method"] = options["format"] = "awq"
    model = GPTQModel.load(str(folder), QuantizeConfig(**options))
    model.quantize(texts, batch_size=1)
    model.save(str(out))


def _with_llmcompressor(kind: str, folder: Path, out: Path, texts: list[str]) -> None:
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.awq import AWQModifier
    from llmcompressor.modifiers.quantization import GPTQModifier

    made = AWQModifier if kind == "awq" else GPTQModifier
    scheme = "W4A16_ASYM" if kind == "awq" else "W4A16"
    oneshot(
        model=str(folder),
        dataset=Dataset.from_dict({"text": texts}),
        recipe=[made(targets=["Linear"], scheme=scheme, ignore=["lm_head"])],
        output_dir=str(out),
        max_seq_length=1_024,
        num_calibration_samples=len(texts),
    )
