"""The file of labels: one line for each thing a rater did, written at once, never changed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import StoreError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = "llmops-label-1"
Did = Literal["label", "skip", "undo"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line.

    Attributes:
        did: "label", "skip", or "undo", which takes the last one of the same item back.
        metric: What was labelled.
        sample_id: Of which sample.
        digest: Of which content.
        order: Of a pair, which answer stood first.
        choice: The key that was pressed; "" for others than labels.
        score: What it says of the sample's own answer; None for others than labels.
        rater: Who.
        at: When, ISO 8601 in UTC.
    """

    did: Did
    metric: str
    sample_id: str
    digest: str
    order: str
    rater: str
    choice: str = ""
    score: float | None = None
    at: str = ""

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What a later line of the same rater replaces."""
        return (self.rater, self.metric, self.sample_id, self.digest, self.order)


class LabelSheet:
    """An append-only JSONL file of labels; several raters may share it.

    Args:
        path: The file; it is made by the first label.

    Attributes:
        torn: Lines that cannot be read: the end of a write that was cut off, or foreign ones.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.torn = 0

    def records(self) -> list[Record]:
        """Return all lines in order, also those that were replaced later.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("read", error) from error
        found = [_record(line) for line in data.splitlines() if line.strip()]
        self.torn = found.count(None)
        return [each for each in found if each is not None]

    def standing(self) -> list[Record]:
        """Return what counts: for each rater and item the last label or skip, in order of time."""
        last: dict[tuple[str, ...], Record] = {}
        for each in self.records():
            last.pop(each.place, None)
            if each.did != "undo":
                last[each.place] = each
        return list(last.values())

    def add(self, record: Record) -> Record:
        """Write a line and wait until the disk has it; returns it with its time.

        Raises:
            StoreError: It cannot be written; nothing was labelled then.
        """
        facts: dict[str, Any] = {"format": FORMAT, "did": record.did, "metric": record.metric}
        facts |= {"sample_id": record.sample_id, "digest": record.digest, "rater": record.rater}
        if record.order:
            facts["order"] = record.order
        if record.did == "label":
            facts |= {"choice": record.choice, "score": record.score}
        at = record.at or datetime.now(UTC).isoformat(timespec="seconds")
        facts["at"] = at
        line = (json.dumps(facts, ensure_ascii=True) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                if file.tell() and not _ends_whole(file):
                    line = b"\n" + line  # a write that was cut off spoils no other line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failed("written", error) from error
        return Record(**{**{name: getattr(record, name) for name in _FIELDS}, "at": at})

    def _failed(self, what: str, error: OSError) -> StoreError:
        return StoreError(
            f"The file of labels cannot be {what}",
            detail=f"{self.path}: {error.strerror or type(error).__name__}",
            hint="Name another file",
        )


_FIELDS = tuple(Record.__dataclass_fields__)


def check_rater(name: str) -> str:
    """Return a rater's name without spaces around it.

    Raises:
        UsageProblem: It is empty.
    """
    if not name.strip():
        raise UsageProblem("A label needs the name of who gives it", hint="--rater NAME")
    return name.strip()


def read_sheets(paths: Sequence[str | Path]) -> tuple[list[Record], int]:
    """Return what counts of several files, and how many lines cannot be read.

    Raises:
        UsageProblem: A file is not there.
        StoreError: A file cannot be read.
    """
    found: dict[tuple[str, ...], Record] = {}
    torn = 0
    for path in paths:
        sheet = LabelSheet(path)
        if not sheet.path.is_file():
            raise UsageProblem(
                "There is no such file of labels",
                detail=str(sheet.path),
                hint="%judge label DATA --metric NAME makes one",
            )
        for each in sheet.standing():
            found[each.place] = each
        torn += sheet.torn
    return list(found.values()), torn


def _ends_whole(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _record(line: bytes) -> Record | None:
    try:
        facts = json.loads(line)
        if facts["format"] != FORMAT or facts["did"] not in ("label", "skip", "undo"):
            return None
        score = facts.get("score")
        if facts["did"] == "label" and not (isinstance(score, int | float) and 0 <= score <= 1):
            return None
        return Record(
            did=facts["did"],
            metric=str(facts["metric"]),
            sample_id=str(facts["sample_id"]),
            digest=str(facts["digest"]),
            order=str(facts.get("order", "")),
            rater=str(facts["rater"]),
            choice=str(facts.get("choice", "")),
            score=None if score is None else float(score),
            at=str(facts.get("at", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None
