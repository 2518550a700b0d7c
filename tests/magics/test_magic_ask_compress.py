"""``%%ask --compress``: the prompt is shorter, and what was left out is said."""

from llmops_kernel import Answer, current_session

CONTEXT = (
    "Cards can be frozen in the app under Settings. Cards can be frozen in the app under Settings. "
    "The office opens at 9 every day. A replacement card costs $12 on Basic. "
    "The sea is blue and the garden is green."
)


def sent():
    node = current_session().trace()
    while node.children:
        node = node.children[-1]
    return node.span.input


def test_repetition_is_left_out(run, shell):
    shell.user_ns["text"] = CONTEXT
    result = run("%%ask --context text --compress\nWhat does a replacement card cost?")
    assert isinstance(result.result, Answer)
    assert sent().count("frozen in the app") == 1
    assert "The office opens at 9" in sent()
    assert "The prompt was sent with" in result.stderr


def test_sentences_give_way_to_a_number_of_tokens(run, shell):
    shell.user_ns["text"] = CONTEXT
    result = run("%%ask --context text --compress-to 60\nWhat does a replacement card cost?")
    assert "$12" in result.result.text
    assert "The sea is blue" not in sent()


def test_without_the_flag_nothing_changes(run, shell):
    shell.user_ns["text"] = CONTEXT
    result = run("%%ask --context text\nWhat does a replacement card cost?")
    assert sent().count("frozen in the app") == 2
    assert result.stderr == ""


def test_a_dry_run_prices_the_shorter_prompt(run, shell):
    shell.user_ns["text"] = CONTEXT
    ask = "%%ask -m sim/gpt-4o --dry-run --max-tokens 9 --context text {}\nWhat does a card cost?"
    whole = run(ask.format("")).result
    short = run(ask.format("--compress-to 60")).result
    assert short.usd < whole.usd


def test_nonsense_is_refused(run):
    result = run("%%ask --compress-to 0\nWhy?")
    assert not result.success
    assert "--compress-to must be at least 1" in str(result.error_in_exec)
