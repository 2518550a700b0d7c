"""From a finished run to a version in the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.finetune.layout import RunFolder


def register(folder: RunFolder, run: dict[str, Any]) -> dict[str, Any]:
    """Register what a run has exported and return name and version.

    Raises:
        LLMOpsError: The registry refuses it; nothing is registered by half.
    """
    from llmops_kernel.finetune.registry import Registry

    version = Registry().register(str(run["register"]), folder.out, record_of(folder, run))
    return {"name": version.name, "version": version.version, "ref": version.ref}


def record_of(folder: RunFolder, run: dict[str, Any]) -> dict[str, Any]:
    """Return what the registry keeps about a run: where the model comes from, and its figures."""
    trained = folder.read_json(folder.trained)
    packages = folder.packages.read_text(encoding="utf-8") if folder.packages.exists() else ""
    return {
        "run_id": folder.run_id,
        "base": run["spec"]["base"],
        "base_folder": run["base"],
        "parent": run.get("parent", ""),
        "method": run["method"],
        "task": run["task"],
        "backend": run["backend_name"],
        "config": run["spec"],
        "data": run["manifest"],
        "metrics": trained.get("metrics", {}),
        "gate": trained.get("gate"),
        "exports": trained.get("exports", []),
        "preflight": folder.read_json(folder.preflight),
        "environment": packages,
        "device": _device(folder),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _device(folder: RunFolder) -> str:
    """Return what the run was trained on, as its pre-flight saw it."""
    told = folder.read_json(folder.preflight)
    return str((told.get("figures") or told).get("device") or "")


def base_folder(name: str) -> tuple[Path, str]:
    """Return the weights of a registered model (``NAME`` or ``NAME@VERSION``), and its full name.

    Raises:
        UsageProblem: There is none, or it has no weights that can be trained further.
    """
    from llmops_kernel.finetune.registry import Registry

    found = Registry().get(name)
    folder = found.path("merged")
    if folder is None or not (folder / "config.json").is_file():
        raise UsageProblem(
            "This version has no merged weights to train further",
            detail=name,
            hint="Export merged when the base is trained",
        )
    return folder, found.ref
