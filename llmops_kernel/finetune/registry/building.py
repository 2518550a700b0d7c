"""Making a version: its files and its facts, in a folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from llmops_kernel.files import sync
from llmops_kernel.finetune.registry import contents
from llmops_kernel.finetune.registry.card import card_of
from llmops_kernel.finetune.registry.record import packages_of, verdicts_of
from llmops_kernel.finetune.registry.version import FACTS, Version, read_version, versions_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PART = ".part-"  # begins the names of folders that are no versions yet, or no longer
_AGE = 86_400  # seconds after which a folder that was being built is somebody's who died
_WRITTEN = {
    "data": "data_manifest.json",
    "preflight": "preflight.json",
    "metrics": "metrics.json",
}


def build(home: Path, version: str, source: Path, record: Mapping[str, Any]) -> Version:
    """Build a version beside its place, and put it there by one rename.

    Args:
        home: The folder of all versions of the model.
        version: The new one.
        source: The exports, which are copied.
        record: Where the model comes from, see `Registry.register`.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left behind.
    """
    part = home / f"{PART}{token_hex(8)}"
    part.mkdir()
    try:
        contents.copy_durably(source, part)
        _write_facts(part, home, version, record)
        contents.sync_all(part)
        try:
            part.rename(home / version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process registered the same training meanwhile: it is as good.
            return replace(read_version(home / version), existed=True)
        sync(home)
        return read_version(home / version)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sweep(home: Path) -> None:
    """Delete what processes that were killed left behind."""
    now = datetime.now(UTC).timestamp()
    for path in home.glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > _AGE:
                shutil.rmtree(path, ignore_errors=True)


def _write_facts(part: Path, home: Path, version: str, record: Mapping[str, Any]) -> None:
    for key, file in _WRITTEN.items():
        (part / file).write_text(as_json(record.get(key) or {}), encoding="utf-8")
    (part / "config.yaml").write_text(_yaml(record["config"]), encoding="utf-8")
    (part / "env.lock").write_text(str(record.get("environment") or ""), encoding="utf-8")
    parity = part / "parity.json"
    if record.get("parity"):
        parity.write_text(as_json(record["parity"]), encoding="utf-8")
    elif parity.is_file():  # the exports brought it along
        record = {**record, "parity": json.loads(parity.read_text(encoding="utf-8"))}
    else:
        parity.write_text(as_json({"ok": None, "reason": "not compared"}), encoding="utf-8")
    kept = {
        key: value
        for key, value in record.items()
        if key not in ("environment", "preflight", "config", "data")
    }
    facts: dict[str, Any] = {
        "name": home.name, "version": version, "stage": "candidate",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "order": 1 + max((each.order for each in versions_in(home)), default=0),
        "parent": str(record.get("parent") or ""), "base": dict(record["base"]),
        "task": str(record.get("task") or ""), "metrics": dict(record.get("metrics") or {}),
        "record": kept,
    }  # fmt: skip
    facts["record"]["data"] = dict(record["data"])
    facts["record"]["lock"] = hashlib.sha256(
        str(record.get("environment") or "").encode()
    ).hexdigest()
    facts["record"]["packages"] = packages_of(str(record.get("environment") or ""))
    facts["record"]["preflight"] = verdicts_of(record.get("preflight"))
    (part / "card.md").write_text(card_of(facts, facts["record"]), encoding="utf-8")
    facts["files"] = contents.hashes(part, FACTS)
    (part / FACTS).write_text(as_json(facts), encoding="utf-8")


def as_json(value: Any) -> str:
    """Return a JSON file's text."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"


def _yaml(value: Any) -> str:
    try:
        import yaml
    except ModuleNotFoundError:
        return as_json(value)  # which is YAML
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
