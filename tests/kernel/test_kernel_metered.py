"""The `llmops` kernel with notebooks that know nothing of it."""

import json
import sqlite3

import pytest

CAP = json.dumps([{"scope": "user", "window": "day", "usd": "0.005"}])
CLIENT = """
import openai
client = openai.OpenAI()
def ask(text, model="sim/gpt-4o"):
    reply = client.chat.completions.create(
        model=model, max_tokens=50, messages=[{"role": "user", "content": text}]
    )
    return reply.choices[0].message.content
"""
KEYS = {"OPENAI_API_KEY": "sk-openai-secret", "ANTHROPIC_API_KEY": "sk-ant-secret"}


@pytest.fixture
def kernel(start):
    return start(LLMOPS_CAPS=CAP, LANGSMITH_TRACING="true", **KEYS)


def test_an_unmodified_cell_is_metered_and_stops_at_the_cap(kernel):
    done = kernel.run(CLIENT + "print(ask('What is a ledger?'))")
    assert done.status == "ok", done.outputs
    assert done.stdout.strip()
    assert done.stderr == ""
    loop = kernel.run(
        "for number in range(500):\n    ask(f'What is a ledger, for the {number}th time?')"
    )
    assert loop.status == "error"
    error = loop.outputs[-1]
    assert error.ename == "APIStatusError"
    assert "402" in error.evalue
    assert "[llmops:budget_exceeded]" in error.evalue
    assert "llmops: Stopped before anything was spent: " in loop.stderr
    assert loop.stderr.splitlines()[-1].startswith("llmops: Stopped before")
    assert 0 < int(kernel.value("number")) < 500
    # One more attempt is refused at once, and free models still answer.
    assert kernel.run("ask('again')").status == "error"
    assert kernel.run("ask('What is a ledger?', model='offline/extractive')").status == "ok"
    budget = kernel.run("%budget -o budget")
    assert budget.status == "ok"
    assert kernel.value("all(each.spent + each.held <= each.limit for each in budget)") == "True"


def test_keys_are_out_and_the_endpoint_in(kernel):
    environ = kernel.value("dict(__import__('os').environ)")
    assert "secret" not in environ
    kernel.run("import os")
    assert kernel.value("os.environ['OPENAI_BASE_URL'] == os.environ['OPENAI_API_BASE']") == "True"
    assert kernel.value("__import__('os').environ['OPENAI_BASE_URL']").startswith(
        "'http://127.0.0.1:"
    )
    assert kernel.value("__import__('os').environ['LANGSMITH_TRACING']") == "'false'"
    child = "__import__('subprocess').run('env', capture_output=True, text=True).stdout"
    assert "secret" not in kernel.value(child)
    assert "http://127.0.0.1:" in kernel.value(child)


def test_magics_are_there_without_loading(kernel):
    done = kernel.run("%llmops status")
    assert done.status == "ok"
    assert "offline/extractive" in done.outputs[0].data["text/plain"]
    assert "secret" not in str(done.outputs[0].data)


def test_calls_carry_the_cell_id(kernel):
    kernel.client.session.metadata = {"cellId": "cell-7"}
    kernel.run(CLIENT + "ask('hi')")
    events = kernel.value(
        "[e.cell_id for e in __import__('llmops_kernel').current_session().history(1)]"
    )
    assert events == "['cell-7']"


def test_no_warning_about_tcp_and_no_noise_at_the_start(start):
    kernel = start()
    kernel.run("pass")
    assert "encryption" not in kernel.log.read_text()


def test_startup_files_already_run_behind_the_door(start, tmp_path):
    startup = tmp_path / "home" / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "10-look.py").write_text("import os\nseen = dict(os.environ)\n")
    kernel = start(**KEYS)
    assert "secret" not in kernel.value("seen")
    assert kernel.value("seen['OPENAI_BASE_URL']").startswith("'http://127.0.0.1:")


def test_a_module_beside_the_notebook_does_not_break_the_start(start, tmp_path):
    (tmp_path / "work" / "random.py").write_text("raise RuntimeError('not for the kernel')\n")
    (tmp_path / "work" / "helpers.py").write_text("answer = 42\n")
    kernel = start()
    assert kernel.run("pass").status == "ok"
    assert kernel.value("__import__('helpers').answer") == "42"


def test_shutdown_closes_the_session(start, tmp_path):
    kernel = start(LLMOPS_CAPS=CAP)
    assert kernel.run(CLIENT + "ask('hi')").status == "ok"
    kernel.client.shutdown()
    kernel.manager.finish_shutdown(waittime=15)
    record = sqlite3.connect(tmp_path / "home" / "llmops" / "llmops.db")
    try:
        assert record.execute("select count(*) from event where kind = 'settle'").fetchone() == (1,)
        assert record.execute("select count(*) from hold").fetchone() == (0,)
        assert record.execute("select count(*) from span where ended is null").fetchone() == (0,)
    finally:
        record.close()


def test_a_restart_comes_back_behind_the_door(kernel):
    first = kernel.value("__import__('os').environ['OPENAI_API_KEY']")
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(timeout=60)
    second = kernel.value("__import__('os').environ['OPENAI_API_KEY']")
    assert first != second
    assert "secret" not in second
