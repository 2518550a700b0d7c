"""What became of every row."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Manifest:
    """The data of a run, counted.

    Attributes:
        source: Path as it was given.
        source_sha256: Hash of the source, "" for the record.
        format: Form of the rows.
        read: Rows and faulty rows that were read.
        train: Rows to train on.
        eval: Rows to evaluate on.
        dropped: Rows that were left out, by reason.
        examples: For each reason a few line numbers (never contents).
        personal: Personal data that was found, by kind.
        personal_policy: What was done about it.
        near_copies: Evaluation rows that differ from a training row by a word or two.
        conflicts: Questions that have several answers.
        labels: Rows by class, most frequent first (``task: classify``).
        train_sha256: Hash of the rows to train on, as written.
        eval_sha256: Hash of those to evaluate on, "" for none.
        split_seed: Seed of the split.
    """

    source: str
    source_sha256: str
    format: str
    read: int
    train: int
    eval: int
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[int]] = field(default_factory=dict)
    personal: dict[str, int] = field(default_factory=dict)
    personal_policy: str = "keep"
    near_copies: int = 0
    conflicts: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    train_sha256: str = ""
    eval_sha256: str = ""
    split_seed: int = 0

    def plain(self) -> dict[str, Any]:
        """Return the manifest as JSON-like data."""
        return asdict(self)
