"""Makes the exports of a finished run. Runs in the training environment, called by its worker.

One export that cannot be made never stops the others: each has a state and, where it has no file,
a reason. Files appear under their names only when they are whole.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.files import sha256_of
from llmops_kernel.finetune.export import engines, gguf_adapter, gguf_model, weights
from llmops_kernel.finetune.export.kinds import Export, parse
from llmops_kernel.finetune.export.planning import disk_needed, plan
from llmops_kernel.finetune.export.template import modelfile, turns_of
from llmops_kernel.finetune.export.work import Work, said, setting
from llmops_kernel.finetune.parity import check_exports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["disk_needed", "plan", "run_exports"]

_PREFERRED = ("q8_0", "q4_k_m", "q5_k_m", "q6_k", "q4_0", "bf16", "f16", "f32")


def run_exports(
    run: dict[str, Any], checkpoint: Path, out: Path, emit: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Make the exports of a finished run.

    Args:
        run: What the run was asked: ``export`` (names), ``base`` (folder), and where they are
            given ``name``, ``probes`` (prompts for the parity reference), ``calibration``
            (texts), ``converter`` (path of convert_hf_to_gguf.py) and ``llama_cpp`` (a build).
            Each is also looked for under ``spec``.
        checkpoint: The trained adapter or model, with its tokenizer.
        out: The folder for ``adapter/``, ``gguf-adapter/``, ``merged/``, ``gguf/``, ``awq/``,
            ``gptq/``, ``Modelfile``, and ``reference.json`` and ``parity.json`` with GGUF.
        emit: Called with an event as each export starts and ends.

    Returns:
        For each export ``export``, ``state`` (``done``, ``refused``, ``unavailable`` or
        ``failed``), ``path`` (below ``out``), ``bytes``, ``sha256`` (of single files), facts of
        its kind, and ``reason`` and ``hint`` where it was not made.

    Raises:
        UsageProblem: There is no such export.
    """
    asked = parse(setting(run, "export", []))
    out.mkdir(parents=True, exist_ok=True)
    work = Work(run, checkpoint, out, keep_merged=any(each.kind == "merged" for each in asked))
    results: list[dict[str, Any]] = []
    try:
        for export in asked:
            emit({"event": "export", "export": export.name, "state": "started"})
            results.append(_one(work, export))
            emit({"event": "export", **results[-1]})
        if any(each["state"] == "done" and each["path"].startswith("gguf/") for each in results):
            found = check_exports(out, work.read_back)
            emit({"event": "parity", "ok": found["ok"], "reason": found.get("reason", "")})
    finally:
        work.close()
    return results


def _one(work: Work, export: Export) -> dict[str, Any]:
    known: dict[str, Any] = {"export": export.name}
    make = {
        "adapter": _adapter,
        "gguf-adapter": _gguf_adapter,
        "merged": _merged,
        "gguf": _gguf,
        "awq": _on_gpu,
        "gptq": _on_gpu,
        "ollama-modelfile": _modelfile,
    }[export.kind]
    try:
        return {**known, "state": "done", **make(work, export)}
    except engines.Unavailable as error:
        return {**known, "state": "unavailable", "reason": said(error), "hint": error.hint}
    except LLMOpsError as error:
        return {**known, "state": "refused", "reason": said(error), "hint": error.hint}
    except OSError as error:
        return {**known, "state": "failed", "reason": f"{error.strerror or error}",
                "hint": "Free some disk, then export again"}  # fmt: skip
    except Exception as error:  # noqa: BLE001 - of any library; the others are made all the same
        return {**known, "state": "failed", "reason": f"{type(error).__name__}: {error}"[:500],
                "hint": ""}  # fmt: skip


def _adapter(work: Work, _: Export) -> dict[str, Any]:
    facts = weights.copy_adapter(work.checkpoint, work.out / "adapter")
    return {"path": "adapter", **_sized(work.out / "adapter"), "weights_bytes": facts["bytes"]}


def _gguf_adapter(work: Work, _: Export) -> dict[str, Any]:
    target = work.out / "gguf-adapter"
    gguf_adapter.adapter_config(work.checkpoint)  # before there is a folder for it
    target.mkdir(exist_ok=True)
    path = target / "adapter.gguf"
    try:
        facts = gguf_adapter.write_adapter(work.checkpoint, work.base, path, name=_name(work))
    except BaseException:
        target.rmdir()
        raise
    return {"path": f"gguf-adapter/{path.name}", "bytes": path.stat().st_size,
            "sha256": sha256_of(path), **facts}  # fmt: skip


def _merged(work: Work, _: Export) -> dict[str, Any]:
    folder, facts = work.merged()
    return {"path": "merged", **_sized(folder), **facts}


def _gguf(work: Work, export: Export) -> dict[str, Any]:
    folder, _ = work.merged()
    target = work.out / "gguf"
    target.mkdir(exist_ok=True)
    path = target / f"model-{export.type}.gguf"
    converter, llama = engines.converter(work.setting("converter")), work.setting("llama_cpp")
    if not export.own:
        engines.quantiser(llama)  # before the work of a file to quantise
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    written_by = "own writer"
    source = path if export.own else target / ".source.gguf"
    try:
        try:
            facts = gguf_model.write_gguf(
                folder, source, export.type if export.own else "f32", name=_name(work)
            )
        except UsageProblem as problem:
            plain = export.type if export.type in ("f32", "f16", "bf16", "q8_0") else ""
            if not converter or (export.own and not plain):
                raise
            try:
                engines.convert(folder, source, converter, plain or "f16")
            except UsageProblem as other:
                said = f"{problem.detail}; {other.message.lower()}: {other.detail}"
                raise UsageProblem(problem.message, detail=said, hint=problem.hint) from other
            facts, written_by = {}, "official converter"
        if not export.own:
            facts |= engines.quantise(source, path, export.type, llama)
            written_by += " and llama.cpp's quantiser"
    finally:
        if source != path:
            source.unlink(missing_ok=True)
    return {
        "path": f"gguf/{path.name}", "type": export.type, "bytes": path.stat().st_size,
        "sha256": sha256_of(path), "written_by": written_by,
        "architecture": (config.get("architectures") or [""])[0], **facts,
    }  # fmt: skip


def _on_gpu(work: Work, export: Export) -> dict[str, Any]:
    engines.check_gpu(export.kind)
    folder, _ = work.merged()
    texts = [str(each) for each in work.setting("calibration", None) or ()]
    part = work.out / f".{export.kind}"
    try:
        facts = engines.quantise_on_gpu(export.kind, folder, part, texts)
        part.replace(work.out / export.kind)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"path": export.kind, **_sized(work.out / export.kind), **facts}


def _modelfile(work: Work, _: Export) -> dict[str, Any]:
    files = {path.stem.removeprefix("model-"): path for path in work.out.glob("gguf/*.gguf")}
    chosen = next((files[name] for name in _PREFERRED if name in files), None)
    if chosen is None:
        raise UsageProblem(
            "A Modelfile names a GGUF file, and none was made",
            hint="Export gguf:q8_0 as well",
        )
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(work.checkpoint), local_files_only=True)
    if not tokenizer.chat_template:
        raise UsageProblem("The tokenizer has no chat template", hint="Train with one")

    def render(messages: Any, cue: bool) -> str:
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=cue)
        )

    turns = turns_of(render)
    bos = tokenizer.bos_token or ""
    if bos and turns.start.startswith(bos) and tokenizer("a")["input_ids"][0] == (
        tokenizer.bos_token_id
    ):  # fmt: skip
        # The engine adds it: in the template as well it would stand twice.
        turns = type(turns)(turns.family, turns.around, turns.start.removeprefix(bos), turns.cue)
    path = work.out / "Modelfile"
    text = modelfile(turns, str(chosen.relative_to(work.out)), [tokenizer.eos_token or ""])
    path.write_text(text, encoding="utf-8")
    return {"path": "Modelfile", "bytes": path.stat().st_size, "sha256": sha256_of(path),
            "family": turns.family}  # fmt: skip


def _name(work: Work) -> str:
    return str(work.setting("name") or work.setting("register") or "model")


def _sized(folder: Path) -> dict[str, int]:
    return {"bytes": sum(path.stat().st_size for path in _files(folder))}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
