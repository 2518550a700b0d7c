"""The papermill engine ``llmops``."""

# papermill and nbformat have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
import os
import secrets as random
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from papermill.engines import NBClientEngine
from papermill.log import logger
from papermill.translators import translate_parameters

from llmops_kernel import errors
from llmops_kernel.errors import CallRefused, LLMOpsError, UsageProblem
from llmops_kernel.runs.client import KERNEL, RunClient
from llmops_kernel.runs.costs import CostReader
from llmops_kernel.runs.manifest import Outcome, RunManifest, manifest_path
from llmops_kernel.runs.masking import mask_parameters, register_environment, secret_values
from llmops_kernel.runs.parameters import INJECTED_TAG, check_parameters, tagged
from llmops_kernel.runs.state import Failure, RunState

_SQLITE = "sqlite:///"
_STATE_OPTIONS = ("output_path", "progress_bar", "log_output", "autosave_cell_every")


class LLMOpsEngine(NBClientEngine):
    """Runs a notebook in the `llmops` kernel, under a budget, and keeps a record of it.

    ``papermill in.ipynb out.ipynb --engine llmops``, or `llmops_kernel.runs.run_notebook`. Beyond
    papermill's own, `papermill.execute_notebook` passes on:

    - ``budget``: the cap on this run in US dollars (default ``LLMOPS_RUN_BUDGET_USD``);
    - ``run_id``: the run's id in the ledger (default ``LLMOPS_RUN_ID``, or a new one);
    - ``notebook``: the name the ledger knows the notebook by (default: the input's path).
    """

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:  # noqa: ARG003 - papermill's
        """Return the kernel the caller names, else ours: only that one is metered."""
        return name or KERNEL

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Return the notebook's language; Python where it says nothing."""
        metadata = nb.metadata
        said = metadata.get("language_info", {}).get("name")
        return language or said or metadata.get("kernelspec", {}).get("language") or "python"

    @classmethod
    def execute_notebook(  # type: ignore[override] # papermill's defaults are its manager's
        cls, nb: Any, kernel_name: str, **options: Any
    ) -> Any:
        """Execute a parametrised notebook; papermill raises for a failed cell.

        Raises:
            UsageProblem: A parameter is unknown or the budget is no amount; nothing was run.
            RunFailed: The kernel did not start.
            StoreError: The record cannot be used.
        """
        return _Run(nb, kernel_name, options).execute()


class _Run:
    """One execution, from the parametrised notebook to its record."""

    def __init__(self, notebook: Any, kernel: str, options: dict[str, Any]) -> None:
        from llmops_kernel.guard.secrets import Secrets
        from llmops_kernel.settings import HIDDEN, Settings

        self.notebook = notebook
        self.kernel = kernel
        source = options.pop("input_path", None)
        self.input = source if isinstance(source, str) else ""  # or a notebook in memory
        self.output = options.get("output_path")
        self.budget = _budget(options.pop("budget", None))
        self.run_id = options.pop("run_id", None) or os.environ.get("LLMOPS_RUN_ID") or new_run_id()
        self.name = options.pop("notebook", None) or _notebook_name(self.input)
        self.state_options = {key: options.pop(key) for key in _STATE_OPTIONS if key in options}
        self.options = options
        self.secrets = Secrets()
        register_environment(os.environ, self.secrets)
        given = notebook.metadata.papermill.get("parameters") or {}
        check_parameters(notebook, given)
        self.env = self._environment()
        # The kernel must keep them out of its own record, too.
        if hidden := secret_values(given, self.secrets):
            self.env[HIDDEN] = json.dumps(hidden)
        self.sources = self._mask(given)
        folder = Path(options.get("resources", {}).get("metadata", {}).get("path") or Path.cwd())
        self.settings = Settings.load(folder=folder, environ=self.env)
        # A relative path in llmops.toml is the kernel's, one in a variable is ours.
        theirs = "store" in self.settings.model_fields_set and not os.environ.get("LLMOPS_STORE")
        self.store = absolute_store(self.settings.store, folder if theirs else Path.cwd())
        if self.store.startswith(_SQLITE):
            self.env["LLMOPS_STORE"] = self.store

    def execute(self) -> Any:
        """Run all cells, however far they get, and write notebook and manifest."""
        place = manifest_path(Path(str(self.output))) if is_local(self.output) else None
        with closing(CostReader(self.store, self.run_id)) as reader:
            state = RunState(
                self.notebook, secrets=self.secrets, reader=reader, **self.state_options
            )
            state.notebook_start()
            manifest = self._manifest(reader.label)
            if place:
                manifest.write(place)
            stopped: BaseException | None = None
            try:
                self._client(state).execute()
            except BaseException as error:
                stopped = error
                raise
            finally:
                state.cleanup_pbar()
                state.notebook_complete()
                _conclude(manifest, state, stopped)
                if place:
                    manifest.write(place)
        return state.nb

    def _manifest(self, store: str) -> RunManifest:
        return RunManifest.begin(
            run_id=self.run_id,
            notebook=self.input,
            output=str(self.output or ""),
            kernel=self.kernel,
            parameters=dict(self.notebook.metadata.papermill.get("parameters") or {}),
            budget=self.budget,
            store=store,
        )

    def _client(self, state: RunState) -> RunClient:
        options = dict(self.options)
        timeout = options.pop("execution_timeout", None) or options.pop("timeout", None)
        return RunClient(
            state,
            env=self.env,
            sources=self.sources,
            secrets=self.secrets,
            kernel_name=self.kernel,
            timeout=timeout,
            startup_timeout=options.pop("start_timeout", 60),
            log=logger,
            log_output=self.state_options.get("log_output", False),
            **options,
        )

    def _mask(self, given: dict[str, Any]) -> dict[str, str]:
        """Mask the injected cell and the metadata; return the real sources by cell id."""
        cells = tagged(self.notebook, INJECTED_TAG)
        if not cells or not given:
            return {}
        cell = cells[0]
        cell["id"] = INJECTED_TAG  # the same in each run, so that runs can be compared
        masked = mask_parameters(given, self.secrets)
        self.notebook.metadata.papermill["parameters"] = masked
        if masked == given:
            return {}
        real = cell.source
        language = LLMOpsEngine.nb_language(self.notebook)
        cell.source = translate_parameters(self.kernel, language, masked, "Parameters")
        return {cell["id"]: real}

    def _environment(self) -> dict[str, str]:
        env = dict(os.environ)
        env["LLMOPS_STATIC"] = "1"
        env["LLMOPS_RUN_ID"] = self.run_id
        env["LLMOPS_NOTEBOOK"] = self.name
        env.setdefault("PYTHONHASHSEED", "0")
        if self.budget is not None:
            env["LLMOPS_RUN_BUDGET_USD"] = f"{self.budget:f}"
        for name in ("LLMOPS_HOME", "LLMOPS_CONFIG"):  # the kernel runs in another folder
            if env.get(name):
                env[name] = str(Path(env[name]).expanduser().absolute())
        return env


def _conclude(manifest: RunManifest, state: RunState, stopped: BaseException | None) -> None:
    manifest.cells_run = state.cells_run
    outcome: Outcome = "ok"
    failure = state.failure
    if failure is None and stopped is not None:
        sentence = stopped.sentence() if isinstance(stopped, LLMOpsError) else str(stopped)
        failure = Failure(type(stopped).__name__, state.secrets.redact(sentence))
    if failure is not None:
        manifest.error, manifest.message, manifest.detail = failure
        outcome = _outcome(failure.name, stopped)
    failed = (c for c in state.nb.cells if c.metadata.get("papermill", {}).get("exception") is True)
    manifest.failed_cell = next((cell.get("id", "") for cell in failed), "")
    manifest.finish(outcome, state.costs, state.calls)


def _outcome(name: str, stopped: BaseException | None) -> Outcome:
    if stopped is not None and not isinstance(stopped, Exception):
        return "interrupted"
    if name == "CellTimeoutError":
        return "timeout"
    kind = getattr(errors, name, None)
    refused = isinstance(kind, type) and issubclass(kind, CallRefused)
    return "stopped" if refused else "failed"


def new_run_id() -> str:
    """Return a new id; ids sort by time."""
    return f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}-{random.token_hex(3)}"


def _budget(given: Any) -> Decimal | None:
    """Read the budget: the one given, else the environment's."""
    inherited = os.environ.get("LLMOPS_RUN_BUDGET_USD") or None
    if given in (None, ""):
        return None if inherited is None else parse_budget(inherited)
    amount = parse_budget(given)
    if inherited is not None and os.environ.get("LLMOPS_RUN_ID"):
        # A run inside a run spends from the outer one's budget and cannot lift it.
        return min(amount, parse_budget(inherited))
    return amount


def parse_budget(value: Any) -> Decimal:
    """Return a budget in US dollars.

    Raises:
        UsageProblem: It is no amount, or below zero.
    """
    try:
        amount = Decimal(str(value).removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise UsageProblem(
            "The budget is not an amount of dollars", detail=f"got {value!r}", hint="--budget 0.50"
        )
    return amount


def _notebook_name(path: str) -> str:
    return str(Path(path).absolute()) if is_local(path) and Path(path).exists() else path


def is_local(path: Any) -> bool:
    """Whether an output goes to a local file (papermill also writes to buckets)."""
    return bool(path) and "://" not in str(path)


def absolute_store(url: str, folder: Path) -> str:
    """Return a store's URL that means the same file in every working folder."""
    if not url.startswith(_SQLITE):
        return url
    return f"{_SQLITE}{folder.absolute() / Path(url.removeprefix(_SQLITE)).expanduser()}"
