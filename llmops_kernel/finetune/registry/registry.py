"""Registering, finding and retiring versions, in folders that several processes share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeAlias

from llmops_kernel.errors import StoreError, UsageProblem, nearest
from llmops_kernel.files import write_whole
from llmops_kernel.finetune.registry import contents
from llmops_kernel.finetune.registry.building import PART, as_json, build, sweep
from llmops_kernel.finetune.registry.card import card_of
from llmops_kernel.finetune.registry.record import base_of, cleaned
from llmops_kernel.finetune.registry.version import (
    FACTS,
    STAGES,
    Stage,
    Version,
    checked_name,
    read_version,
    version_of,
    versions_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# `Registry.list` hides the type within the class.
Versions: TypeAlias = list[Version]
Texts: TypeAlias = list[str]

_LOCK = ".lock"


class Registry:
    """The models under a folder, ``NAME/VERSION/``.

    Safe to use from several processes: versions appear by one rename, and only what changes stages
    or removes takes a lock.

    Args:
        root: The folder (default: ``models`` in the record's folder).
    """

    def __init__(self, root: str | Path | None = None) -> None:
        if root is None:
            from llmops_kernel.settings import data_home

            root = data_home() / "models"
        self.root = Path(root).expanduser().absolute()

    def register(self, name: str, folder: str | Path, record: Mapping[str, Any]) -> Version:
        """Keep a folder of exports as a version.

        The same training again gives the version that is there (`Version.existed`), with what it
        was registered with.

        Args:
            name: The model's name.
            folder: ``adapter/``, ``merged/``, ``gguf/``, ``Modelfile``, ``reference.json``, ...
                It is copied and left as it is.
            record: Where the model comes from: ``config``, ``data`` (the manifest, with hashes) and
                ``base`` are needed; ``base_folder``, ``metrics``, ``preflight``, ``environment``
                (its lock, text), ``parity``, ``exports``, ``gate``, ``task``, ``method``,
                ``backend``, ``run_id``, ``device``, ``measured_at``, ``licence``, ``limits``,
                ``parent`` are kept and shown on the card.

        Raises:
            UsageProblem: The name cannot be, the folder holds pickles or programs or nothing, or
                the record is incomplete.
            StoreError: The disk is full or cannot be written; nothing is left behind.
        """
        checked_name(name)
        source = Path(folder)
        record = cleaned(record)
        if not source.is_dir() or not any(path.is_file() for path in source.rglob("*")):
            raise UsageProblem(
                "There is nothing to register", detail=str(source), hint="Export something first"
            )
        contents.refuse_unsafe(source)
        base = base_of(record)
        version = version_of(record["config"], record["data"], base)
        home = self.root / name
        if (home / version).exists():
            return replace(read_version(home / version), existed=True)
        try:
            home.mkdir(parents=True, exist_ok=True)
            sweep(home)
            return build(home, version, source, {**record, "base": base})
        except OSError as error:
            raise StoreError(
                "The model cannot be kept",
                detail=f"{home}: {error.strerror or error}",
                hint="Free some disk, then register again; nothing was left half-registered",
            ) from error

    def get(self, ref: str) -> Version:
        """Return a version: ``name@version`` (or its first letters), ``name@serving``, or ``name``
        for the one that serves, else the newest that is not retired.

        Raises:
            UsageProblem: There is none.
            StoreError: It is damaged.
        """  # noqa: D205 - one sentence
        name, _, wanted = ref.partition("@")
        versions = versions_in(self.root / checked_name(name))
        if not versions:
            raise UsageProblem(
                f"There is no model {name!r}{nearest(name, self.names())}",
                hint="llmops model list shows the models of this machine",
            )
        if not wanted:
            current = [each for each in versions if each.stage == "serving"]
            usable = [each for each in versions if each.stage != "retired"]
            return (current or usable or versions)[-1]
        found = [each for each in versions if wanted in (each.version, each.stage)]
        found = found or [each for each in versions if each.version.startswith(wanted)]
        if not found or (len(found) > 1 and wanted not in STAGES):
            known = [each.version for each in versions]
            raise UsageProblem(
                f"{name!r} has {'several versions' if found else 'no version'} {wanted!r}",
                detail=f"known are {', '.join(known)}",
                hint=f"llmops model list {name}",
            )
        return found[-1]

    def list(self, name: str | None = None) -> Versions:
        """Return the versions of one model or of all, by name, then in order of registration.

        Damaged ones are left out; `get` says what is wrong with them.
        """
        names = [checked_name(name)] if name else self.names()
        return [version for each in names for version in versions_in(self.root / each)]

    def names(self) -> Texts:
        """Return the names of all models."""
        if not self.root.is_dir():
            return []
        return sorted(
            path.name for path in self.root.iterdir() if path.is_dir() and path.name[0] != "."
        )

    def promote(self, ref: str, stage: Stage = "serving") -> Version:
        """Put a version into a stage; the one that served before it is retired.

        Raises:
            UsageProblem: There is no such version or stage.
            StoreError: It is damaged, or the disk cannot be written.
        """
        if stage not in STAGES:
            raise UsageProblem(
                f"There is no stage {stage!r}{nearest(stage, STAGES)}",
                hint=f"Choose {', '.join(STAGES)}",
            )
        chosen = self.get(ref)
        if stage == "serving" and (wrong := self.verify(chosen.ref)):
            raise StoreError(
                "The model is damaged, and is not served",
                detail="; ".join(wrong[:3]),
                hint="Remove it with llmops model rm and train it again",
            )
        with self._locked(chosen.name):
            if stage == "serving":
                for each in versions_in(self.root / chosen.name):
                    if each.stage == "serving" and each.version != chosen.version:
                        _set_stage(each.folder, "retired")
            _set_stage(chosen.folder, stage)
        return read_version(chosen.folder)

    def retire(self, ref: str) -> Version:
        """Put a version out of use; its files stay.

        Raises:
            UsageProblem: There is no such version.
        """
        return self.promote(ref, "retired")

    def remove(self, ref: str, *, force: bool = False) -> str:
        """Delete a version, named in full (``name@version``).

        Args:
            ref: The version; a damaged one can be removed, too.
            force: Even if it serves.

        Returns:
            What was removed.

        Raises:
            UsageProblem: There is no such version, or it serves.
        """
        name, _, wanted = ref.partition("@")
        folder = self.root / checked_name(name) / (wanted or ".")
        if not wanted or wanted != Path(wanted).name or wanted[0] == "." or not folder.is_dir():
            folder = self.get(ref).folder  # raises where there is none
            if not wanted:
                raise UsageProblem(
                    "Say which version is to be removed", hint=f"{name}@{folder.name}"
                )
        with self._locked(name):
            with contextlib.suppress(StoreError):
                if not force and read_version(folder).stage == "serving":
                    raise UsageProblem(
                        "This version serves, and is not removed",
                        hint="Promote another one first, or say --force",
                    )
            gone = folder.with_name(f"{PART}{token_hex(8)}")
            folder.rename(gone)  # in one step: it is never seen half-deleted
            shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(OSError):
            if not any(path.name != _LOCK for path in (self.root / name).iterdir()):
                shutil.rmtree(self.root / name)
        return f"{name}@{folder.name}"

    def verify(self, ref: str) -> Texts:
        """Compare a version's files with the hashes it was registered with.

        Returns:
            What is missing, was changed or was added; empty when all is as it was.

        Raises:
            UsageProblem: There is no such version.
        """
        version = self.get(ref)
        return contents.problems(version.folder, version.files, FACTS)

    def attach_parity(self, ref: str, parity: Mapping[str, Any]) -> Version:
        """Keep what a later comparison with an engine found, in ``parity.json`` and on the card.

        Raises:
            UsageProblem: There is no such version.
        """
        version = self.get(ref)
        with self._locked(version.name):
            facts = json.loads((version.folder / FACTS).read_text(encoding="utf-8"))
            write_whole(version.folder / "parity.json", as_json(parity))
            record = {**facts["record"], "parity": dict(parity)}
            write_whole(version.folder / "card.md", card_of(facts, record))
            facts["record"] = record
            facts["files"] = contents.hashes(version.folder, FACTS)
            write_whole(version.folder / FACTS, as_json(facts))
        return read_version(version.folder)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        home = self.root / name
        try:
            handle = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                "The models cannot be written", detail=f"{home}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _set_stage(folder: Path, stage: Stage) -> None:
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    facts["stage"] = stage
    write_whole(folder / FACTS, as_json(facts))
