"""Hugging Face `datasets`, in and out."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import MissingExtra
from llmops_kernel.judge.data.importers.ragas import renamed
from llmops_kernel.judge.data.problems import Dataset, Problem, WrongRow
from llmops_kernel.judge.data.rows import parse
from llmops_kernel.judge.data.shape import collect, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmops_kernel.judge.data.rows import Row
    from llmops_kernel.judge.samples import Sample

_LISTS = (
    "retrieved_contexts",
    "retrieved_context_ids",
    "reference_contexts",
    "reference_context_ids",
    "tags",
)
_TEXTS = ("id", "user_input", "response", "reference", "cluster", "trace_id", "split")
# Rows may differ in what these hold, and Arrow's columns may not: they travel as JSON.
_JSON = ("human", "extra")


def to_datasets(samples: Iterable[Sample]) -> Any:
    """Return samples as a ``datasets.Dataset``; ``human`` and ``extra`` are JSON texts in it.

    Raises:
        MissingExtra: The package datasets is not installed.
    """
    datasets = _datasets()
    text = datasets.Value("string")
    features = datasets.Features(
        dict.fromkeys((*_TEXTS, *_JSON), text) | {name: datasets.List(text) for name in _LISTS}
    )
    columns: dict[str, list[Any]] = {name: [] for name in features}
    for sample in samples:
        row = row_of(sample)
        for name, values in columns.items():
            if name in _JSON:
                values.append(json.dumps(row.get(name, {}), ensure_ascii=False))
            else:
                values.append(row.get(name, [] if name in _LISTS else ""))
    return datasets.Dataset.from_dict(columns, features=features)


def from_datasets(source: Any) -> Dataset:
    """Return the samples of a ``datasets.Dataset`` or ``DatasetDict``.

    `Sample`'s names and Ragas' old ones are read; of a DatasetDict, each sample gets the name of
    its part as ``split``. Rows without an id get one made of question and reference.

    Raises:
        MissingExtra: The package datasets is not installed.
    """
    datasets = _datasets()
    problems: list[Problem] = []

    def rows() -> Iterator[Row]:
        parts = source if isinstance(source, datasets.DatasetDict) else {"": source}
        line = 0
        for split, part in parts.items():
            for row in part:
                line += 1
                given = {"split": split, **row} if not row.get("split") else row
                yield line, {**given, "split": given.get("split") or split}

    return collect(rows(), problems, _renamed)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    row = dict(row)
    for name in _JSON:
        value = row.get(name)
        if isinstance(value, str):
            try:
                row[name] = parse(value) if value.strip() else None
            except WrongRow as wrong:
                raise WrongRow(f"{name} is not JSON", wrong.detail) from None
    return renamed(row)


def _datasets() -> Any:
    try:
        return import_module("datasets")
    except ImportError:
        raise MissingExtra("finetune", "datasets") from None
