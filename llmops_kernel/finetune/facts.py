"""A run as plain data, for displays and shells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.progress import RUNNING

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune


def facts_of(run: FineTune) -> dict[str, Any]:
    """Return everything that is known of a run, JSON-like."""
    asked, progress, trained = run.asked, run.progress, run.trained
    outcome = run.outcome
    metrics = trained.get("metrics", {})
    manifest = asked.get("manifest", {})
    version = outcome.get("version")
    facts: dict[str, Any] = {
        **summary_of(run),
        "detail": outcome.get("detail", ""),
        "hint": outcome.get("hint", ""),
        "folder": str(run.folder.path),
        "base": asked.get("spec", {}).get("base"),
        "method": asked.get("method"),
        "task": asked.get("task"),
        "backend": asked.get("backend_name"),
        "rows": manifest.get("train"),
        "eval_rows": manifest.get("eval"),
        "dropped": manifest.get("dropped", {}),
        "train_curve": [list(point) for point in progress.train_loss],
        "eval_curve": [list(point) for point in progress.eval_loss],
        "base_eval_loss": metrics.get("base_eval_loss"),
        "tokens": progress.tokens,
        "elapsed_s": round(progress.elapsed_s, 3),
        "train_s": metrics.get("train_s"),
        "memory": max(progress.memory, int(outcome.get("peak_bytes") or 0)),
        "estimate": list(progress.estimate) if progress.estimate else None,
        "sample": progress.sample,
        "answers": metrics.get("answers"),
        "exports": trained.get("exports", []) or progress.exports,
        "gate": trained.get("gate"),
        "version": version.get("ref") if isinstance(version, dict) else None,
    }
    if "exit_code" in outcome:
        facts["exit_code"] = outcome["exit_code"]
    return facts


def live_facts(run: FineTune) -> dict[str, Any]:
    """Return `facts_of` and what only a live view shows: pre-flight, epoch and cost.

    The cost is that of the time since the run began, at ``limits.gpu_hour_usd``.
    """
    facts = facts_of(run)
    progress = run.progress
    hour = float(run.asked.get("limits", {}).get("gpu_hour_usd") or 0)
    figures = (progress.preflight or {}).get("figures", {})
    return {
        **facts,
        "preflight": progress.preflight,
        "epoch": progress.epoch,
        "cost": {
            "hour_usd": hour,
            "usd": progress.elapsed_s / 3_600 * hour,
            "whole_usd": figures.get("estimated_usd"),
        },
    }


def summary_of(run: FineTune) -> dict[str, Any]:
    """Return a run's state in a few figures, for lists."""
    progress, outcome = run.progress, run.outcome
    return {
        "name": run.name,
        "run_id": run.run_id,
        "state": outcome["state"],
        "reason": outcome.get("reason", ""),
        "phase": progress.phase,
        "stop_asked": outcome["state"] == RUNNING and run.folder.stop.exists(),
        "step": progress.step,
        "steps": progress.steps,
        "train_loss": progress.train_loss[-1][1] if progress.train_loss else None,
        "eval_loss": progress.eval_loss[-1][1] if progress.eval_loss else None,
        "tokens_per_s": progress.tokens_per_s,
        "eta_s": progress.eta_s,
    }
