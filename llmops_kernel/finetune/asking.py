"""What a run is asked: its specification resolved, its rows prepared, its cost bounded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune import launch
from llmops_kernel.finetune.data.prepare import prepare
from llmops_kernel.finetune.data.probes import read_probes

if TYPE_CHECKING:
    from llmops_kernel.finetune.layout import RunFolder
    from llmops_kernel.finetune.spec.model import FineTuneSpec
    from llmops_kernel.store import Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def checked_name(name: str) -> str:
    """Return a model's name if it can be one (raises `UsageProblem`)."""
    if not _NAME.fullmatch(name):
        raise UsageProblem(
            f"{name!r} cannot be a model's name",
            hint="Use letters, digits, dots, dashes and underscores, such as support-intent",
        )
    return name


def asked_of(
    spec: FineTuneSpec, name: str, folder: RunFolder, python: str, store: Store | None
) -> dict[str, Any]:
    """Prepare the data and return what the worker is asked.

    Args:
        spec: The job.
        name: Name of the model.
        folder: The run's files; rows are written there.
        python: The interpreter that trains.
        store: The record, for rows from traces.

    Raises:
        UsageProblem: Something that is named is not there, or the data cannot be used.
    """
    plain = spec.plain()
    manifest = prepare(spec, folder.data, store=store)
    probes = read_probes(spec.eval.prompts) if spec.eval.prompts else []
    backend = launch.chosen_backend(spec.backend)
    _check_cost(spec)
    base, parent = _located(spec.base)
    run = {
        "version": 1,
        "name": name,
        "run_id": folder.run_id,
        "folder": str(folder.path),
        "cwd": str(folder.path),
        "python": python,
        "backend_name": backend,
        "execute": spec.backend.name != "axolotl-export",
        "threads": launch.threads_of(spec.backend),
        "resume": False,
        **plain,
        "spec": plain,
        "base": base,
        "parent": parent,
        "probes": probes,
        "manifest": manifest.plain(),
    }
    if spec.template.source != "tokenizer":
        path = Path(spec.template.source).expanduser()
        if not path.is_file():
            raise UsageProblem("There is no such template file", detail=spec.template.source)
        run["template"] = {**plain["template"], "source": str(path.absolute())}
    if spec.register_as:
        checked_name(spec.register_as)
        if not spec.export:
            run["export"] = ["merged" if spec.method == "full" else "adapter"]
    return run


def _located(base: str) -> tuple[str, str]:
    """Return a base's folder or hub id, and its full name if it is a registered model."""
    path = Path(base).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageProblem("The base has no config.json", detail=str(path))
        return str(path.absolute()), ""
    if base.startswith((".", "/", "~")):
        raise UsageProblem("There is no such base", detail=base, hint="Name a model's folder")
    if "@" in base or "/" not in base:
        from llmops_kernel.finetune.registering import base_folder

        folder, ref = base_folder(base)
        return str(folder), ref
    return base, ""


def _check_cost(spec: FineTuneSpec) -> None:
    """Refuse a run whose wall limit could cost more than it may."""
    limits = spec.limits
    if limits.cost is None or not limits.gpu_hour_usd:
        return
    if limits.wall is None:
        raise UsageProblem(
            "A run with a price needs limits.wall", hint="Its cost is bounded by its time"
        )
    worst = float(limits.gpu_hour_usd) * limits.wall / 3_600
    if worst > float(limits.cost):
        raise UsageProblem(
            "The run could cost more than limits.cost",
            detail=f"{limits.wall:.0f} s at ${limits.gpu_hour_usd}/h are ${worst:.2f}, "
            f"the limit is ${limits.cost}",
            hint="Lower limits.wall or raise limits.cost",
        )
