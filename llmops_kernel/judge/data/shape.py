"""One row to one sample: names and types, checked."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.data.problems import Dataset, Problem, WrongRow, shown
from llmops_kernel.judge.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llmops_kernel.judge.data.rows import Row

_TEXTS = ("response", "reference", "cluster", "trace_id", "split")
_LISTS = ("retrieved_contexts", "reference_contexts", "tags")
_IDS = ("retrieved_context_ids", "reference_context_ids")
_KNOWN = {"id", "user_input", "human", "extra", *_TEXTS, *_LISTS, *_IDS}


def sample_of(row: Mapping[str, Any]) -> Sample:
    """Return the sample that a row with `Sample`'s names is; other names go to ``extra``.

    Null is as good as missing; numbers may stand for ids, and for nothing else.

    Raises:
        WrongRow: A field is missing or of another type.
    """
    name = _id(row.get("id"))
    question = _text(row, "user_input")
    if not question.strip():
        raise WrongRow("user_input is missing")
    extra = row.get("extra") or {}
    if not isinstance(extra, dict):
        raise WrongRow("extra is not an object", shown(extra))
    fields: dict[str, Any] = {field: _text(row, field) for field in _TEXTS}
    fields |= {field: _texts(row, field) for field in _LISTS}
    fields |= {field: _texts(row, field, numbers=True) for field in _IDS}
    return Sample(
        id=name,
        user_input=question,
        **fields,
        human=_human(row.get("human")),
        extra={**{k: v for k, v in row.items() if k not in _KNOWN and v is not None}, **extra},
    )


def row_of(sample: Sample) -> dict[str, Any]:
    """Return the row of a sample; fields that say nothing are left out."""
    row: dict[str, Any] = {"id": sample.id, "user_input": sample.user_input}
    for field in ("response", "retrieved_contexts", "retrieved_context_ids", "reference",
                  "reference_contexts", "reference_context_ids", "cluster", "tags", "trace_id",
                  "split"):  # fmt: skip
        if value := getattr(sample, field):
            row[field] = list(value) if isinstance(value, tuple) else value
    if sample.human:
        row["human"] = {metric: dict(said) for metric, said in sample.human.items()}
    if sample.extra:
        row["extra"] = dict(sample.extra)
    return row


def collect(
    rows: Iterable[Row],
    problems: list[Problem],
    convert: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
) -> Dataset:
    """Return the samples of rows.

    A row without an id gets one of what it asks (`made_id` of question and reference), so that the
    same questions have the same ids in the next file; the same question with another answer gets
    one of its own by its turn. A row that is there twice, word for word, counts once. Only an id
    that two different rows name is a problem.

    Args:
        rows: With their line numbers; problems of reading come into ``problems`` meanwhile.
        problems: What is wrong, also with rows that were none.
        convert: Renames the fields of another tool's row, and names it; raises `WrongRow`.
    """
    samples: dict[str, Sample] = {}
    places: dict[str, int] = {}
    made = again = 0
    for line, row in rows:
        name = ""
        try:
            row = dict(convert(row)) if convert else row
            name = row["id"] if isinstance(row.get("id"), str) else ""
            own = row.get("id") not in (None, "")
            sample = sample_of(row if own else {**row, "id": "-"})
            sample = sample if own else _named(sample, samples)
            name = sample.id
            if name not in samples:
                samples[name], places[name] = sample, line
                made += not own
            elif samples[name] == sample:
                again += 1
            else:
                raise WrongRow("the id is used twice", f"first in line {places[name]}")
        except WrongRow as wrong:
            problems.append(Problem(line, wrong.reason, shown(name), wrong.detail))
    notes = []
    if made:
        notes.append(f"{_rows(made, 'has', 'have')} no id and got one made of the question")
    if again:
        told = _rows(again, "repeats an earlier one and counts", "repeat an earlier one and count")
        notes.append(f"{told} once")
    found = tuple(sorted(problems, key=lambda p: p.line))
    return Dataset(tuple(samples.values()), found, tuple(notes))


def _named(sample: Sample, known: Mapping[str, Sample]) -> Sample:
    """Return a sample with an id of what it asks, and of its turn where that id is another's."""
    turn = 1
    while True:
        parts = (sample.user_input, sample.reference or None, *([turn] if turn > 1 else ()))
        named = replace(sample, id=made_id(*parts))
        if named.id not in known or known[named.id] == named:
            return named
        turn += 1


def _rows(number: int, one: str, more: str) -> str:
    return f"1 row {one}" if number == 1 else f"{number:,} rows {more}"


def made_id(*parts: object) -> str:
    """Return an id (hex, 16 characters) that the same content always gets.

    Rows of tools that know no ids can so be compared between runs: it is made of what was asked,
    never of what was answered.
    """
    text = json.dumps(parts, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _id(value: Any) -> str:
    if value is None or value == "":
        raise WrongRow("id is missing")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise WrongRow("id is not a text", shown(value))
    return str(value)


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WrongRow(f"{field} is not a text", shown(value))
    return value


def _texts(row: Mapping[str, Any], field: str, *, numbers: bool = False) -> tuple[str, ...]:
    value = row.get(field)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise WrongRow(f"{field} is not a list of texts", shown(value))
    for each in value:
        if isinstance(each, str) or (numbers and isinstance(each, int) and each is not True):
            continue
        raise WrongRow(f"{field} is not a list of texts", shown(each))
    return tuple(str(each) for each in value)


def _human(value: Any) -> dict[str, dict[str, Any]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WrongRow("human is not an object of metrics", shown(value))
    for metric, said in value.items():
        if not isinstance(said, dict) or not said.keys() & {"score", "label"}:
            raise WrongRow("human has neither score nor label", f"{metric}: {shown(said)}")
        score = said.get("score")
        if score is not None and (
            isinstance(score, bool) or not isinstance(score, int | float) or not _finite(score)
        ):
            raise WrongRow("a human score is not a number", f"{metric}: {shown(score)}")
    return value


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond what a float can hold
        return False
