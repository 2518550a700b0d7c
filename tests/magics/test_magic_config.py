"""``%config LLMOps``: before the first use, and after it."""

import pytest

from llmops_kernel import LLMOpsError, UsageProblem, current_session
from llmops_kernel.magics.results import Page


def test_a_model_given_before_the_first_use(run):
    run("%config LLMOps.model = 'sim/gpt-4o'")
    assert isinstance(run("%llmops status").result, Page)
    assert current_session().settings.model == "sim/gpt-4o"


def test_a_model_given_before_python_code_makes_the_session(run):
    run("%config LLMOps.model = 'sim/gpt-4o'")
    run("from llmops_kernel import current_session\nanswer = current_session().ask('hi')")
    assert current_session().settings.model == "sim/gpt-4o"
    assert run("answer.simulated").result is True


def test_unloading_forgets_what_was_chosen(bare_shell):
    bare_shell.run_line_magic("load_ext", "llmops_kernel")
    bare_shell.run_line_magic("config", "LLMOps.model = 'sim/gpt-4o'")
    bare_shell.run_line_magic("unload_ext", "llmops_kernel")
    assert current_session().settings.model == "offline/extractive"


def test_a_change_reaches_the_session_there_is(run):
    run("%llmops status")
    session = current_session()
    run("%config LLMOps.model = 'sim/gpt-4o-mini'")
    assert current_session() is session
    assert session.settings.model == "sim/gpt-4o-mini"
    assert run("%ask hi").result.simulated


def test_settings_of_a_configuration_file(bare_shell):
    bare_shell.config.LLMOps.model = "sim/gpt-4o"
    bare_shell.run_line_magic("load_ext", "llmops_kernel")
    assert bare_shell.run_line_magic("llmops", "status")["model"] == "sim/gpt-4o"
    bare_shell.run_line_magic("unload_ext", "llmops_kernel")


def test_a_wrong_value_changes_nothing(run, shell):
    run("%llmops status")
    run("%config LLMOps.tracebacks = 'long'")
    assert run("%config LLMOps.tracebacks").result is None
    assert current_session().settings.tracebacks == "short"


def test_full_tracebacks_and_back(run):
    run("%config LLMOps.tracebacks = 'full'")
    full = run("%budget rasie")
    assert type(full.error_in_exec) is UsageProblem
    assert "Traceback (most recent call last)" in full.stdout
    assert "_base.py" in full.stdout
    run("%config LLMOps.tracebacks = 'short'")
    assert len(run("%budget rasie").stdout.strip().splitlines()) == 2


def test_full_tracebacks_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("LLMOPS_TRACEBACKS", "full")
    run("%llmops status")
    assert "Traceback (most recent call last)" in run("%budget rasie").stdout


def test_unloading_shows_errors_short_again(shell, run):
    short = LLMOpsError._render_traceback_
    run("%config LLMOps.tracebacks = 'full'")
    assert LLMOpsError._render_traceback_ is not short
    run("%unload_ext llmops_kernel")
    assert LLMOpsError._render_traceback_ is short
    run("%load_ext llmops_kernel")


def test_the_notebooks_name_comes_from_jupyter(run, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "course/01.ipynb")
    run("%llmops status")
    assert current_session().settings.notebook == "course/01.ipynb"


def test_a_name_in_the_environment_goes_before_jupyters(run, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "course/01.ipynb")
    monkeypatch.setenv("LLMOPS_NOTEBOOK", "given.ipynb")
    run("%llmops status")
    assert current_session().settings.notebook == "given.ipynb"


@pytest.mark.parametrize("value", ["7", "None"])
def test_what_is_no_model_name_is_left_out(run, value):
    run(f"%config LLMOps.model = {value}")
    assert run("%llmops status").result["model"] == "offline/extractive"
