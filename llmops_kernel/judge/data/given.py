"""A data set in whatever form it is at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.data.load import load
from llmops_kernel.judge.data.problems import Dataset, Problem
from llmops_kernel.judge.data.shape import collect
from llmops_kernel.judge.samples import Sample

_FORMS = "Give a JSONL file, samples, or rows with id, user_input, response, ..."


def dataset_of(given: Any) -> Dataset:
    """Return a data set.

    Args:
        given: A path, a `Dataset`, samples, rows with `Sample`'s names, a ``datasets.Dataset``, or
            a table that has ``to_dict("records")``. Rows without an id are numbered from 1.

    Raises:
        UsageProblem: It is something else, cannot be read, or holds no sample.
    """
    found = _dataset(given)
    if not found.samples:
        raise UsageProblem(
            "There is no sample in the data set",
            detail=str(found.problems[0]) if found.problems else "",
            hint=_FORMS,
        )
    return found


def _dataset(given: Any) -> Dataset:
    if isinstance(given, Dataset):
        return given
    if isinstance(given, str | Path):
        return load(given)
    if isinstance(given, Sample):
        return Dataset((given,))
    if hasattr(given, "column_names"):
        from llmops_kernel.judge.data.importers import from_datasets

        return from_datasets(given)
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.to_dict("records")
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageProblem("This is no data set", detail=type(given).__name__, hint=_FORMS)
    rows = list(given)
    if all(isinstance(each, Sample) for each in rows):
        _unique(rows)
        return Dataset(tuple(rows))
    if not all(isinstance(each, Mapping) for each in rows):
        raise UsageProblem("This is no data set", detail=type(given).__name__, hint=_FORMS)
    problems: list[Problem] = []
    return collect(((n, {"id": str(n), **each}) for n, each in enumerate(rows, start=1)), problems)


def _unique(samples: list[Sample]) -> None:
    seen: set[str] = set()
    for each in samples:
        if each.id in seen:
            raise UsageProblem("Two samples have the same id", detail=each.id)
        seen.add(each.id)
