"""A kernel whose session cannot be built: it starts, and no model call can leave it."""

import pytest

KEYS = {
    "OPENAI_API_KEY": "sk-openai-secret",
    "ANTHROPIC_API_KEY": "sk-ant-secret",
    "MY_OWN_API_KEY": "sk-own-secret",
}


@pytest.fixture
def closed(start):
    return start(LLMOPS_CONFIG="/nowhere/llmops.toml", OPENAI_BASE_URL="http://other/v1", **KEYS)


def test_the_reason_is_shown_at_the_first_cell(closed):
    first = closed.run("1 + 1")
    assert first.status == "ok"
    assert first.stderr.startswith("llmops: No model call can leave this kernel. ")
    assert "LLMOPS_CONFIG names a file that does not exist" in first.stderr
    assert closed.run("1 + 1").stderr == ""


def test_keys_are_gone_and_clients_reach_nobody(closed):
    environ = closed.value("dict(__import__('os').environ)")
    assert "secret" not in environ
    assert "http://other/v1" not in environ
    assert environ.count("http://127.0.0.1:9/v1") == 2
    called = closed.run(
        "import openai\n"
        "messages = [{'role': 'user', 'content': 'hi'}]\n"
        "client = openai.OpenAI(max_retries=0)\n"
        "client.chat.completions.create(model='gpt-4o', messages=messages)"
    )
    assert called.outputs[-1].ename == "APIConnectionError"
    assert "No model call can leave this kernel" in called.stderr


def test_magics_raise_the_reason(closed):
    for source in ("%budget", "%ask hi", "%%ask\nhi", "%trace", "%llmops status"):
        done = closed.run(source)
        assert done.status == "error"
        assert done.outputs[-1].ename == "SettingsError"
        assert done.outputs[-1].evalue == "LLMOPS_CONFIG names a file that does not exist"


def test_an_unusable_store_closes_it_too(start, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    kernel = start(LLMOPS_HOME=str(tmp_path / "file" / "below"), **KEYS)
    assert "No model call can leave this kernel" in kernel.run("pass").stderr
    assert kernel.run("%budget").outputs[-1].ename == "StoreError"
    assert "secret" not in kernel.value("dict(__import__('os').environ)")
