import atexit
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder and a record of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("LLMOPS_CONFIG", "LLMOPS_STATIC", "LLMOPS_RUN_ID", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    module = sys.modules.get("llmops_kernel.session")
    session = module.active_session() if module else None
    if session is not None:
        session.close()
        module.set_current(None)


@pytest.fixture
def bare_shell(workplace):
    """A fresh shell, as IPython makes it."""
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell(config=config, colors="nocolor")
    yield made
    made.restore_sys_module_state()
    # At exit each shell would collect garbage, over all that hundreds of tests have left.
    atexit.unregister(made.atexit_operations)


@pytest.fixture
def shell(bare_shell):
    """A fresh shell with the extension, and without a session."""
    bare_shell.run_line_magic("load_ext", "llmops_kernel")
    yield bare_shell
    bare_shell.run_line_magic("unload_ext", "llmops_kernel")


@pytest.fixture
def run(shell, capsys):
    """Run a cell; its result has what was written as .stdout and .stderr."""

    def run_cell(source, cell_id=None):
        capsys.readouterr()
        result = shell.run_cell(source, store_history=True, cell_id=cell_id)
        result.stdout, result.stderr = capsys.readouterr()
        return result

    return run_cell
