"""A rater at work: the next item, an answer, a step back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.labelling.sheet import Did, LabelSheet, Record, check_rater

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.judge.labelling.items import Item
    from llmops_kernel.judge.labelling.queue import Queue

Answers = Mapping[str, str] | Iterable[str] | Callable[["Item"], str]
SKIP = "s"


class Desk:
    """Shows a queue to one rater and writes what they say.

    What the rater did before, also in another session, counts: the queue goes on where it was left.

    Args:
        queue: What is labelled.
        sheet: Where labels go, at once.
        rater: Who labels.

    Raises:
        UsageProblem: The rater has no name.
        StoreError: The sheet cannot be read.
    """

    def __init__(self, queue: Queue, sheet: LabelSheet, rater: str) -> None:
        self.queue = queue
        self.sheet = sheet
        self.rater = check_rater(rater)
        places = {self._place(each): each.key for each in queue.items}
        self._did: dict[str, Record] = {}  # by item, in order of time
        for record in sheet.standing():
            key = places.get(record.place)
            if key is not None:
                self._did[key] = record

    @property
    def current(self) -> Item | None:
        """The first item that is neither labelled nor skipped; None at the end."""
        return next((each for each in self.queue.items if each.key not in self._did), None)

    @property
    def labelled(self) -> int:
        """Items with a label."""
        return sum(each.did == "label" for each in self._did.values())

    @property
    def skipped(self) -> int:
        """Items that were skipped."""
        return len(self._did) - self.labelled

    @property
    def records(self) -> tuple[Record, ...]:
        """What the rater did with the queue's items, in order of time."""
        return tuple(self._did.values())

    def answer(self, key: str, *, item: str = "") -> Item | None:
        """Label the current item and return the next one.

        Args:
            key: Of a choice, or ``s`` to skip.
            item: The item that is meant; where it is not the current one, nothing is labelled (a
                key that was pressed twice, another window).

        Raises:
            UsageProblem: There is no such choice, or nothing is left.
            StoreError: It cannot be written; the item stays current.
        """
        now = self.current
        if now is None:
            raise UsageProblem("Nothing is left to label", hint="u takes the last label back")
        if item and item != now.key:
            return now
        if key == SKIP:
            self._write(now, "skip")
        else:
            choice = self.queue.choice(key)
            self._write(now, "label", choice=choice.key, score=now.score(choice))
        return self.current

    def undo(self) -> Item | None:
        """Take the last label or skip back and return its item; None where there is none."""
        if not self._did:
            return None
        key, record = list(self._did.items())[-1]
        item = next(each for each in self.queue.items if each.key == key)
        self._write(item, "undo")
        assert record.did != "undo"
        return item

    def facts(self) -> dict[str, Any]:
        """Return what a front end shows: progress, the current item, the choices."""
        now = self.current
        return {
            "metric": self.queue.metric,
            "total": len(self.queue),
            "labelled": self.labelled,
            "skipped": self.skipped,
            "item": None if now is None else now.shown(),
            "choices": [{"key": each.key, "label": each.label} for each in self.queue.choices],
            "pairs": self.queue.pairs,
            "can_undo": bool(self._did),
        }

    def _write(self, item: Item, did: Did, **said: Any) -> None:
        record = Record(
            did, self.queue.metric, item.sample_id, item.digest, item.order, self.rater, **said
        )
        written = self.sheet.add(record)
        self._did.pop(item.key, None)
        if did != "undo":
            self._did[item.key] = written

    def _place(self, item: Item) -> tuple[str, str, str, str, str]:
        return (self.rater, self.queue.metric, item.sample_id, item.digest, item.order)


def label(
    queue: Queue, answers: Answers, *, path: str | Path, rater: str = "me"
) -> tuple[Record, ...]:
    """Label a queue from code, as the widget and the terminal do.

    Args:
        queue: What is labelled.
        answers: Keys of choices (or ``s``): by sample id, in the queue's order, or by a function
            of the item. Samples that a mapping lacks stay unlabelled.
        path: The file of labels.
        rater: Who labels.

    Returns:
        All that this rater did with the queue's items.

    Raises:
        UsageProblem: An answer is no choice.
        StoreError: The file cannot be read or written.
    """
    desk = Desk(queue, LabelSheet(path), rater)
    left = None if isinstance(answers, Mapping) or callable(answers) else iter(answers)
    done = {record.place for record in desk.records}
    for item in queue.items:
        if desk._place(item) in done:  # noqa: SLF001 - same module
            continue
        if isinstance(answers, Mapping):
            key = answers.get(item.sample_id)
        elif left is None:
            assert callable(answers)
            key = answers(item)
        else:
            key = next(left, None)
        if key is None:
            if left is not None:
                break
            continue
        _say(desk, item, key)
    return desk.records


def _say(desk: Desk, item: Item, key: str) -> None:
    if key == SKIP:
        desk._write(item, "skip")  # noqa: SLF001 - same module
    else:
        choice = desk.queue.choice(str(key))
        desk._write(  # noqa: SLF001
            item, "label", choice=choice.key, score=item.score(choice)
        )
