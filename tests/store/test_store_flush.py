"""A flush also waits for what another thread is writing: what was told can then be read."""

from __future__ import annotations

import threading

import pytest

from llmops_kernel.store import Store, open_store


@pytest.fixture
def shelf(postgres_url: str) -> Store:
    """On a server, reads do not wait for another connection's transaction by themselves."""
    store = open_store(postgres_url)
    with store.transaction() as tx:
        tx.run("CREATE TABLE noted (what TEXT)", ())
    return store


def test_what_another_thread_carries_is_there_after_a_flush(shelf: Store) -> None:
    inside, go = threading.Event(), threading.Event()

    def carry() -> None:
        with shelf.transaction():
            inside.set()
            go.wait(10)

    shelf.defer("INSERT INTO noted VALUES (?)", ("a",))
    thread = threading.Thread(target=carry)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.2, go.set).start()
    shelf.flush()
    assert shelf.read("SELECT what FROM noted") == [("a",)]
    thread.join()
    shelf.close()


def test_a_flush_within_a_transaction_waits_for_nobody(shelf: Store) -> None:
    shelf.defer("INSERT INTO noted VALUES (?)", ("a",))
    with shelf.transaction():
        shelf.flush()
    assert shelf.read("SELECT what FROM noted") == [("a",)]
    shelf.close()
