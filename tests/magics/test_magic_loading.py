"""Loading and unloading: what is imported, added and taken out."""

import json
import subprocess
import sys

import pytest

import llmops_kernel
from llmops_kernel.errors import LLMOpsError, UsageProblem

HEAVY = [
    "aiohttp", "genai_prices", "jsonschema", "llmops_kernel.session", "llmops_kernel.settings",
    "nbclient", "nbformat", "openai", "papermill", "pydantic", "sqlite3.dbapi2", "zoneinfo",
]  # fmt: skip

_PROBE = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell(config=config)
before = set(sys.modules)
shell.run_line_magic("load_ext", "llmops_kernel")
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_loading_imports_nothing_heavy(workplace):
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "llmops_kernel.magics.budget" in loaded
    assert not set(HEAVY) & set(loaded)
    assert not [name for name in loaded if name.startswith("llmops_kernel.store")]


def test_all_is_sorted_complete_and_real():
    names = llmops_kernel.__all__
    assert names == sorted(names)
    for name in names:
        assert getattr(llmops_kernel, name) is not None
    assert set(names) <= set(dir(llmops_kernel))
    annotated = [
        name
        for name, value in vars(llmops_kernel).items()
        if isinstance(value, type) and value.__module__.startswith("llmops_kernel")
    ]
    assert set(annotated) <= set(names)


def test_public_errors_are_those_of_the_tree():
    errors = [
        name
        for name in llmops_kernel.__all__
        if isinstance(value := getattr(llmops_kernel, name), type)
        and issubclass(value, LLMOpsError)
    ]
    assert {"BudgetExceeded", "LLMOpsError", "UsageProblem"} <= set(errors)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Sesion'"):
        _ = llmops_kernel.Sesion


def test_loading_twice_changes_nothing(shell):
    callbacks = [list(each) for each in shell.events.callbacks.values()]
    matchers = list(shell.Completer.custom_matchers)
    transformers = list(shell.input_transformers_post)
    llmops_kernel.load_ipython_extension(shell)
    assert [list(each) for each in shell.events.callbacks.values()] == callbacks
    assert shell.Completer.custom_matchers == matchers
    assert shell.input_transformers_post == transformers


def test_unloading_leaves_the_shell_as_it_was(bare_shell):
    def state():
        return {
            "line": set(bare_shell.magics_manager.magics["line"]),
            "cell": set(bare_shell.magics_manager.magics["cell"]),
            "events": [list(each) for each in bare_shell.events.callbacks.values()],
            "matchers": list(bare_shell.Completer.custom_matchers),
            "post": list(bare_shell.input_transformers_post),
            "config": [type(each).__name__ for each in bare_shell.configurables],
        }

    before = state()
    bare_shell.extension_manager.load_extension("llmops_kernel")
    assert {"llmops", "budget", "ask", "trace"} <= state()["line"]
    bare_shell.extension_manager.unload_extension("llmops_kernel")
    assert state() == before
    llmops_kernel.unload_ipython_extension(bare_shell)  # a second time is no error


def test_unloading_leaves_a_magic_that_replaced_ours(shell):
    def budget(line):
        return "theirs"

    shell.register_magic_function(budget, "line")
    shell.run_line_magic("unload_ext", "llmops_kernel")
    assert shell.run_line_magic("budget", "") == "theirs"
    shell.run_line_magic("load_ext", "llmops_kernel")


def test_reloading_works(shell, run):
    assert run("%reload_ext llmops_kernel").success
    assert run("%llmops version").success


@pytest.mark.parametrize("name", ["budget", "trace", "llmops", "cache"])
def test_a_line_magic_as_a_cell_fails_the_cell(run, name):
    done = run(f"%%{name} set 1\nbody")
    assert isinstance(done.error_in_exec, UsageProblem)
    assert f"%{name} has no cell form" in str(done.error_in_exec)
