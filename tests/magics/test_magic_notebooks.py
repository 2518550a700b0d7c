"""Errors as notebooks save them: in nbclient, papermill and nbval, on disk."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from llmops_kernel import errors

pytestmark = pytest.mark.notebook

LOAD = "%load_ext llmops_kernel"
MONEY = "scope='user', window='day', book='real', limit=1, spent=1, held=0, needed=1"
RAISES = {
    "BadRequest": "errors.BadRequest('It happened', param='n', hint='Do this')",
    "BudgetExceeded": f"errors.BudgetExceeded('It happened', {MONEY}, hint='Do this')",
    "EnvironmentFailed": "errors.EnvironmentFailed('trl')",
    "MissingEnvironment": "errors.MissingEnvironment('trl')",
    "MissingExtra": "errors.MissingExtra('rag', 'chromadb')",
}
# Those that make their sentence themselves.
TOLD = {
    "EnvironmentFailed": (
        "The environment 'trl' could not be made",
        "Free some disk or repair the connection, then make it again: llmops env create trl",
    ),
    "MissingEnvironment": (
        "This needs the environment 'trl', which was not made yet",
        "llmops env create trl",
    ),
    "MissingExtra": (
        "This needs the package chromadb, which is not installed",
        'pip install "llmops-kernel[rag]"',
    ),
}
CLASSES = sorted(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.LLMOpsError)
)


def notebook(*sources):
    made = new_notebook(cells=[new_code_cell(source) for source in sources])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


@pytest.fixture(autouse=True)
def quiet_jupyter(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """One notebook that raises every class of the tree, each in a cell of its own."""
    from nbclient import NotebookClient

    plain = "errors.{}('It happened', hint='Do this')"
    sources = [f"raise {RAISES.get(name) or plain.format(name)}" for name in CLASSES]
    made = notebook(LOAD, "from llmops_kernel import errors", *sources)
    folder = tmp_path_factory.mktemp("executed")
    env = {**os.environ, "IPYTHONDIR": str(folder), "LLMOPS_HOME": str(folder)}
    client = NotebookClient(made, timeout=60, kernel_name="python3", allow_errors=True)
    client.execute(env=env, cwd=str(folder))
    return dict(zip(CLASSES, made.cells[2:], strict=True))


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_saved_as_an_error_of_two_lines(executed, name):
    (output,) = [each for each in executed[name].outputs if each.output_type == "error"]
    message, hint = TOLD.get(name, ("It happened", "Do this"))
    assert (output.ename, output.evalue) == (name, message)
    assert output.traceback == [f"{name}: {message}", f"→ {hint}"]
    assert not [each for each in executed[name].outputs if each.output_type == "stream"]


def test_papermill_fails_and_saves_the_error(tmp_path):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook(LOAD, "%budget rasie 1", "print('not reached')"), source)
    with pytest.raises(PapermillExecutionError, match="did you mean 'raise'"):
        papermill.execute_notebook(source, target, progress_bar=False)
    saved = nbformat.read(target, as_version=4)
    (failed,) = [cell for cell in saved.cells if cell.source.startswith("%budget")]
    assert failed.metadata.papermill.status == "failed"
    (output,) = failed.outputs
    assert output.ename == "UsageProblem"
    assert output.traceback[1].startswith("→ Subcommands: ")


def test_nbval_fails_the_cell_with_the_message(tmp_path):
    path = tmp_path / "wrong.ipynb"
    nbformat.write(notebook(LOAD, "%budget rasie 1"), path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax",
         "--nbval-current-env", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), str(path)],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "UsageProblem: 'rasie' is not a subcommand of %budget" in done.stdout


def test_a_foreign_error_keeps_its_name_and_is_explained_beside_it(tmp_path):
    from nbclient import NotebookClient

    source = (
        "from llmops_kernel.errors import LoopDetected\n"
        "refusal = LoopDetected('The same call came 100 times')\n"
        "raise RuntimeError(refusal.body()['error']['message'])"
    )
    made = notebook(LOAD, source)
    NotebookClient(made, timeout=60, kernel_name="python3", allow_errors=True).execute()
    stream, error = sorted(made.cells[1].outputs, key=lambda each: each.output_type, reverse=True)
    assert error.ename == "RuntimeError"
    assert stream.name == "stderr"
    assert stream.text == (
        "llmops: Stopped before anything was spent: The same call came 100 times.\n"
    )
