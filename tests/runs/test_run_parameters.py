"""Which parameters a notebook takes."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from llmops_kernel.errors import UsageProblem
from llmops_kernel.runs.parameters import check_parameters, known_parameters


def notebook(source: str | None) -> Any:
    cells = [new_code_cell("other = 1")]
    if source is not None:
        cells.append(new_code_cell(source, metadata={"tags": ["parameters"]}))
    return new_notebook(cells=cells)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("seed = 1\nmodel: str = 'm'  # which\n", ["seed", "model"]),
        ("a, b = 1, 2\nc = d = 3", ["a", "b", "c", "d"]),
        ("seed: int", ["seed"]),
        ("config = {\n    'x': 1,\n}\nprint(config)", ["config"]),
        ("", []),
        (None, []),
        # Not Python as it stands; papermill's reader goes line by line.
        ("%matplotlib inline\nseed = 1", ["seed"]),
    ],
)
def test_names_come_from_the_tagged_cell(source: str | None, names: list[str]) -> None:
    assert known_parameters(notebook(source)) == names


def test_a_misspelt_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageProblem) as caught:
        check_parameters(notebook("budget_usd = 1\nseed = 2"), ["seed", "bugdet_usd"], "a.ipynb")
    assert str(caught.value) == (
        "a.ipynb has no parameter 'bugdet_usd' (did you mean 'budget_usd'?)"
    )
    assert caught.value.hint == "It takes budget_usd, seed"


def test_a_notebook_without_a_tagged_cell_takes_none() -> None:
    with pytest.raises(UsageProblem, match="no parameter 'seed'") as caught:
        check_parameters(notebook(None), ["seed"])
    assert "parameters" in caught.value.hint


def test_a_language_nobody_can_read_is_not_refused() -> None:
    book = notebook("let seed = 1;")
    book.metadata["language_info"] = {"name": "rust"}
    assert known_parameters(book) is None
    check_parameters(book, ["seed"])
