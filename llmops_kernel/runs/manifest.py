"""What is needed to say what a run was, and to repeat it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.files import write_whole

if TYPE_CHECKING:
    from decimal import Decimal

    from llmops_kernel.runs.costs import RunCalls, RunCosts

Outcome = Literal["running", "ok", "failed", "stopped", "timeout", "interrupted"]

_PACKAGES = ("llmops-kernel", "papermill", "nbclient", "ipykernel", "ipython", "genai-prices",
             "openai", "langchain-openai", "autogen-agentchat", "llama-index-core")  # fmt: skip


@dataclass
class RunManifest:
    """The record of one run, saved as JSON beside its output.

    Attributes:
        notebook: Where the source was read from.
        source_sha256: Hash of the source file's bytes; "" when it was no local file.
        parameters: The parameters given, secrets masked.
        budget_usd: The cap on this run in US dollars (a decimal text, as all dollars here); None
            without one.
        outcome: ``running`` until the end: a file that still says so was killed. ``stopped`` means
            that a cap, the loop breaker or a person stopped the spending.
        error: Name of the error that ended the run, if one did.
        message: Its sentence.
        detail: Figures and advice, where the error has them.
        failed_cell: Id of the cell that failed.
        git: ``revision`` and ``dirty`` of the notebook's repository; None outside of one.
        models: Ids of the models that were called.
        prompts: Hashes of the requests that were made.
        prices: Versions of the prices that calls were settled at.
        total: Calls, tokens, real and simulated dollars.
        cells: The same per cell, with its id, for cells that made calls.
        store: Where the ledger is, without password.
    """

    run_id: str
    notebook: str
    output: str
    kernel: str
    source_sha256: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    budget_usd: str | None = None
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    outcome: Outcome = "running"
    error: str = ""
    message: str = ""
    detail: str = ""
    failed_cell: str = ""
    cells_run: int = 0
    python: str = field(default_factory=platform.python_version)
    platform: str = field(default_factory=platform.platform)
    packages: dict[str, str] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    models: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    prices: list[str] = field(default_factory=list)
    total: dict[str, int | str] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    store: str = ""

    @classmethod
    def begin(
        cls,
        *,
        run_id: str,
        notebook: str,
        output: str,
        kernel: str,
        parameters: dict[str, Any],
        budget: Decimal | None,
        store: str,
    ) -> RunManifest:
        """Note everything that is known before the first cell."""
        path = Path(notebook)
        local = bool(notebook) and path.is_file()
        return cls(
            run_id=run_id,
            notebook=notebook,
            output=output,
            kernel=kernel,
            source_sha256=hashlib.sha256(path.read_bytes()).hexdigest() if local else "",
            parameters=parameters,
            budget_usd=None if budget is None else f"{budget:f}",
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            packages=_versions(),
            git=git_state(path.resolve().parent if local else Path.cwd()),
            store=store,
        )

    def finish(self, outcome: Outcome, costs: RunCosts, calls: RunCalls) -> None:
        """Note how the run ended and what it cost."""
        ended = datetime.now(UTC)
        self.ended = ended.isoformat(timespec="milliseconds")
        self.seconds = round((ended - datetime.fromisoformat(self.started)).total_seconds(), 3)
        self.outcome = outcome
        self.models = list(calls.models)
        self.prompts = list(calls.prompts)
        self.prices = list(calls.prices)
        self.total = costs.total.facts()
        self.cells = [{"cell_id": key, **cost.facts()} for key, cost in costs.by_cell.items()]

    @classmethod
    def read(cls, path: Path) -> RunManifest:
        """Read a saved manifest."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def facts(self) -> dict[str, Any]:
        """Return the manifest as JSON-like values."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Save the manifest, at once and whole."""
        # Parameters may be of any type that YAML gives (dates); their text is enough here.
        text = json.dumps(self.facts(), indent=1, ensure_ascii=False, default=str) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)


def manifest_path(output: Path) -> Path:
    """Return where the manifest of an output notebook lies."""
    return output.with_name(f"{output.stem}.manifest.json")


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the revision of a folder's repository and whether it has uncommitted changes."""
    git = shutil.which("git")
    if git is None:
        return None
    revision = _git(git, folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changes = _git(git, folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": bool(changes) if changes is not None else None}


def _git(git: str, folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a run does not depend on what git can say about it
    return done.stdout.strip() if done.returncode == 0 else None
