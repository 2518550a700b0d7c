"""What is to be served: a GGUF file, a folder of weights, or what a training run has exported."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.gguf_header import context_length

# Which of several GGUF files is served, best first for what it costs.
_PREFERRED = ("q8_0", "q4_k_m", "q5_k_m", "q6_k", "q4_0", "f16", "bf16", "f32")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_WEIGHTS = (".safetensors", ".gguf", ".bin")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model on this machine, in the forms that engines take.

    Attributes:
        name: What to call it.
        folder: A folder with ``config.json``, weights and tokenizer; None where there is none.
        gguf: A GGUF file; None where there is none.
        reference: What the trained model answers to a few prompts (``reference.json``).
        modelfile: A Modelfile for Ollama.
        remote: The name of a model that the engine gets by itself; "" for local files.
    """

    name: str
    folder: Path | None = None
    gguf: Path | None = None
    reference: Path | None = None
    modelfile: Path | None = None
    remote: str = ""

    def identity(self, form: str) -> str:
        """Return twelve hex digits that change when the weights or the form of serving do."""
        digest = hashlib.sha256(form.encode())
        for path in self._files():
            stat = path.stat()
            digest.update(f"{path.name}\n{stat.st_size}\n{stat.st_mtime_ns}\n".encode())
        digest.update(self.remote.encode())
        return digest.hexdigest()[:12]

    @property
    def bytes(self) -> int:
        """Bytes of its largest file of weights."""
        sizes = [path.stat().st_size for path in self._files() if path.suffix in _WEIGHTS]
        return max(sizes, default=0)

    def context(self) -> int:
        """Return the tokens that the model was made for; 0 where its files do not say."""
        found = 0 if self.folder is None else _configured(self.folder)
        if not found and self.gguf is not None:
            return context_length(self.gguf)
        return found

    def _files(self) -> list[Path]:
        files = [self.gguf] if self.gguf is not None else []
        if self.folder is not None:
            files += sorted(
                path
                for path in self.folder.iterdir()
                if path.suffix in (*_WEIGHTS, ".json", ".jinja") and path.is_file()
            )
        return files


def server_name(text: str) -> str:
    """Return a name fit for ``local/NAME``.

    Raises:
        UsageProblem: It is not.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise UsageProblem(
            "A server's name is made of letters, digits, dots, dashes and underscores",
            detail=f"got {text!r}",
            hint="Give another name with --as",
        )
    return name


def find_model(asked: str, name: str = "") -> ServedModel:
    """Find what is to be served.

    Args:
        asked: A path (GGUF file, folder of weights, folder of exports), or the name of a
            registered model, ``NAME`` or ``NAME@VERSION``.
        name: What to call it; "" for a name from the path.

    Raises:
        UsageProblem: There is nothing that an engine could serve.
    """
    path = Path(asked).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise UsageProblem(
                "The file is no GGUF file", detail=str(path),
                hint="Give a .gguf file, or the folder with config.json and weights",
            )  # fmt: skip
        reference = _file(path.parent.parent / "reference.json")
        return ServedModel(
            server_name(name or _from_path(path)), gguf=path.absolute(), reference=reference
        )
    if path.is_dir():
        return _from_folder(path.absolute(), name)
    if (folder := _registered(asked)) is not None:
        return _from_folder(folder, name or asked.partition("@")[0])
    raise UsageProblem(
        "There is neither a file nor a registered model of that name",
        detail=asked,
        hint="Give a .gguf file, a folder with config.json and weights, or a registered model",
    )


def refuse_changed(asked: str) -> None:
    """Make sure that a registered model is what was registered; paths are the person's own.

    Reads every file of the version once.

    Args:
        asked: As in `find_model`.

    Raises:
        UsageProblem: A file is missing, was changed or was added.
    """
    if Path(asked).expanduser().exists() or (folder := _registered(asked)) is None:
        return
    from llmops_kernel.finetune.registry import Registry

    if told := Registry().verify(asked):
        raise UsageProblem(
            "The model is not what was registered",
            detail="; ".join(told[:5]),
            hint=f"llmops model show {asked}; the folder {folder} is served where it is meant",
        )


def _configured(folder: Path) -> int:
    """Return the context of ``config.json``; 0 if it does not say."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    found = config.get("max_position_embeddings") if isinstance(config, dict) else 0
    return found if isinstance(found, int) and found > 0 else 0


def _from_folder(folder: Path, name: str) -> ServedModel:
    weights = next(
        (each for each in (folder, folder / "merged") if (each / "config.json").is_file()), None
    )
    gguf = _best(folder) or _best(folder / "gguf") or _best(folder.parent / "gguf")
    if weights is None and gguf is None:
        raise UsageProblem(
            "The folder has no model that could be served",
            detail=str(folder),
            hint="It needs config.json with weights, merged/ or a GGUF file",
        )
    places = (folder, folder.parent)
    reference = next((p for each in places if (p := _file(each / "reference.json"))), None)
    modelfile = next((p for each in places if (p := _file(each / "Modelfile"))), None)
    called = name or (folder.parent.name if folder.name == "merged" else folder.name)
    return ServedModel(server_name(called), weights, gguf, reference, modelfile)


def _best(folder: Path) -> Path | None:
    files = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    for wanted in _PREFERRED:
        for path in files:
            if path.stem.lower().endswith(wanted):
                return path
    return files[0] if files else None


def _from_path(path: Path) -> str:
    stem = path.stem
    if stem.startswith("model-") and path.parent.name == "gguf":
        return path.parent.parent.name
    return stem


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _registered(asked: str) -> Path | None:
    """Return the folder of a registered model's exports; None if the registry has no such name."""
    from llmops_kernel.finetune.registry import Registry

    registry = Registry()
    if asked.partition("@")[0] not in registry.names():
        return None
    return registry.get(asked).folder
