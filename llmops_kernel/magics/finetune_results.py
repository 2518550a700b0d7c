"""What ``%%finetune`` and ``%finetune`` return: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.finetune import preflight_view, runs_view, training_view
from llmops_kernel.display.mime import View, view
from llmops_kernel.display.text import markup
from llmops_kernel.finetune.facts import facts_of, summary_of
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from llmops_kernel.finetune.runs import FineTune

# These end before a training: what was checked is what there is to see.
_CHECKED = ("checked", "refused", "written")


@dataclass(frozen=True, repr=False)
class FineTuneRun(Shown):
    """A run, as it is whenever it is looked at.

    Attributes:
        run: The run.
        live: Whether it is shown by a widget while it runs; a still picture takes its place then.
    """

    run: FineTune
    stable: bool = False
    live: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self.run.name

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.run_id

    @property
    def state(self) -> str:
        """``running``, ``done``, ``stopped``, ..."""
        return self.run.state

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that is known of it."""
        return facts_of(self.run)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The figures of the training, once it ended: ``eval_loss``, ``answers``, ..."""
        metrics: Mapping[str, Any] = self.run.trained.get("metrics", {})
        return metrics

    @property
    def train_loss(self) -> list[tuple[int, float]]:
        """(step, loss) on the training rows."""
        return list(self.run.progress.train_loss)

    @property
    def eval_loss(self) -> list[tuple[int, float]]:
        """(step, loss) on the evaluation rows; step 0 is the base."""
        return list(self.run.progress.eval_loss)

    @property
    def preflight(self) -> PreflightPage:
        """What the pre-flight found."""
        return PreflightPage(self.run.folder.read_json(self.run.folder.preflight), self.stable)

    @property
    def version(self) -> str:
        """``name@version`` in the registry; "" when nothing was registered."""
        return str(self.facts["version"] or "")

    @property
    def folder(self) -> Path:
        """The run's files."""
        return self.run.folder.path

    def wait(self, timeout: float | None = None) -> FineTuneRun:
        """Wait for the end (raises `TimeoutError` after ``timeout`` seconds)."""
        self.run.wait(timeout)
        return self

    def stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        self.run.stop()

    def _ipython_display_(self) -> None:
        """Show the live view.

        Raises:
            NotImplementedError: There is none; IPython then asks for the still picture.
        """
        if self.live:
            from llmops_kernel.magics._finetuning import follow

            follower = follow(self.run)
            if follower is not None and follower.show(self.view()) is not None:
                return
        raise NotImplementedError

    def view(self) -> View:
        """Build figures and curves; for a run that was only checked, the checks."""
        facts = self.facts
        own = training_view(facts, stable=self.stable)
        if facts["state"] not in _CHECKED or not self.preflight.found:
            return own
        checks = self.preflight.view()
        return View(
            {
                "text/html": f"{own.html}\n{checks.html}",
                "text/plain": f"{own.text}\n\n{checks.text}",
            },
            {**facts, "preflight": dict(self.preflight.found)},
        )


@dataclass(frozen=True, repr=False)
class PreflightPage(Shown):
    """The checks before a training, and rows with what is learnt marked.

    Attributes:
        found: ``verdict``, ``checks``, ``figures`` and ``view``; empty before it was made.
    """

    found: Mapping[str, Any]
    stable: bool = False

    @property
    def verdict(self) -> str:
        """``ok``, ``warn`` or ``stop``; "" before it was made."""
        return str(self.found.get("verdict", ""))

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """The checks: ``name``, ``state``, ``said``, ``detail``, ``hint``."""
        return list(self.found.get("checks", []))

    def view(self) -> View:
        """Build the table of checks and the rows."""
        if not self.found:
            return view("<p>No pre-flight yet</p>", "No pre-flight yet")
        return preflight_view(self.found, stable=self.stable)


@dataclass(frozen=True, repr=False)
class RunList(Shown):
    """Runs, newest first; iterates over them."""

    runs: tuple[FineTune, ...]
    stable: bool = False

    def __iter__(self) -> Iterator[FineTuneRun]:
        return (FineTuneRun(run, self.stable) for run in self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def view(self) -> View:
        """Build the list."""
        return runs_view([summary_of(run) for run in self.runs], stable=self.stable)


@dataclass(frozen=True, repr=False)
class Log(Shown):
    """The end of what the training's libraries printed."""

    text: str

    def view(self) -> View:
        """Build the text."""
        text = self.text or "Nothing was printed"
        return view(f"<pre>{markup(text)}</pre>", text)
