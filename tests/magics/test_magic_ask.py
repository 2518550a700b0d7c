"""``%ask`` and ``%%ask`` against the real session and the offline models."""

import json
from decimal import Decimal

import pytest
from IPython.core.formatters import DisplayFormatter
from pydantic import BaseModel

from llmops_kernel import (
    Answer,
    BudgetExceeded,
    UnknownModel,
    UnknownPrice,
    UsageProblem,
    current_session,
)
from llmops_kernel.magics.results import Estimate

CONTEXT = (
    "A ledger is a book of accounts. Cards can be frozen in the app under Settings. "
    "Transfers inside the bank arrive at once."
)


def sent():
    """What was sent last, as the trace has it."""
    node = current_session().trace()
    while node.children:
        node = node.children[-1]
    return node.span.input


def test_a_cell_returns_the_answer(run, shell):
    result = run("%%ask -m sim/gpt-4o -o answer\nWhat is a ledger?")
    assert isinstance(result.result, Answer)
    assert shell.user_ns["answer"] is result.result
    assert str(result.result) == result.result.text != ""
    assert result.result.simulated
    assert result.result.usd > 0


def test_figures_are_in_the_metadata(run, shell):
    answer = run("%ask -m sim/gpt-4o What is a ledger?").result
    data, metadata = DisplayFormatter(parent=shell).format(answer)
    assert set(data) == {"text/plain", "text/markdown"}
    assert metadata["llmops"]["usd"] == f"{answer.usd:f}"
    assert metadata["llmops"]["trace_id"] == answer.trace_id


def test_a_line_is_an_expression(run, shell):
    assert run("answer = %ask What is a ledger?").success
    assert isinstance(shell.user_ns["answer"], Answer)


def test_names_are_filled_in_and_braces_left_alone(run, shell):
    shell.user_ns["customer"] = {"name": "Ada"}
    run('%%ask\nGreet {customer["name"]} as {"json": true} and {{customer}} for $5.')
    assert 'Greet Ada as {\\"json\\": true} and {customer} for $5.' in sent()


def test_a_line_inside_a_function_sees_its_names(run, shell):
    run(
        "def greet(who):\n"
        "    return get_ipython().run_line_magic('ask', 'Greet {who}.')\n"
        "greeting = greet('Grace')"
    )
    assert isinstance(shell.user_ns["greeting"], Answer)
    assert "Greet Grace." in sent()


def test_an_unbound_name_is_said(run):
    result = run("%%ask\nGreet {custmer}.")
    assert result.success
    assert result.stderr == "llmops: {custmer} has no value here and was sent as typed.\n"
    assert "Greet {custmer}." in sent()


def test_raw_fills_nothing_in(run, shell):
    shell.user_ns["name"] = "Ada"
    result = run("%%ask --raw\nGreet {name} and {nobody}.")
    assert result.stderr == ""
    assert "Greet {name} and {nobody}." in sent()


@pytest.mark.parametrize(
    "body", ["What's a ledger?", "unbalanced ( and '''", "x = 1;", "  indented\n\ttab", "%budget"]
)
def test_any_text_is_a_prompt(run, body):
    result = run(f"%%ask\n{body}")
    assert isinstance(result.result, Answer)


@pytest.mark.parametrize("line", ["%ask -q -o a hi", "%ask -o a hi;", "%%ask -q -o a\nhi"])
def test_silenced_but_bound(run, shell, line):
    result = run(line)
    assert result.result is None
    assert isinstance(shell.user_ns["a"], Answer)


def test_typed_output_by_a_class(run, shell):
    class Ticket(BaseModel):
        subject: str
        urgent: bool

    shell.user_ns["Ticket"] = Ticket
    result = run("%%ask --schema Ticket\nMy card was stolen, help at once!")
    assert isinstance(result.result.data, Ticket)


def test_typed_output_by_a_file(run, workplace):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    (workplace / "city.json").write_text(json.dumps(schema))
    assert "city" in run("%%ask --schema city.json\nI live in Bern.").result.data


PAIRS = [("My card is gone", "card"), ("Where is my transfer?", "payment")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", "input,output\nMy card is gone,card\nWhere is my transfer?,payment\n"),
        ("bare.csv", "My card is gone,card\nWhere is my transfer?,payment\n"),
        ("more.csv", "output,id,input\ncard,1,My card is gone\npayment,2,Where is my transfer?\n"),
        ("pairs.tsv", "input\toutput\nMy card is gone\tcard\nWhere is my transfer?\tpayment\n"),
        ("pairs.jsonl", "\n".join(json.dumps({"input": i, "output": o}) for i, o in PAIRS)),
        ("pairs.json", json.dumps(PAIRS)),
    ],
)
def test_examples_from_files(run, workplace, name, content):
    (workplace / name).write_text(content, encoding="utf-8")
    assert run(f"%%ask --examples {name}\nI lost my card").success
    messages = json.loads(sent())
    texts = (
        [each["content"] for each in messages.get("messages", messages)][:4]
        if isinstance(messages, dict)
        else [each["content"] for each in messages][:4]
    )
    assert texts == [text for pair in PAIRS for text in pair]


@pytest.mark.parametrize(
    "value",
    [PAIRS, dict(PAIRS), [{"input": i, "output": o} for i, o in PAIRS], [list(p) for p in PAIRS]],
)
def test_examples_from_variables(run, shell, value):
    shell.user_ns["shots"] = value
    assert run("%%ask --examples shots\nI lost my card").success
    for pair in PAIRS:
        for text in pair:
            assert text in sent()


def test_context_and_reasoning(run, shell):
    shell.user_ns["page"] = CONTEXT
    result = run("%%ask --context page --think -s 'Be brief'\nWhere can I freeze a card?")
    assert "Settings" in result.result.text
    assert "Be brief" in sent()
    assert "book of accounts" in sent()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "--schema Tiket",
            "--schema: 'Tiket' is neither bound nor a file (did you mean 'Ticket'?)",
        ),
        ("--schema number", "number is no schema"),
        ("--schema broken.json", "The file is not valid JSON"),
        ("--examples number", "number does not hold examples"),
        ("--examples text", "text does not hold examples"),
        ("--examples triples", "triples does not hold examples"),
        ("--examples latin.csv", "--examples: the file cannot be read"),
        ("--context nowhere", "--context: 'nowhere' is neither bound nor a file"),
    ],
)
def test_wrong_inputs_are_two_or_three_lines(run, shell, workplace, line, message):
    (workplace / "broken.json").write_text("{")
    (workplace / "latin.csv").write_bytes("é,x\n".encode("latin-1"))
    shell.user_ns.update(Ticket=BaseModel, number=7, text="x", triples=[(1, 2, 3)])
    error = run(f"%%ask {line}\nhi").error_in_exec
    assert type(error) is UsageProblem
    assert str(error) == message
    assert 2 <= len(error._render_traceback_()) <= 3


def test_a_dry_run_prices_and_sends_nothing(run):
    result = run("%%ask --dry-run -m sim/gpt-4o --max-tokens 100\nWhat is a ledger?")
    estimate = result.result
    assert isinstance(estimate, Estimate)
    assert (estimate.output_tokens, estimate.simulated) == (100, True)
    assert estimate.usd > 0
    session = current_session()
    assert session.history() == []
    assert session.trace() is None
    answer = run("%ask -m sim/gpt-4o --max-tokens 100 What is a ledger?").result
    assert answer.usd <= estimate.usd
    assert answer.usage.input_tokens <= estimate.input_tokens


def test_a_dry_run_of_a_free_model_costs_nothing(run):
    assert run("%ask --dry-run hi").result.usd == 0


def test_a_call_beyond_its_own_cap_is_refused(run):
    result = run("%ask -m sim/gpt-4o --max-usd 0.000001 hi")
    assert type(result.error_in_exec) is BudgetExceeded
    assert [event.spent_nano for event in current_session().history() if event.spent_nano] == []


def test_an_unknown_model_is_refused_with_the_nearest_name(run):
    result = run("%ask -m sim/gtp-4o hi")
    assert isinstance(result.error_in_exec, UnknownModel | UnknownPrice)
    assert "did you mean 'gpt-4o'?" in result.stdout
    assert "Traceback" not in result.stdout


def test_an_interrupt_passes(run, shell):
    class Interrupting:
        def __str__(self):
            raise KeyboardInterrupt

    shell.user_ns["x"] = Interrupting()
    assert isinstance(run("%ask {x}").error_in_exec, KeyboardInterrupt)


def test_the_footer_follows_the_settings(run, shell):
    def text():
        data, _ = DisplayFormatter(parent=shell).format(run("%ask -m sim/gpt-4o hi").result)
        return data["text/plain"]

    assert "tok ·" in text()
    run("%config LLMOps.footer = False")
    assert "tok ·" not in text()
    run("%config LLMOps.footer = True\n%config LLMOps.static = True")
    assert "tok ·" not in text()


def test_amounts_reach_the_session_exactly(run):
    error = run("%ask -m sim/gpt-4o --max-usd $0.000000007 hi").error_in_exec
    assert error.limit == 7
    assert Decimal(error.limit).scaleb(-9) == Decimal("0.000000007")


@pytest.mark.parametrize(
    "source",
    [
        "%ask What is a ledger?",
        "if True:\n    %ask Is this a ledger?",
        "answer = %ask What is a ledger??",
        "%ask -m sim/gpt-4o Why?",
    ],
)
def test_a_question_mark_ends_a_question_and_asks_for_no_help(run, source):
    result = run(source)
    assert result.success
    assert current_session().trace() is not None
    assert "?" in sent()


@pytest.mark.parametrize("source", ["%ask?", "%%ask?", "%budget?"])
def test_help_syntax_still_shows_help(run, source):
    done = run(source)
    assert done.success
    assert "--help" in done.stdout
