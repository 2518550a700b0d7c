"""Running one notebook, or many, and saying what came of it."""

# papermill and nbformat have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import (
    prepare_notebook_metadata,
    raise_for_execution_errors,
    remove_error_markers,
)
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.quiet import quiet
from llmops_kernel.runs.engine import LLMOpsEngine
from llmops_kernel.runs.manifest import RunManifest, manifest_path
from llmops_kernel.runs.plan import Plan, make_plans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ENGINE = "llmops"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of one run.

    Attributes:
        ok: Whether every cell ran.
        outcome: See `RunManifest`.
        cells: Code cells that ran.
        calls: Model calls that were settled.
        tokens: Input and output tokens.
        usd: Real dollars.
        simulated_usd: Simulated dollars, in a book of their own.
        seconds: Wall time.
        error: Name and sentence of what ended the run; "" when nothing did.
        detail: Figures and advice, where the error has them.
    """

    notebook: Path
    output: Path
    manifest: Path
    run_id: str
    ok: bool
    outcome: str
    cells: int
    calls: int
    tokens: int
    usd: Decimal
    simulated_usd: Decimal
    seconds: float
    error: str = ""
    detail: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the result as JSON-like values; dollars are exact decimal texts."""
        return {
            "notebook": str(self.notebook),
            "output": str(self.output),
            "manifest": str(self.manifest),
            "run_id": self.run_id,
            "ok": self.ok,
            "outcome": self.outcome,
            "cells": self.cells,
            "calls": self.calls,
            "tokens": self.tokens,
            "usd": f"{self.usd:f}",
            "simulated_usd": f"{self.simulated_usd:f}",
            "seconds": self.seconds,
            "error": self.error,
            "detail": self.detail,
        }


def run_notebook(
    path: Path | str,
    *,
    budget: Decimal | None = None,
    parameters: Mapping[str, Any] | None = None,
    out_dir: Path | str = "runs",
    timeout: float | None = None,
    kernel: str | None = None,
    run_id: str | None = None,
) -> RunResult:
    """Run a notebook in its own folder and save it, executed, in another.

    A failed cell is a result, not an exception: the saved notebook shows its error.

    Args:
        path: The notebook; it is not changed.
        budget: Cap on this run in US dollars, for real and simulated ones alike.
        parameters: Values for the cell tagged ``parameters``.
        out_dir: Where the executed notebook and its manifest go.
        timeout: Seconds one cell may take.
        kernel: Another kernel than `llmops`; what it spends is only capped if it loads the
            extension.
        run_id: The run's id in the ledger; by default a new one, or inside of a run that one's.

    Raises:
        UsageProblem: The file is no notebook, a parameter is unknown, or the output would replace
            the notebook. Nothing was run.
        RunFailed: The kernel did not start.
        StoreError: The record cannot be used.
    """
    (plan,) = make_plans([path], Path(out_dir), parameters or {}, kernel)
    return _execute(
        plan,
        parameters or {},
        budget=budget,
        timeout=timeout,
        kernel=kernel,
        run_id=run_id,
    )


def run_many(
    paths: Sequence[Path | str],
    *,
    budget: Decimal | None = None,
    parameters: Mapping[str, Any] | None = None,
    out_dir: Path | str = "runs",
    timeout: float | None = None,
    kernel: str | None = None,
    stop_on_failure: bool = False,
    on_result: Callable[[RunResult], None] | None = None,
) -> list[RunResult]:
    """Run notebooks one after the other, each with a budget of its own.

    Every notebook and parameter is checked before the first one runs. One that cannot run at all
    is a failed result like one with a failed cell.

    Args:
        paths: The notebooks.
        budget: Cap on each run in US dollars, for real and simulated ones alike.
        parameters: Values for each notebook's cell tagged ``parameters``.
        out_dir: Where the executed notebooks and their manifests go.
        timeout: Seconds one cell may take.
        kernel: Another kernel than `llmops`.
        stop_on_failure: Leave out those after the first that failed.
        on_result: Told each result as it comes.

    Raises:
        UsageProblem: As `run_notebook`, for any of the notebooks. Nothing was run.
    """
    results: list[RunResult] = []
    for plan in make_plans(paths, Path(out_dir), parameters or {}, kernel):
        try:
            result = _execute(
                plan,
                parameters or {},
                budget=budget,
                timeout=timeout,
                kernel=kernel,
            )
        except LLMOpsError as error:
            result = _unrun(plan, error)
        results.append(result)
        if on_result is not None:
            on_result(result)
        if stop_on_failure and not result.ok:
            break
    return results


def _execute(
    plan: Plan,
    parameters: Mapping[str, Any],
    *,
    budget: Decimal | None,
    timeout: float | None,
    kernel: str | None,
    run_id: str | None = None,
) -> RunResult:
    papermill_engines.register(_ENGINE, LLMOpsEngine)  # also where no entry point is installed
    kernel_name = LLMOpsEngine.nb_kernel_name(None, kernel)
    source, output = str(plan.source), str(plan.output)
    with quiet("papermill"):  # what it logs is in the result
        notebook = load_notebook_node(source)
        language = LLMOpsEngine.nb_language(notebook)
        if parameters:
            notebook = parameterize_notebook(
                notebook,
                dict(parameters),
                kernel_name=kernel_name,
                language=language,
                engine_name=_ENGINE,
            )
        notebook = remove_error_markers(prepare_notebook_metadata(notebook, source, output))
        notebook = LLMOpsEngine.execute_notebook(
            notebook,
            kernel_name,
            input_path=source,
            output_path=output,
            progress_bar=False,
            budget=budget,
            run_id=run_id,
            execution_timeout=None if timeout is None else max(1, round(timeout)),
            # The kernel works where JupyterLab would start it: in the notebook's folder.
            resources={"metadata": {"path": str(plan.source.absolute().parent)}},
        )
        manifest = RunManifest.read(manifest_path(plan.output))
        if manifest.outcome != "ok":
            # Only then: papermill also counts an error that a cell's tag allows.
            with suppress(PapermillExecutionError):
                raise_for_execution_errors(notebook, output)
    return _result(plan, manifest)


def _result(plan: Plan, manifest: RunManifest) -> RunResult:
    total = manifest.total
    error = f"{manifest.error}: {manifest.message}" if manifest.error else ""
    return RunResult(
        notebook=plan.source,
        output=plan.output,
        manifest=manifest_path(plan.output),
        run_id=manifest.run_id,
        ok=manifest.outcome == "ok",
        outcome=manifest.outcome,
        cells=manifest.cells_run,
        calls=int(total.get("calls", 0)),
        tokens=int(total.get("input_tokens", 0)) + int(total.get("output_tokens", 0)),
        usd=Decimal(str(total.get("usd", "0"))),
        simulated_usd=Decimal(str(total.get("simulated_usd", "0"))),
        seconds=manifest.seconds,
        error=error,
        detail=manifest.detail,
    )


def _unrun(plan: Plan, error: LLMOpsError) -> RunResult:
    return RunResult(
        notebook=plan.source,
        output=plan.output,
        manifest=manifest_path(plan.output),
        run_id="",
        ok=False,
        outcome="failed",
        cells=0,
        calls=0,
        tokens=0,
        usd=Decimal(0),
        simulated_usd=Decimal(0),
        seconds=0.0,
        error=f"{type(error).__name__}: {error.message}",
        detail="\n".join(error._render_traceback_()[1:]),
    )
