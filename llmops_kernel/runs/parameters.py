"""A notebook's parameters: which it takes, and which it was given."""

# papermill and nbformat have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TAG = "parameters"
INJECTED_TAG = "injected-parameters"


def known_parameters(notebook: Any) -> list[str] | None:
    """Return the names that the cell tagged ``parameters`` assigns.

    None when there is such a cell but nothing can be said about it (it is not Python).
    """
    cells = tagged(notebook, _TAG)
    if not cells:
        return []
    try:
        tree = ast.parse(cells[0].source)
    except SyntaxError:
        return _inspected(notebook, cells[0])
    return list(dict.fromkeys(name for node in tree.body for name in _assigned(node)))


def _assigned(node: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):  # `seed: int` without a value asks for one
        targets = [node.target]
    for target in targets:
        for leaf in ast.walk(target):
            if isinstance(leaf, ast.Name):
                yield leaf.id


def _inspected(notebook: Any, cell: Any) -> list[str] | None:
    """Ask papermill's translators, which read lines of many languages (and skip magics)."""
    from papermill.exceptions import PapermillException
    from papermill.translators import papermill_translators

    metadata = notebook.metadata
    language = metadata.get("language_info", {}).get("name") or "python"
    kernel = metadata.get("kernelspec", {}).get("name", "")
    try:
        found = papermill_translators.find_translator(kernel, language).inspect(cell)
    except (PapermillException, NotImplementedError):
        return None
    return [parameter.name for parameter in found]


def check_parameters(notebook: Any, given: Iterable[str], name: str = "The notebook") -> None:
    """Refuse parameters that the notebook does not take.

    A misspelt name would be injected beside the real one, which keeps its default.

    Raises:
        UsageProblem: A name is unknown; says the nearest one.
    """
    known = known_parameters(notebook)
    if known is None:
        return
    for parameter in given:
        if parameter in known:
            continue
        hint = f"It takes {', '.join(known)}" if known else 'Tag one of its cells "parameters"'
        raise UsageProblem(
            f"{name} has no parameter {parameter!r}{nearest(parameter, known)}", hint=hint
        )


def tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells with a tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
