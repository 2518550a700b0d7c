"""What a run has already learnt, line by line: resume and cache in one.

A line is written as soon as its verdict is there, so that a killed run pays at most for the calls
that were on their way; it is forced to the disk with others, so that a lost machine costs little.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from llmops_kernel.errors import StoreError
from llmops_kernel.judge.scores import Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORMAT = 1
_SYNC_EVERY = 64
# Not learnt but suffered: the next run tries again.
_FIELDS = tuple(field.name for field in fields(Score) if field.name != "sample_id")
_PASSING = {"budget", "error"}


def journal_key(
    sample: str, metric: str, version: str, judge: str, params: Mapping[str, Any], repeat: int
) -> str:
    """Return the key of a measurement: whatever changes its outcome changes the key."""
    parts = [sample, metric, version, judge, sorted(params.items()), repeat]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


class Journal:
    """An append-only JSONL file of scores.

    A last line that a kill has torn is cut off, other lines that cannot be read are left alone;
    `notes` tells of both. One run at a time writes a journal.

    Args:
        path: The file; made with its folder when it is not there.

    Raises:
        StoreError: It cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.notes: list[str] = []
        self._known: dict[str, Any] = {}
        self._waiting = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._read()
            except BaseException:
                os.close(self._file)
                raise
        except OSError as error:
            raise _unusable(self.path, error) from error
        self._open = True

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    @property
    def entries(self) -> Mapping[str, Any]:
        """What is kept, by key; not to be changed."""
        return self._known

    def scores(self, key: str, sample_id: str) -> list[Score] | None:
        """Return what was measured under a key, for a sample; None if nothing was."""
        found = self._known.get(key)
        if found is None:
            return None
        try:
            return [replace(_score(each), sample_id=sample_id) for each in found]
        except (TypeError, KeyError, AttributeError):
            self.notes.append(f"{self.path.name}: an entry of another form was measured again")
            return None

    def data(self, key: str) -> Any:
        """Return other data kept under a key; None if there is none."""
        return self._known.get(key)

    def add(self, key: str, scores: Sequence[Score]) -> bool:
        """Keep scores; return whether it is time to `sync`.

        Scores that a cap or a failure prevented are not kept.
        """
        if any(score.unscored in _PASSING for score in scores):
            return False
        return self.put(key, [_plain(score) for score in scores])

    def forget(self, key: str) -> None:
        """Take back what was kept under a key: the next run measures it again.

        The line stays, and one that follows it says so.

        Raises:
            StoreError: It cannot be written.
        """
        if key in self._known:
            self._write(key, None)
            del self._known[key]

    def put(self, key: str, data: Any) -> bool:
        """Keep JSON-like data; return whether it is time to `sync`.

        Raises:
            StoreError: It cannot be written: a run that cannot be resumed stops here.
        """
        self._write(key, data)
        self._known[key] = data
        return self._waiting >= _SYNC_EVERY

    def _write(self, key: str, data: Any) -> None:
        line = json.dumps({"v": _FORMAT, "key": key, "data": data}, separators=(",", ":"))
        try:
            rest = memoryview(f"{line}\n".encode())
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise _unusable(self.path, error) from error
        self._waiting += 1

    def sync(self) -> None:
        """Force what was added to the disk."""
        if self._waiting:
            self._waiting = 0
            try:
                os.fsync(self._file)
            except OSError as error:
                raise _unusable(self.path, error) from error

    def close(self) -> None:
        """Sync and close."""
        if self._open:
            self._open = False
            try:
                self.sync()
            finally:
                os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        whole = unread = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, whole)
                    self.notes.append(f"{self.path.name}: the last line was torn and dropped")
                    break
                whole += len(line)
                unread += not _take(self._known, line)
        if unread:
            self.notes.append(f"{self.path.name}: {unread} lines could not be read")


def read_journal(path: str | Path) -> dict[str, Any]:
    """Return what a journal holds by key, and leave the file as it is; {} where there is none.

    Raises:
        StoreError: It cannot be read.
    """
    file = Path(path).expanduser()
    known: dict[str, Any] = {}
    try:
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    _take(known, line)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(file, error) from error
    return known


def _take(known: dict[str, Any], line: bytes) -> bool:
    """Take a line's entry; return whether it is one of ours."""
    try:
        entry = json.loads(line)
        if entry["v"] != _FORMAT:
            return False
        known[entry["key"]] = entry["data"]
        if entry["data"] is None:  # taken back: see `Journal.forget`
            del known[entry["key"]]
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _plain(score: Score) -> dict[str, Any]:
    plain = {name: getattr(score, name) for name in _FIELDS}
    plain["verdicts"] = [
        {"text": each.text, "verdict": each.verdict, "evidence": each.evidence}
        for each in score.verdicts
    ]
    return {name: value for name, value in plain.items() if value not in (None, "", [], {})}


def _score(plain: Mapping[str, Any]) -> Score:
    values = dict(plain)
    values["verdicts"] = tuple(Verdict(**each) for each in values.get("verdicts", ()))
    return Score(sample_id="", **values)


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        "The journal of the run cannot be used",
        detail=f"{path}: {error.strerror or type(error).__name__}",
        hint="Give another path, or none",
    )
