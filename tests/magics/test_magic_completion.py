"""Tab completion, asked as a front end asks."""

import pytest


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
