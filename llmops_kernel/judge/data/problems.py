"""What is wrong with a row of a data set, and a data set with its problems."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.judge.samples import Sample

_SHOWN = 160  # characters of a value that a problem tells


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that is not in the set, or not whole.

    Attributes:
        line: Where it stands in its file, from 1; its place, where there is no file.
        reason: What is wrong: one of a few stable sentences, without figures.
        id: The row's id, "" where it has none.
        detail: What was found.
    """

    line: int
    reason: str
    id: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        name = f" ({self.id})" if self.id else ""
        return f"line {self.line}{name}: {self.reason}{f': {self.detail}' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples, and the rows that are none.

    Attributes:
        samples: In the order of the file; ids are unique.
        problems: In the order of the file.
        notes: What was done to rows that are whole, for people: ids that were made, repeated rows.
    """

    samples: tuple[Sample, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many problems there are, by reason, most frequent first."""
        return dict(Counter(problem.reason for problem in self.problems).most_common())

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples."""
        return iter(self.samples)


class WrongRow(Exception):
    """A row that cannot be a sample; carries (reason, detail).

    It never leaves this room: whoever reads rows turns it into a `Problem`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """Return a value as people are shown it: one line, cut."""
    # The start is cut off first: the whole of a huge value need not be written out.
    text = value[: 2 * _SHOWN] if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
