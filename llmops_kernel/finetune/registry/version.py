"""One version of a model: what ``model.json`` says about it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from llmops_kernel.errors import StoreError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Stage = Literal["candidate", "serving", "retired"]
STAGES: tuple[Stage, ...] = get_args(Stage)
FACTS = "model.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEX = 12
_DATA = ("sha256", "train_sha256", "eval_sha256")  # of the rows themselves
# Where things lie, and what bounded the run: they do not change what was trained.
_PLACES = {
    "": ("base", "register", "limits", "preflight", "export"),
    "data": ("path", "eval_path"),
    "eval": ("prompts",),
    "backend": ("python", "threads"),
}


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version.

    Attributes:
        name: The model's name.
        version: A short hash of configuration, data and base.
        folder: Where its files are.
        stage: ``candidate``, ``serving`` or ``retired``.
        created: When it was registered, ISO 8601 in UTC.
        order: Its place among the versions of its name, from 1.
        parent: ``name@version`` it was trained on; "" for a base from elsewhere.
        base: Name and hash of what it was trained on.
        task: What it was trained for.
        metrics: Its figures.
        files: SHA-256 and bytes by path below the folder.
        existed: Whether registering found it there already.
    """

    name: str
    version: str
    folder: Path
    stage: Stage
    created: str
    order: int
    parent: str = ""
    base: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    existed: bool = False

    @property
    def ref(self) -> str:
        """The name that `Registry.get` takes: ``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(int(each["bytes"]) for each in self.files.values())

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return self.read("card.md")

    def path(self, kind: str) -> Path | None:
        """Return where ``adapter``, ``merged``, ``gguf`` or ``Modelfile`` is.

        Of several GGUF files it is the smallest of 8 bits or more, or else the smallest. None where
        nothing of the kind was exported.
        """
        if kind == "gguf":
            files = sorted(self.folder.glob("gguf/*.gguf"), key=lambda path: path.stat().st_size)
            fine = [path for path in files if not re.search(r"-(q[2-6]|iq)", path.stem)]
            return next(iter(fine or files), None)
        found = self.folder / kind
        return found if found.exists() else None

    def json(self, name: str) -> dict[str, Any]:
        """Return one of its JSON files (``metrics.json``, ...); {} where there is none.

        Raises:
            StoreError: It cannot be read.
        """
        try:
            text = self.read(name)
        except FileNotFoundError:
            return {}
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise StoreError(
                "A file of the model is damaged", detail=f"{self.ref}: {name}"
            ) from error

    def read(self, name: str) -> str:
        """Return one of its text files."""
        return (self.folder / name).read_text(encoding="utf-8")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data, without the list of files."""
        return {
            "name": self.name, "version": self.version, "ref": self.ref, "stage": self.stage,
            "created": self.created, "order": self.order, "parent": self.parent,
            "base": dict(self.base), "task": self.task, "metrics": dict(self.metrics),
            "bytes": self.bytes, "folder": str(self.folder),
        }  # fmt: skip


def read_version(folder: Path) -> Version:
    """Read a version from its folder.

    Raises:
        StoreError: Its ``model.json`` is missing or damaged.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        stage = facts["stage"]
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r}")
        return Version(
            name=facts["name"], version=facts["version"], folder=folder, stage=stage,
            created=facts["created"], order=int(facts["order"]), parent=facts["parent"],
            base=dict(facts["base"]), task=facts["task"], metrics=dict(facts["metrics"]),
            files={path: dict(each) for path, each in facts["files"].items()},
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            "A registered model is damaged",
            detail=f"{folder}: {error}",
            hint="llmops model rm removes it; training again makes it anew",
        ) from error


def versions_in(home: Path) -> list[Version]:
    """Return the versions in a model's folder, oldest first; damaged ones are left out."""
    found = []
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith("."):
            with contextlib.suppress(StoreError):
                found.append(read_version(folder))
    return sorted(found, key=lambda each: (each.order, each.created, each.version))


def checked_name(name: str) -> str:
    """Return a model's name.

    Raises:
        UsageProblem: It is not fit for a folder and a route.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UsageProblem(
            f"{name!r} is no name for a model",
            hint="Letters, digits, dots, dashes and underscores, at most 64",
        )
    return name


def version_of(config: Mapping[str, Any], data: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Return the version of a training: a hash of its configuration, data and base.

    Where files lie, what bounded the run and what was exported are left out, so that the same
    training on another machine is the same version.
    """
    told = {key: value for key, value in config.items() if key not in _PLACES[""]}
    for part, names in _PLACES.items():
        if part and isinstance(told.get(part), dict):
            told[part] = {k: v for k, v in told[part].items() if k not in names}
    hashed = {
        "config": told,
        "data": {key: data[key] for key in _DATA if data.get(key)} or dict(data),
        "base": base.get("sha256") or base.get("name"),
    }
    text = json.dumps(hashed, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX]
