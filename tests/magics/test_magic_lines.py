"""Lines: flags, values, subcommands, help, and the two lines a mistake is answered with."""

from decimal import Decimal
from typing import get_args

import pytest
from IPython.core.error import UsageError

from llmops_kernel import settings
from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics import _base, _flags
from llmops_kernel.magics import budget as budget_magic
from llmops_kernel.magics.ask import AskMagics
from llmops_kernel.magics.budget import BudgetMagics

MISTAKES = [
    (
        "%budget rasie 1",
        "'rasie' is not a subcommand of %budget (did you mean 'raise'?)",
        "Subcommands: show, set, raise, stop, resume, history",
    ),
    (
        "%budget set 1 --pre day",
        "--pre is not a flag of %budget set (did you mean '--per'?)",
        "%budget set --help shows what it takes",
    ),
    (
        "%budget set 1 --per dya",
        "--per does not take 'dya' (did you mean 'day'?)",
        "Choose hour, day, month or total",
    ),
    ("%budget set", "%budget set needs USD", "%budget set --help shows what it takes"),
    (
        "%budget set 1 --scope",
        "--scope needs a value",
        "%budget set --help shows what it takes",
    ),
    (
        "%budget show everything",
        "%budget show does not expect 'everything'",
        "%budget show --help shows what it takes",
    ),
    ("%budget history -n many", "--limit does not take 'many'", "Give a whole number"),
    ("%trace -n 0", "--limit must be at least 1", "%trace list -n 20"),
    (
        "%ask --modle sim/gpt-4o hi",
        "--modle is not a flag of %ask (did you mean '--model'?)",
        "%ask --help shows what it takes",
    ),
    (
        "%ask hello -m sim/gpt-4o",
        "-m stands after the question",
        "Put flags first, or -- in front of the question: %ask -- ...",
    ),
    ("%ask", "%ask needs a question", "%ask What is a ledger?"),
    ("%%ask", "%%ask needs a question", "Put it below the first line"),
    ("%%ask -q\n  \n", "%%ask needs a question", "Put it below the first line"),
    (
        "%%ask sim/gpt-4o\nhi",
        "%%ask does not expect 'sim/gpt-4o' on its first line",
        "Put the question below it; a model's name goes after -m",
    ),
    ("%ask -t warm hi", "--temperature does not take 'warm'", "Give a number"),
    ("%ask --max-tokens 0 hi", "--max-tokens must be at least 1", "%ask --max-tokens 256 ..."),
    ("%ask -o 2fast hi", "'2fast' is not a variable name", "Give a name such as answer"),
    ("%ask -o class hi", "'class' is not a variable name", "Give a name such as answer"),
    ("%ask --max hi", "--max is not a flag of %ask", "%ask --help shows what it takes"),
]


@pytest.mark.parametrize(("source", "message", "hint"), MISTAKES)
def test_a_mistake_is_two_lines_with_the_nearest_match(run, source, message, hint):
    result = run(source)
    assert type(result.error_in_exec) is UsageProblem
    assert str(result.error_in_exec).startswith(message)
    shown = result.stdout.strip().splitlines()
    assert shown == [f"UsageProblem: {result.error_in_exec}", f"→ {hint}"]


@pytest.mark.parametrize("source", [source for source, _, _ in MISTAKES])
def test_a_mistake_makes_no_session(run, source):
    import sys

    run(source)
    module = sys.modules.get("llmops_kernel.session")
    assert module is None or module.active_session() is None


def test_ipythons_usage_error_never_leaves_the_parser(monkeypatch):
    def refuse(argv):
        raise UsageError("some other complaint")

    monkeypatch.setattr(BudgetMagics.budget.parser, "parse_known_args", refuse)
    with pytest.raises(UsageProblem, match="%budget show: some other complaint"):
        _base.parse(BudgetMagics.budget, "")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2.00", Decimal("2.00")),
        ("$2", Decimal(2)),
        ("0", Decimal(0)),
        ("0.05", Decimal("0.05")),
        ("1e-9", Decimal("1e-9")),
    ],
)
def test_dollars_are_exact(text, amount):
    assert _flags.dollars(text) == amount


@pytest.mark.parametrize(
    "text", ["-2", "-0", "nan", "inf", "abc", "", "$", "2,50", "0.0000000001", "$-1", "1e99"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(UsageProblem, match="is not an amount of dollars"):
        _flags.dollars(text)


@pytest.mark.parametrize("amount", ["-2", "nan", "'-2'"])
def test_a_negative_amount_is_a_value_and_not_a_flag(run, amount):
    assert "is not an amount of dollars" in str(run(f"%budget set {amount}").error_in_exec)


@pytest.mark.parametrize(
    ("line", "flags", "text"),
    [
        ("what is it?", "", "what is it?"),
        ("-m small what is it?", "-m small", "what is it?"),
        ("--model=small --think   what?", "--model=small --think", "what?"),
        ('-s "You are a bank" hi', '-s "You are a bank"', "hi"),
        ("it's  'quoted'  text", "", "it's  'quoted'  text"),
        ('"all of it"', "", "all of it"),
        ("-- -m is a flag", "", "-m is a flag"),
        ("-t 0 -5 is a number", "-t 0 -5", "is a number"),
        ("- a list", "", "- a list"),
        ("", "", ""),
    ],
)
def test_free_text_begins_after_the_flags_and_is_kept_as_typed(line, flags, text):
    assert _base.split_free_text(AskMagics.ask, line) == (flags, text)


@pytest.mark.parametrize(
    ("line", "system"),
    [
        ('-s "You are a bank"', "You are a bank"),
        ("--system='You are a bank'", "You are a bank"),
        ("--system=short", "short"),
        (r'-s "say \"hi\""', 'say "hi"'),
        ("-s it's", "it's"),
        ('-s ""', ""),
    ],
)
def test_quotes_keep_words_together(line, system):
    args = _base.parse(AskMagics.ask, line)
    assert args.system == system


def test_the_first_subcommand_is_the_default():
    assert _base.parse(BudgetMagics.budget, "").verb == "show"
    assert _base.parse(BudgetMagics.budget, "-o b").out == "b"


@pytest.mark.parametrize("line", [";", " -q", "show -q", "show ;", "show;"])
def test_quiet_and_a_trailing_semicolon_are_the_same(line):
    assert _base.parse(BudgetMagics.budget, line).quiet is True


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("magic", ["llmops", "budget", "ask", "trace"])
def test_help_is_printed_and_nothing_returned(run, magic, flag):
    result = run(f"%{magic} {flag}")
    assert result.success
    assert result.result is None
    assert result.stdout.startswith(f"%{magic} [-h]")


def test_help_of_a_subcommand_comes_before_its_missing_arguments(run):
    result = run("%budget set --help")
    assert result.stdout.startswith("%budget set ")
    assert "dollars, such as 2.00" in result.stdout


@pytest.mark.parametrize("magic", ["llmops", "budget", "ask", "trace"])
def test_the_docstring_holds_the_flags(shell, magic):
    text = shell.find_line_magic(magic).__doc__
    assert "--help" in text
    assert "Examples:" in text


def test_no_magic_expands_variables_in_its_line(shell):
    for name in ("llmops", "budget", "ask", "trace"):
        assert shell.find_line_magic(name)._ipython_magic_no_var_expand


def test_choices_are_those_of_the_settings():
    assert get_args(settings.Window) == budget_magic.WINDOWS
    assert get_args(settings.Scope) == budget_magic.SCOPES
