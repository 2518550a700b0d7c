"""Which notebooks to run, and where their outputs go."""

# nbformat has no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.runs.parameters import check_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Plan:
    """A notebook, and where its executed copy goes."""

    source: Path
    output: Path


def make_plans(
    paths: Sequence[Path | str],
    out_dir: Path,
    parameters: Mapping[str, Any],
    kernel: str | None = None,
) -> list[Plan]:
    """Check everything that can be checked before a kernel starts.

    Raises:
        UsageProblem: Something cannot be run, or not with these parameters, or not saved there.
    """
    if not paths:
        raise UsageProblem("No notebook was named", hint="llmops run notebook.ipynb")
    plans: list[Plan] = []
    taken: set[Path] = set()
    for path in map(Path, paths):
        notebook = read_notebook(path)
        if kernel is None:
            _check_language(notebook, path)
        check_parameters(notebook, parameters, path.name)
        output = _free_name(out_dir / path.name, taken)
        if output.resolve() == path.resolve():
            raise UsageProblem(
                "The output would replace the notebook",
                detail=str(path),
                hint="Choose another --out",
            )
        plans.append(Plan(path, output))
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(
            "The output folder cannot be made", detail=f"{out_dir}: {error.strerror or error}"
        ) from error
    return plans


def _check_language(notebook: Any, path: Path) -> None:
    metadata = notebook.metadata
    language = (
        metadata.get("language_info", {}).get("name")
        or metadata.get("kernelspec", {}).get("language")
        or "python"
    )
    if language.lower() not in ("python", "ipython"):
        raise UsageProblem(
            f"{path} is written in {language}, which the llmops kernel does not run",
            hint="Name its kernel with --kernel; what it spends is not capped then",
        )


def _free_name(wanted: Path, taken: set[Path]) -> Path:
    """Return an output path that no other notebook of this call has."""
    path, number = wanted, 2
    while path in taken:
        path = wanted.with_stem(f"{wanted.stem}-{number}")
        number += 1
    taken.add(path)
    return path


def read_notebook(path: Path) -> Any:
    """Read a notebook.

    Raises:
        UsageProblem: There is no such file, or it is something else.
    """
    if path.is_dir():
        raise UsageProblem(
            f"{path} is a folder", hint=f"Name its notebooks: llmops run {path}/*.ipynb"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageProblem(f"There is no notebook {path}", hint=_beside(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path} cannot be read", detail=str(error)) from error
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook, relax_add_props=True)
    except Exception as error:
        raise UsageProblem(
            f"{path} is not a notebook",
            detail=(str(error).strip() or type(error).__name__).splitlines()[0],
            hint="llmops run takes .ipynb files",
        ) from error
    return notebook


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either"
    found = sorted(each.name for each in path.parent.glob("*.ipynb"))
    return f"Check the name{nearest(path.name, found)}"
