"""Where provider keys come from, and that they are taken out of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError, PasswordDeleteError

from llmops_kernel.calls.keys import SERVICE, Keys, take
from llmops_kernel.calls.providers import key_names
from llmops_kernel.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryStore(KeyringBackend):
    """A key store in memory, behind keyring's own interface."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append(username)
        if self.broken:
            raise NoKeyringError
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        raise PasswordDeleteError


@pytest.fixture(autouse=True)
def key_store() -> Iterator[MemoryStore]:
    before = keyring.get_keyring()
    store = MemoryStore()
    keyring.set_keyring(store)
    yield store
    keyring.set_keyring(before)


def test_taken_keys_come_before_the_environment_and_the_store(key_store: MemoryStore) -> None:
    keyring.set_password(SERVICE, "OPENAI_API_KEY", "stored")
    environ = {"OPENAI_API_KEY": "environment"}
    assert Keys(environ, {"OPENAI_API_KEY": "taken"}).get("OPENAI_API_KEY") == "taken"
    assert Keys(environ).get("OPENAI_API_KEY") == "environment"
    assert Keys({}).get("OPENAI_API_KEY") == "stored"
    assert Keys({}).has("OPENAI_API_KEY")


def test_the_environment_is_read_at_each_look_up() -> None:
    environ: dict[str, str] = {}
    keys = Keys(environ)
    assert not keys.has("MY_KEY")
    environ["MY_KEY"] = " new\n"
    assert keys.get("MY_KEY") == "new"


def test_empty_values_are_no_keys() -> None:
    keys = Keys({"A_KEY": "  ", "B_KEY": ""})
    assert keys.get("A_KEY") is None
    assert keys.get("B_KEY") is None
    assert keys.get("") is None


def test_a_missing_key_is_not_asked_for_at_every_call(key_store: MemoryStore) -> None:
    keys = Keys({})
    assert [keys.get("A_KEY") for _ in range(5)] == [None] * 5
    assert key_store.asked == ["A_KEY"]


def test_a_broken_key_store_holds_no_keys(key_store: MemoryStore) -> None:
    key_store.broken = True
    assert Keys({}).get("OPENAI_API_KEY") is None


def test_googles_other_name() -> None:
    assert Keys({"GOOGLE_API_KEY": "g"}).get("GEMINI_API_KEY") == "g"


def test_taking_keys_removes_and_remembers_them() -> None:
    environ = {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b", "WANDB_API_KEY": "c", "PATH": "/"}
    keys = Keys(environ)
    assert keys.take(environ) == {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b"}
    assert environ == {"WANDB_API_KEY": "c", "PATH": "/"}
    assert keys.get("OPENAI_API_KEY") == "a"
    # A second time there is nothing left to take, and nothing is forgotten.
    assert keys.take(environ) == {}
    assert keys.get("GROQ_API_KEY") == "b"


def test_take_takes_what_it_is_told() -> None:
    environ = {"A": "1", "B": "2"}
    assert take(environ, ["A", "C"]) == {"A": "1"}
    assert environ == {"B": "2"}


def test_configured_providers_keys_are_known() -> None:
    corp = ProviderSettings(base_url="https://llm.example.com/v1", key_env="CORP_KEY")
    names = key_names({"corp": corp})
    assert {"CORP_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"} <= set(names)
    assert len(names) == len(set(names))
    assert "" not in names


def test_keys_are_not_shown() -> None:
    keys = Keys({"OPENAI_API_KEY": "sk-environment"}, {"GROQ_API_KEY": "gsk-taken"})
    assert "sk-" not in repr(keys)
    assert "gsk-" not in repr(keys)
