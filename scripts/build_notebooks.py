"""Builds notebooks/*.ipynb from notebooks/src/*.py (jupytext percent) and executes them.

Usage: python scripts/build_notebooks.py [NAME ...] [--check]

The result is what GitHub shows and what nbval compares: executed offline, with stable cell ids,
without times, run ids or machine paths. ``--check`` only says whether source and notebook agree.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC")
# Where the side environments and a built engine are: of the machine, not of the builder.
_MACHINE = ("LLMOPS_ENVS", "LLMOPS_LLAMA_SERVER")
_KERNEL = {"display_name": "Python (llmops)", "language": "python", "name": "llmops"}


def convert(source: Path) -> Any:
    """Return the notebook of a source file, not executed."""
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.NotebookNode(
        {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("%%"):
            cell.source = _uncommented(cell.source)
        # An id that stays while the cell stays: diffs and cost records keep their place.
        seen[cell.source] += 1
        digest = hashlib.blake2b(f"{seen[cell.source]}\n{cell.source}".encode(), digest_size=4)
        cell.id = digest.hexdigest()
    return notebook


def _uncommented(source: str) -> str:
    """Return a cell magic with its body, which the source file keeps in comments.

    jupytext does so for the magics it knows; without comments the file would not be Python.
    """
    first, *body = source.split("\n")
    return "\n".join([first, *(line.removeprefix("#").removeprefix(" ") for line in body)])


def build(source: Path) -> None:
    """Execute a source file and write its notebook."""
    from llmops_kernel.runs import run_notebook

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"{source.stem}.ipynb"
        nbformat.write(convert(source), plain)
        for name in [name for name in os.environ if name.startswith("LLMOPS_")]:
            if name not in _MACHINE:
                del os.environ[name]  # the builder's own settings would show in the outputs
        os.environ["LLMOPS_HOME"] = str(Path(folder) / "home")
        # No budget: it would be one more cap in what the notebooks show, which nbval's run lacks.
        result = run_notebook(plain, out_dir=Path(folder) / "out", run_id=source.stem)
        if not result.ok:
            sys.exit(f"{source.name}: {result.error}")
        notebook = nbformat.read(result.output, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("llmops", None)
    for cell in notebook.cells:
        keep = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        cell.metadata = nbformat.NotebookNode(keep)
        for output in cell.get("outputs", ()):
            if "metadata" in output:  # ids and prices of the moment
                output.metadata = nbformat.NotebookNode()
            if "traceback" in output:
                output.traceback = [_TIME.sub("…", line) for line in output.traceback]
    nbformat.write(notebook, NOTEBOOKS / f"{source.stem}.ipynb")
    print(f"{source.stem}: {result.calls} calls, ${result.simulated_usd} simulated")  # noqa: T201


def in_step(source: Path) -> bool:
    """Whether the notebook holds the cells of its source, all of them executed."""
    path = NOTEBOOKS / f"{source.stem}.ipynb"
    if not path.exists():
        return False
    wanted = [(c.id, c.cell_type, c.source) for c in convert(source).cells]
    built = nbformat.read(path, as_version=4).cells
    executed = all(c.execution_count for c in built if c.cell_type == "code")
    return executed and wanted == [(c.id, c.cell_type, c.source) for c in built]


def main() -> None:
    """Build or check the notebooks named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    sources = sorted((NOTEBOOKS / "src").glob("*.py"))
    if options.names:
        sources = [source for source in sources if source.stem in options.names]
    if options.check:
        stale = [source.stem for source in sources if not in_step(source)]
        sys.exit(f"Run `make notebooks`: {', '.join(stale)}" if stale else 0)
    for source in sources:
        build(source)


if __name__ == "__main__":
    main()
