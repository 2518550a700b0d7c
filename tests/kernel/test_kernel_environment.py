"""The environment a kernel leaves its cells with."""

import pytest

from llmops_kernel.kernel import environment


def test_sealing_takes_every_provider_key(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llmops.toml").write_text(
        '[providers.house]\nbase_url = "http://house/v1"\nkey_env = "HOUSE_SECRET"\n'
    )
    environ = {
        "ANTHROPIC_API_KEY": "a", "GOOGLE_API_KEY": "b", "OPENAI_API_KEY": "c",
        "HOUSE_SECRET": "d", "some_api_token": "e", "PATH": "/bin",
    }  # fmt: skip
    environment.seal(environ)
    assert environ["OPENAI_BASE_URL"] == environ["OPENAI_API_BASE"] == environment.NOWHERE
    assert not set(environ.values()) & set("abcde")
    assert environ["PATH"] == "/bin"


def test_sealing_works_where_the_settings_do_not(monkeypatch, tmp_path):
    environ = {"LLMOPS_CONFIG": str(tmp_path / "none.toml"), "XAI_API_KEY": "secret"}
    environment.seal(environ)
    assert "secret" not in environ.values()


def test_any_failure_seals(monkeypatch):
    from llmops_kernel import session
    from llmops_kernel.errors import SettingsError

    def fail():
        raise OSError("no port")

    monkeypatch.setattr(session, "current_session", fail)
    environ = {"OPENAI_API_KEY": "secret"}
    with pytest.raises(SettingsError, match="The session cannot be built") as caught:
        environment.enter(environ)
    assert caught.value.detail == "OSError: no port"
    assert environ["OPENAI_BASE_URL"] == environment.NOWHERE
    assert "secret" not in environ.values()


def test_telemetry_is_off_and_opentelemetry_left_alone():
    environ = {
        "LANGSMITH_GATEWAY_URL": "http://elsewhere", "LANGSMITH_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine",
    }  # fmt: skip
    environment.quieten(environ)
    assert "LANGSMITH_GATEWAY_URL" not in environ
    assert environ["LANGSMITH_TRACING"] == environ["LANGCHAIN_TRACING_V2"] == "false"
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://mine"
    assert "OTEL_SDK_DISABLED" not in environ
