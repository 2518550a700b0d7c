"""The kernel's environment variables: keys out, the endpoint in, telemetry off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from llmops_kernel.session import Session

# Nothing listens on the discard port of the loopback, so a call ends there at once.
NOWHERE = "http://127.0.0.1:9/v1"

# Each framework's own switch. OTEL_SDK_DISABLED is not among them: it would also switch off the
# tracing that people set up on purpose.
TELEMETRY_OFF = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LANGSMITH_TRACING_V2": "false",
    "LITELLM_TELEMETRY": "False",
}

# langchain-openai sends its calls there instead of to OPENAI_BASE_URL.
_BYPASS = "LANGSMITH_GATEWAY"


def enter(environ: MutableMapping[str, str]) -> Session:
    """Put a process behind the door.

    Args:
        environ: The process's environment; changed in place.

    Returns:
        The session, with its endpoint running.

    Raises:
        LLMOpsError: It cannot be done. The environment then has no provider keys, and the
            variables that libraries read lead nowhere.
    """
    if path := environ.get("JPY_SESSION_NAME"):  # Jupyter Server tells which notebook this is
        environ.setdefault("LLMOPS_NOTEBOOK", path)
    try:
        from llmops_kernel.session import current_session

        session = current_session()
        session.endpoint()
        environ.update(session.take_over_environment(environ))
    except LLMOpsError:
        seal(environ)
        raise
    except Exception as error:
        # Whatever it was, an open door must not be the result.
        seal(environ)
        raise SettingsError(
            "The session cannot be built",
            detail=f"{type(error).__name__}: {error}",
            hint="Run `llmops doctor`, then restart the kernel",
        ) from error
    quieten(environ)
    return session


def seal(environ: MutableMapping[str, str]) -> None:
    """Take out every provider key and let OpenAI-compatible libraries call nobody."""
    for name in _keys(environ):
        environ.pop(name, None)
    environ.update(OPENAI_BASE_URL=NOWHERE, OPENAI_API_BASE=NOWHERE, OPENAI_API_KEY="no-session")
    quieten(environ)


def quieten(environ: MutableMapping[str, str]) -> None:
    """Switch off what frameworks report home, and the ways past the endpoint."""
    environ.update(TELEMETRY_OFF)
    for name in [name for name in environ if name.startswith(_BYPASS)]:
        del environ[name]


def _keys(environ: MutableMapping[str, str]) -> set[str]:
    """Name the variables that hold keys: by their usual ending, and by the settings if readable."""
    names = {name for name in environ if name.upper().endswith(("_API_KEY", "_API_TOKEN"))}
    try:
        from llmops_kernel.calls.providers import key_names
        from llmops_kernel.settings import Settings

        return names | set(key_names(Settings.load(environ=environ).providers))
    except Exception:  # noqa: BLE001  # this is where things go that already went wrong
        return names
