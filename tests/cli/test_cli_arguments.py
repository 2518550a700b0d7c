"""Arguments: what is understood, and what is said about mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest

from llmops_kernel._version import __version__
from llmops_kernel.cli import main
from llmops_kernel.cli._values import amount, parameters, value_of
from llmops_kernel.errors import UsageProblem


@pytest.mark.parametrize(
    ("argv", "first", "second"),
    [
        (["bugdet"], "'bugdet' is not a verb of llmops (did you mean 'budget'?)", "Choose run, "),
        (
            ["budget", "sow"],
            "'sow' is not a verb of llmops budget (did you mean 'show'?)",
            "Choose",
        ),
        (
            ["run", "a.ipynb", "--budgt", "1"],
            "--budgt is not a flag of llmops run (did you mean '--budget'?)",
            "llmops run --help",
        ),
        (["budget", "set", "5", "--per", "dya"], "'dya' is not a value of --per", "Choose hour"),
        (["run"], "llmops run needs NB", "llmops run --help"),
        (["run", "--budget"], "--budget needs a value", "llmops run --help"),
        (["status", "now"], "llmops status does not expect 'now'", "llmops status --help"),
        (["trace", "-n", "many"], "--limit does not take 'many'", "Give a whole number"),
        (["kernel", "install", "--user", "--sys-prefix"], "--sys-prefix: not allowed", "llmops"),
        (["budget", "--jsn"], "--jsn is not a flag of llmops budget (did you mean '--json'?)", ""),
        # Prefixes of flags are not understood: a new flag must not change old scripts.
        (["run", "a.ipynb", "--bud", "1"], "--bud is not a flag of llmops run", "llmops run"),
    ],
)
def test_a_mistake_is_two_lines_and_exit_code_2(
    argv: list[str], first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 2
    assert lines[0].startswith(f"UsageProblem: {first}")
    assert lines[1].startswith(f"→ {second}")


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_lists_every_verb_with_a_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 0
    listed = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    verbs = ["run", "budget", "ask", "trace", "status", "doctor", "gateway", "kernel", "version"]
    assert [words[0] for words in listed if len(words) == 2 and words[0] in verbs] == verbs


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from llmops_kernel.cli import main; main(['--help'])\n"
        "heavy = {'pydantic', 'papermill', 'nbformat', 'aiohttp', 'IPython', 'genai_prices'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: llmops")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"llmops-kernel {__version__}"
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == __version__


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("+3", 3),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ('"7"', "7"),
        ("[1, 2]", [1, 2]),
        ('{"a": [true]}', {"a": [True]}),
        ("sim/gpt-4o", "sim/gpt-4o"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("a=b", "a=b"),
        ("no", "no"),
        ("", ""),
    ],
)
def test_values_are_read_as_numbers_words_or_text(text: str, value: object) -> None:
    read = value_of(text)
    assert (read, type(read)) == (value, type(value))


def test_parameters_keep_what_follows_the_first_equals_sign() -> None:
    assert parameters(["query=a=b", "n=2"]) == {"query": "a=b", "n": 2}


@pytest.mark.parametrize("given", [["seed"], ["=1"], ["a b=1"], ["a=1", "a=2"]])
def test_wrong_parameters_are_refused_without_repeating_their_values(given: list[str]) -> None:
    with pytest.raises(UsageProblem):
        parameters(given)
    with pytest.raises(UsageProblem) as caught:
        parameters(["not a name=sk-hidden"])
    assert "hidden" not in caught.value.sentence()


def test_amounts_are_exact() -> None:
    assert amount("0.1", "--budget") == Decimal("0.1")
    assert amount("$2", "--budget") == Decimal(2)


@pytest.mark.parametrize("text", ["lots", "-1", "nan", "inf", ""])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--budget is not an amount"):
        amount(text, "--budget")
