"""The state of a run on disk: each cell's status, cost and failure."""

# papermill and nbformat have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbformat.v4 import new_output
from papermill.engines import NotebookExecutionManager

from llmops_kernel import errors
from llmops_kernel.runs.costs import RunCalls
from llmops_kernel.runs.masking import clean_outputs, join_streams, strip_widgets

if TYPE_CHECKING:
    from llmops_kernel.guard.secrets import Secrets
    from llmops_kernel.runs.costs import CostReader


_SHORT = 8  # lines


class Failure(NamedTuple):
    """Why a run did not reach its end: an error's name, its sentence, and what more it says."""

    name: str
    message: str
    detail: str = ""


class RunState(NotebookExecutionManager):
    """papermill's execution manager, saving only what may be saved.

    Differs from its parent in what a file on disk says after a failure that is no exception of a
    cell (a time-out, a dead kernel, an interrupt): the cell that ran has failed with an error
    output, and those after it stay pending.

    Args:
        notebook: The notebook, secrets masked.
        secrets: What must not get into the file.
        reader: Reads what the run has cost so far.
        options: Options of papermill's manager.
    """

    def __init__(
        self,
        notebook: Any,
        *,
        secrets: Secrets,
        reader: CostReader,
        **options: Any,
    ) -> None:
        super().__init__(notebook, **options)
        self.secrets = secrets
        self.started = False
        self.costs = reader.costs()
        self.calls = RunCalls()
        self.failure: Failure | None = None
        self.cells_run = 0
        self._reader = reader
        self._current: Any = None

    def notebook_start(self, **options: Any) -> None:
        """Forget what an earlier run left in the notebook, and save it."""
        strip_widgets(self.nb)
        self.nb.metadata.pop("llmops", None)
        for cell in self.nb.cells:
            cell.metadata.pop("llmops", None)
        super().notebook_start(**options)

    def cell_start(self, cell: Any, cell_index: int | None = None, **options: Any) -> None:
        """Note that a cell starts."""
        self.started = True
        self._current = cell
        super().cell_start(cell, cell_index, **options)

    def cell_exception(self, cell: Any, cell_index: int | None = None, **options: Any) -> None:
        """Note that a cell failed, with an error output if the kernel sent none."""
        error: BaseException | None = options.get("exception")
        last = next((o for o in reversed(cell.outputs) if o.output_type == "error"), None)
        if last is None:
            name = type(error).__name__ if error is not None else "Error"
            first = (str(error).strip() or name).splitlines()[0]
            last = new_output("error", ename=name, evalue=first, traceback=[f"{name}: {first}"])
            cell.outputs.append(last)
        self.failure = self._failure(last)
        if last.ename == "SystemExit" and last.evalue in {"", "0"}:
            self.failure = None  # the notebook ended itself; papermill agrees
        super().cell_exception(cell, cell_index, **options)

    def _failure(self, output: Any) -> Failure:
        redact = self.secrets.redact
        # Our own errors are two or three lines: what happened, the figures, what to do.
        ours = issubclass(getattr(errors, output.ename, type(None)), errors.LLMOpsError)
        rest = output.traceback[1:] if ours and len(output.traceback) <= _SHORT else []
        return Failure(output.ename, redact(output.evalue), redact("\n".join(rest)))

    def cell_complete(self, cell: Any, cell_index: int | None = None, **options: Any) -> None:
        """Note that a cell ended, and what it cost."""
        if cell.cell_type == "code" and cell.source.strip():
            self.cells_run += 1
        self.refresh_costs()
        super().cell_complete(cell, cell_index, **options)

    def refresh_costs(self) -> None:
        """Write each executed cell's cost into its metadata."""
        self.costs = self._reader.costs()
        for cell in self.nb.cells:
            ran = cell.metadata.get("papermill", {}).get("start_time")
            if cell.cell_type == "code" and ran:
                cell.metadata["llmops"] = self.costs.of(cell.get("id", "")).facts()
        self.nb.metadata["llmops"] = {"run_id": self.costs.run_id, **self.costs.total.facts()}

    def save(self, **options: Any) -> None:
        """Save the notebook without secrets."""
        if self._current is not None and self._current.cell_type == "code":
            clean_outputs(self._current, self.secrets)
        super().save(**options)

    def notebook_complete(self, **_: Any) -> None:
        """Save the notebook as it will stay; cells that never ran stay pending."""
        self.end_time = self.now()
        papermill = self.nb.metadata.papermill
        papermill["end_time"] = self.end_time.isoformat()
        papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        strip_widgets(self.nb)
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                clean_outputs(cell, self.secrets)
                join_streams(cell)
        self._reader.settle_dead()
        self.refresh_costs()
        self.calls = self._reader.calls()
        self.complete_pbar()
        self.cleanup_pbar()
        self.save()
