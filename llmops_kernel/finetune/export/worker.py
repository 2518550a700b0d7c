"""Makes the exports of a finished run. Runs in the training environment, called by its worker.

One export that cannot be made never stops the others: each has a state and, where it has no file,
a reason. Files appear under their names only when they are whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.finetune.export import engines, gguf_model, reference, weights
from llmops_kernel.finetune.export.gguf_vocab import read_vocabulary
from llmops_kernel.finetune.export.kinds import OWN_TYPES, Export, parse
from llmops_kernel.finetune.export.template import modelfile, turns_of
from llmops_kernel.finetune.parity import Parity, check_exports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_BLOCK = 1 << 20
_PREFERRED = ("q8_0", "q4_k_m", "q5_k_m", "q6_k", "q4_0", "bf16", "f16", "f32")
_DISK = 3  # times the model's size that exports may take together while they are made


def plan(run: dict[str, Any]) -> list[dict[str, str]]:
    """Say of each export whether it can be made, before hours are spent on training.

    Args:
        run: As for `run_exports`; the base is looked at, the checkpoint is not there yet.

    Returns:
        For each, ``export``, ``state`` (``ready``, ``refused`` or ``unavailable``), ``reason`` and
        ``hint``.
    """
    found = []
    base = Path(_setting(run, "base"))
    for export in parse(_setting(run, "export", [])):
        reason = hint = ""
        state = "ready"
        try:
            _check(export, base, run)
        except engines.Unavailable as error:
            state, reason, hint = "unavailable", _said(error), error.hint
        except LLMOpsError as error:
            state, reason, hint = "refused", _said(error), error.hint
        found.append({"export": export.name, "state": state, "reason": reason, "hint": hint})
    return found


def disk_needed(base: Path) -> int:
    """Return the bytes that exports may need while they are made, from the base's weights."""
    return _DISK * sum(path.stat().st_size for path in base.glob("*.safetensors"))


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
        out: The folder for ``adapter/``, ``merged/``, ``gguf/``, ``awq/``, ``gptq/``,
            ``Modelfile``, and ``reference.json`` and ``parity.json`` where there is GGUF.
        emit: Called with an event as each export starts and ends.

    Returns:
        For each export ``export``, ``state`` (``done``, ``refused``, ``unavailable`` or
        ``failed``), ``path`` (below ``out``), ``bytes``, ``sha256`` (of single files), facts of
        its kind, and ``reason`` and ``hint`` where it was not made.

    Raises:
        UsageProblem: There is no such export.
    """
    asked = parse(_setting(run, "export", []))
    out.mkdir(parents=True, exist_ok=True)
    work = _Work(run, checkpoint, out, keep_merged=any(each.kind == "merged" for each in asked))
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


class _Work:
    """What several exports share: the merged weights, made once and kept only if asked for."""

    def __init__(
        self, run: dict[str, Any], checkpoint: Path, out: Path, *, keep_merged: bool
    ) -> None:
        self.run, self.checkpoint, self.out = run, checkpoint, out
        self._folder = out / "merged" if keep_merged else out / ".merged"
        self._kept = keep_merged
        self._facts: dict[str, Any] | None = None
        self._error: Exception | None = None

    @property
    def base(self) -> Path:
        return Path(_setting(self.run, "base"))

    def setting(self, name: str, default: Any = "") -> Any:
        return _setting(self.run, name, default)

    def merged(self) -> tuple[Path, dict[str, Any]]:
        """Return the folder of merged weights, and the facts about them."""
        if self._error is not None:
            raise self._error
        if self._facts is None:
            part = self.out / ".merging"
            shutil.rmtree(part, ignore_errors=True)
            try:
                self._facts = weights.merge(self.checkpoint, part, str(self.base))
                shutil.rmtree(self._folder, ignore_errors=True)
                part.replace(self._folder)
                self._refer()
            except Exception as error:
                self._facts, self._error = None, error
                shutil.rmtree(part, ignore_errors=True)
                raise
        return self._folder, self._facts

    def _refer(self) -> None:
        """Write what the merged model answers, for `finetune.parity`."""
        prompts = self.setting("probes", None) or reference.PROMPTS
        answers = reference.reference(self._folder, prompts)
        text = json.dumps(answers, ensure_ascii=False, indent=1)
        (self.out / "reference.json").write_text(text + "\n", encoding="utf-8")

    def read_back(self, path: Path, answers: Mapping[str, Any]) -> Parity:
        """Compare a GGUF file where there is no engine."""
        from llmops_kernel.finetune.export.reread import compare_file

        return compare_file(path, answers, self._folder / "config.json")

    def close(self) -> None:
        """Remove what nobody asked for."""
        for name in (".merging", *(() if self._kept else (".merged",))):
            shutil.rmtree(self.out / name, ignore_errors=True)


def _one(work: _Work, export: Export) -> dict[str, Any]:
    known: dict[str, Any] = {"export": export.name}
    make = {
        "adapter": _adapter,
        "merged": _merged,
        "gguf": _gguf,
        "awq": _on_gpu,
        "gptq": _on_gpu,
        "ollama-modelfile": _modelfile,
    }[export.kind]
    try:
        return {**known, "state": "done", **make(work, export)}
    except engines.Unavailable as error:
        return {**known, "state": "unavailable", "reason": _said(error), "hint": error.hint}
    except LLMOpsError as error:
        return {**known, "state": "refused", "reason": _said(error), "hint": error.hint}
    except OSError as error:
        return {**known, "state": "failed", "reason": f"{error.strerror or error}",
                "hint": "Free some disk, then export again"}  # fmt: skip
    except Exception as error:  # noqa: BLE001 - of any library; the others are made all the same
        return {**known, "state": "failed", "reason": f"{type(error).__name__}: {error}"[:500],
                "hint": ""}  # fmt: skip


def _adapter(work: _Work, _: Export) -> dict[str, Any]:
    facts = weights.copy_adapter(work.checkpoint, work.out / "adapter")
    return {"path": "adapter", **_sized(work.out / "adapter"), "weights_bytes": facts["bytes"]}


def _merged(work: _Work, _: Export) -> dict[str, Any]:
    folder, facts = work.merged()
    return {"path": "merged", **_sized(folder), **facts}


def _gguf(work: _Work, export: Export) -> dict[str, Any]:
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
        "sha256": sha256(path), "written_by": written_by,
        "architecture": (config.get("architectures") or [""])[0], **facts,
    }  # fmt: skip


def _on_gpu(work: _Work, export: Export) -> dict[str, Any]:
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


def _modelfile(work: _Work, _: Export) -> dict[str, Any]:
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
    return {"path": "Modelfile", "bytes": path.stat().st_size, "sha256": sha256(path),
            "family": turns.family}  # fmt: skip


def _check(export: Export, base: Path, run: dict[str, Any]) -> None:
    """Raise what would keep an export from being made, as far as the base shows it."""
    if export.kind == "adapter" and _setting(run, "method", "lora") == "full":
        raise UsageProblem("There is no adapter: the whole model is trained")
    if export.kind in ("awq", "gptq"):
        engines.check_gpu(export.kind)
    if export.kind == "gguf" and export.type not in OWN_TYPES:
        engines.quantiser(_setting(run, "llama_cpp", ""))
    if export.needs_merged and (base / "config.json").is_file():
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        weights.refuse_quantised(base)
        free, needed = shutil.disk_usage(base).free, disk_needed(base)
        if free < needed:
            raise UsageProblem(
                "The disk has too little room for the exports",
                detail=f"{free:,} bytes free, {needed:,} may be needed",
                hint="Free some disk, or ask for fewer exports",
            )
        if export.kind == "gguf" and not engines.converter(_setting(run, "converter", "")):
            gguf_model.check_config(config)
            read_vocabulary(base, max(config["vocab_size"], _tokens(base)))


def _tokens(folder: Path) -> int:
    """Return one more than the largest id of a tokenizer; 0 where it cannot be told."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return 0
    raw = json.loads(path.read_text(encoding="utf-8"))
    added = [each["id"] for each in raw.get("added_tokens") or ()]
    vocab = (raw.get("model") or {}).get("vocab") or {}
    ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
    return max([*ids, *added], default=-1) + 1


def _setting(run: dict[str, Any], name: str, default: Any = "") -> Any:
    for place in (run, run.get("spec") or {}):
        if place.get(name) is not None:
            return place[name]
    return default


def _name(work: _Work) -> str:
    return str(work.setting("name") or work.setting("register") or "model")


def _said(error: LLMOpsError) -> str:
    return f"{error.message}: {error.detail}" if error.detail else error.message


def _sized(folder: Path) -> dict[str, int]:
    return {"bytes": sum(path.stat().st_size for path in _files(folder))}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
