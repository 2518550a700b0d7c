"""Tab completion, asked as a front end asks."""

import subprocess
import sys

import pytest

from llmops_kernel.magics.complete import _runs


@pytest.fixture
def complete(shell):
    """Complete at the end of a text, or at a cursor; returns (new text up to the cursor) each."""
    from IPython.core.completer import provisionalcompleter

    def texts(source, cursor=None):
        cursor = len(source) if cursor is None else cursor
        with provisionalcompleter():
            found = list(shell.Completer.completions(source, cursor))
        return [source[: each.start] + each.text for each in found]

    return texts


def test_subcommands(complete):
    assert complete("%budget r") == ["%budget raise", "%budget resume"]
    assert complete("%llmops ") == [
        "%llmops status", "%llmops doctor", "%llmops version", "%llmops endpoint",
    ]  # fmt: skip


def test_flags_of_a_cell_magic(complete):
    assert complete("%%ask --m") == ["%%ask --model", "%%ask --max-tokens", "%%ask --max-usd"]
    assert "%%ask --dry-run" in complete("%%ask -")


def test_a_second_flag_leaves_out_the_first(complete):
    found = complete("%%ask -m sim/gpt-4o --m")
    assert found == [f"%%ask -m sim/gpt-4o --{name}" for name in ("max-tokens", "max-usd")]


def test_on_a_later_line_and_after_an_assignment(complete):
    assert complete("x = 1\n%budget set 1 --pe") == ["x = 1\n%budget set 1 --per"]
    assert complete("answer = %ask --thi") == ["answer = %ask --think"]


def test_in_the_middle_of_a_cell(complete):
    source = "%%ask --thi\nWhat is it?"
    assert complete(source, cursor=11) == ["%%ask --think"]


def test_flags_belong_to_their_subcommand(complete):
    assert complete("%budget set 1 --s") == ["%budget set 1 --scope"]
    assert complete("%budget history --s") == ["%budget history --s"]
    assert complete("%budget --o") == ["%budget --out"]


def test_values_of_choices(complete):
    assert complete("%budget set 1 --per ") == [
        f"%budget set 1 --per {name}" for name in ("hour", "day", "month", "total")
    ]
    assert complete("%budget set 1 --per=mo") == ["%budget set 1 --per=month"]


def test_models_without_a_session_are_the_built_in_ones(complete):
    assert complete("%%ask -m sim/gpt-4o-") == ["%%ask -m sim/gpt-4o-mini"]
    assert complete("%%ask --model=off") == ["%%ask --model=offline/extractive"]
    assert "%%ask -m offline/extractive" in complete("%%ask -m ")


def test_a_flag_that_names_a_variable(shell, complete):
    shell.user_ns["few_shot_pairs"] = []
    assert complete("%%ask --examples ") == ["%%ask --examples few_shot_pairs"]
    assert complete("%%ask --schema few") == ["%%ask --schema few_shot_pairs"]


def test_traces(complete):
    assert complete("%trace l") == ["%trace last", "%trace list"]


def test_other_lines_are_left_alone(complete, shell):
    shell.user_ns["budget_left"] = 1
    assert complete("budget_l") == ["budget_left"]
    assert not [text for text in complete("%timeit --m") if "--model" in text]
    assert not [text for text in complete("%%ask\n--mod") if "--model" in text]


@pytest.fixture
def runs(workplace):
    """Runs of three models."""
    for name, run_id in (("router", "20260101-1"), ("judge-small", "20260102-1"),
                         ("router", "20260103-1"), ("other", "20260101-2")):  # fmt: skip
        folder = workplace / "home" / "finetune" / name / run_id
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    (workplace / "home" / "finetune" / "empty").mkdir()


@pytest.mark.parametrize("verb", ["status", "stop", "resume", "logs", "preflight", "list"])
def test_names_of_runs_newest_first(runs, complete, verb):
    assert complete(f"%finetune {verb} ") == [
        f"%finetune {verb} {name}" for name in ("router", "judge-small", "other")
    ]
    assert complete(f"%finetune {verb} ju") == [f"%finetune {verb} judge-small"]
    assert complete(f"%finetune {verb} router --o") == [f"%finetune {verb} router --out"]


def test_one_run_of_a_name(runs, complete):
    assert complete("%finetune logs -n 9 router/") == [
        f"%finetune logs -n 9 router/{run}" for run in ("20260103-1", "20260101-1")
    ]
    assert _runs("../") == _runs("*/") == _runs("[r]outer/") == []
    assert complete("%%finetune ro") == ["%%finetune router"]


def test_names_of_servers(complete, workplace):
    for name in ("support", "router"):
        folder = workplace / "home" / "serving" / name
        folder.mkdir(parents=True)
        (folder / "engine.json").write_text("{}")
    for verb in ("stop", "health", "logs", "scale", "bench"):
        assert complete(f"%serve {verb} ") == [f"%serve {verb} {n}" for n in ("router", "support")]
    assert complete("%serve stop s") == ["%serve stop support"]


def test_a_key_press_imports_no_training(runs, complete):
    code = (
        "import sys, llmops_kernel.magics.complete as c\n"
        "assert c._runs('') == ['router', 'judge-small', 'other']\n"
        "assert not {'llmops_kernel.finetune', 'llmops_kernel.session'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
