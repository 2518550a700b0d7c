"""What the verbs of ``llmops finetune`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.finetune.runs import FineTune


def add_run(parser: argparse.ArgumentParser) -> None:
    """Declare which run is meant."""
    parser.add_argument(
        "run", nargs="?", metavar="NAME", help="a model's newest run, or NAME/RUN_ID"
    )


def watched(run: FineTune, *, detach: bool, json: bool) -> int:
    """Wait for a run, printing its tenths, and say what it came to.

    Raises:
        RunFailed: It did not reach its end.
    """
    from llmops_kernel.finetune.runs import raise_unless_done

    if not detach:
        tenths = _Tenths(quiet=json)
        try:
            run.wait(watch=tenths)
        except KeyboardInterrupt:
            run.stop("interrupted")
            raise
    say_run(run, json=json)
    if not detach:
        raise_unless_done(run)
    return 0


def say_run(run: FineTune, *, json: bool) -> None:
    """Print a run as text or JSON."""
    from llmops_kernel.display.finetune import preflight_view, training_view
    from llmops_kernel.finetune.facts import facts_of

    facts = facts_of(run)
    found = run.folder.read_json(run.folder.preflight)
    if json:
        say_json({**facts, "preflight": found})
        return
    say(training_view(facts).text)
    if facts["state"] in ("checked", "refused", "written") and found:
        say("")
        say(preflight_view(found).text)


class _Tenths:
    def __init__(self, *, quiet: bool) -> None:
        self._next = 101 if quiet else 10

    def __call__(self, run: FineTune) -> None:
        progress = run.progress
        while self._next <= 100 and progress.share * 100 >= self._next:
            loss = f", loss {progress.train_loss[-1][1]:.4f}" if progress.train_loss else ""
            say(f"{self._next} % of {progress.steps:,} steps{loss}")
            self._next += 10
