"""``llmops judge label``: a rater in a terminal, one key an answer."""

from __future__ import annotations

import getpass
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import read
from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from llmops_kernel.judge.labelling import Desk

HELP = "Label answers by hand, blind to scores and systems"
QUIT = "q"
_INTERRUPT = ("\x03", "\x04", "")  # Ctrl-C, Ctrl-D, the end of the input


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "keys: those shown, s skip, u undo, q stop; every label is saved at once"
    parser.add_argument("data", metavar="DATA.jsonl", help="rows with user_input, response, ...")
    parser.add_argument("--metric", required=True, metavar="NAME", help="what is labelled")
    parser.add_argument(
        "--n", type=int, default=30, metavar="N", help="how many samples (default: 30)"
    )
    parser.add_argument(
        "--pairwise", metavar="BASE.jsonl",
        help="show the answers of another set beside these, in both orders",
    )  # fmt: skip
    parser.add_argument(
        "--scores", metavar="SCORES.json",
        help="what judge run --out wrote: the samples are spread over its scores",
    )  # fmt: skip
    parser.add_argument(
        "--grades", type=int, default=0, metavar="K", help="grades from 1 to K, not yes or no"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="draws the samples")
    parser.add_argument("--rater", metavar="NAME", help="who labels (default: your user name)")
    parser.add_argument(
        "--labels", metavar="FILE", help="the file of labels (default: DATA.labels.jsonl)"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Show one item after the other; print how many labels the file has of this rater."""
    from llmops_kernel.judge.labelling import Desk, LabelSheet

    data = Path(arguments.data)
    path = arguments.labels or data.with_name(f"{data.stem}.labels.jsonl")
    desk = Desk(_queue(arguments), LabelSheet(path), arguments.rater or getpass.getuser())
    tell = warn if arguments.json else say
    if desk.sheet.torn:
        warn(f"{desk.sheet.torn} lines of {path} cannot be read")
    with _keys() as key:
        _work(desk, key, tell)
    facts = {"file": str(path), "rater": desk.rater, "metric": desk.queue.metric,
             "items": len(desk.queue), "labelled": desk.labelled,
             "skipped": desk.skipped}  # fmt: skip
    if arguments.json:
        say_json(facts)
    else:
        say(f"{desk.labelled} of {len(desk.queue)} labelled, {desk.skipped} skipped: {path}")
    return 0


def _queue(arguments: argparse.Namespace) -> Any:
    from llmops_kernel.judge.labelling import make_queue, paired

    samples = read(arguments.data).samples
    if arguments.pairwise:
        samples = paired(samples, read(arguments.pairwise).samples)
    scores = None
    if arguments.scores:
        scores = _scores(arguments.scores, arguments.metric)
    return make_queue(
        samples,
        arguments.metric,
        n=arguments.n,
        scores=scores,
        grades=arguments.grades,
        pairs=bool(arguments.pairwise),
        seed=arguments.seed,
    )


def _scores(path: str, metric: str) -> dict[str, float]:
    from llmops_kernel.judge.results import load_scores
    from llmops_kernel.judge.tally import tally

    found = tally(load_scores(path)[0])
    own = found.get(metric) or next(
        (each for name, each in found.items() if name.partition("[")[0] == metric), None
    )
    if own is None:
        raise UsageProblem(
            f"There is no score of {metric} in the file", detail=", ".join(found), hint="--metric"
        )
    return own.values


def _work(desk: Desk, key: Callable[[], str], tell: Callable[[str], None]) -> None:
    """Ask until the rater ends, or the queue does and nothing is taken back."""
    while (item := desk.current) is not None or desk.records:
        if item is None:
            tell("\nAll items are seen.   [u] undo the last   [q] done")
            if key() != "u":
                return
            desk.undo()
            continue
        facts = desk.facts()
        done = facts["labelled"] + facts["skipped"]
        tell(f"\n{desk.queue.metric}: item {done + 1} of {facts['total']}")
        tell(_text(item.shown(), pairs=desk.queue.pairs))
        tell("   ".join(f"[{each.key}] {each.label}" for each in desk.queue.choices)
             + "   [s] skip   [u] undo   [q] stop")  # fmt: skip
        pressed = key()
        if pressed in (QUIT, *_INTERRUPT):
            return
        if pressed == "u":
            if desk.undo() is None:
                tell("There is nothing to take back")
            continue
        try:
            desk.answer(pressed)
        except UsageProblem as problem:
            tell(problem.sentence())


def _text(shown: dict[str, Any], *, pairs: bool) -> str:
    from llmops_kernel.display.text import printable

    parts = [("Question", shown["question"])]
    parts += [(f"Passage {at}", text) for at, text in enumerate(shown["contexts"], start=1)]
    if shown["reference"]:
        parts.append(("Known right answer", shown["reference"]))
    names = ("First answer", "Second answer") if pairs else ("Answer",)
    parts += list(zip(names, shown["answers"], strict=True))
    return "\n".join(f"{name}:\n  {printable(text)}" for name, text in parts)


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Read single keys of a terminal; lines of anything else."""
    if not sys.stdin.isatty():
        yield lambda: (line := sys.stdin.readline()) and (line.strip().lower() or " ")
        return
    try:
        import termios
        import tty
    except ImportError:  # no such terminals on Windows
        yield lambda: (line := sys.stdin.readline()) and (line.strip().lower() or " ")
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key() -> str:
        try:
            return sys.stdin.read(1).lower()
        except KeyboardInterrupt:
            return QUIT

    # Once, and without a flush: keys that were pressed ahead are not lost.
    tty.setcbreak(descriptor, termios.TCSADRAIN)
    try:
        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
