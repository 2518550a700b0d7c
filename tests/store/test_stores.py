from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from llmops_kernel.errors import SettingsError, StoreError
from llmops_kernel.store import Store, open_store
from llmops_kernel.store.sqlite import network_filesystem

_PUT = "INSERT INTO meta (name, value) VALUES (?, ?)"


def _names(store: Store) -> set[str]:
    return {row[0] for row in store.read("SELECT name FROM meta")} - {"schema"}


def test_transaction_is_all_or_nothing(store: Store) -> None:
    with store.transaction() as tx:
        tx.run(_PUT, ("kept", "1"))
    with pytest.raises(RuntimeError), store.transaction() as tx:
        tx.run(_PUT, ("lost", "1"))
        raise RuntimeError
    assert _names(store) == {"kept"}


def test_deferred_writes_ride_on_the_next_transaction_and_survive_its_rollback(
    store: Store,
) -> None:
    store.defer(_PUT, ("late", "1"))
    with pytest.raises(RuntimeError), store.transaction():
        raise RuntimeError
    with store.transaction() as tx:
        assert tx.rows("SELECT value FROM meta WHERE name = 'late'") == [("1",)]
    assert _names(store) == {"late"}


def test_reading_sees_deferred_writes(store: Store) -> None:
    store.defer(_PUT, ("late", "1"))
    assert _names(store) == {"late"}


def test_closing_writes_what_waits(store_url: str) -> None:
    first = open_store(store_url)
    first.defer(_PUT, ("late", "1"))
    first.close()
    with pytest.raises(StoreError):
        first.read("SELECT 1")
    second = open_store(store_url)
    assert _names(second) == {"late"}
    second.close()


def test_threads_have_their_own_connections(store: Store) -> None:
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with store.transaction() as tx:
                tx.run(_PUT, (f"n{number}", ""))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(_names(store)) == 8


def test_many_first_openers_create_one_schema(store_url: str) -> None:
    opened: list[Store] = []
    errors: list[BaseException] = []

    def create() -> None:
        try:
            opened.append(open_store(store_url))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in opened:
        each.close()
    assert not errors
    assert len(opened) == 6


def test_a_newer_record_is_refused(store_url: str) -> None:
    first = open_store(store_url)
    with first.transaction() as tx:
        tx.run("UPDATE meta SET value = '999' WHERE name = 'schema'")
    first.close()
    with pytest.raises(StoreError, match="newer llmops-kernel"):
        open_store(store_url)


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite:///", "sqlite:///:memory:", "x.db"])
def test_other_urls_are_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url)
    assert "sqlite:///" in caught.value.hint


def test_postgres_label_hides_the_password(postgres_url: str) -> None:
    store = open_store(postgres_url)
    assert store.shared
    assert "postgresql://" in store.label
    store.close()
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://me:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in caught.value.sentence()


def test_sqlite_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "record.db"
    store = open_store(f"sqlite:///{path}")
    with store.transaction() as tx:
        tx.run(_PUT, ("x", ""))
    for name in (p.name for p in path.parent.iterdir()):
        mode = stat.S_IMODE((path.parent / name).stat().st_mode)
        assert mode == 0o600, name
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are my notes, do not touch" * 100)
    with pytest.raises(StoreError, match="not a SQLite file"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("these are my notes")


def test_a_lock_held_by_another_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops_kernel.store.sqlite._PATIENCE_MS", 50)
    path = tmp_path / "record.db"
    open_store(f"sqlite:///{path}").close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked by another process"):
        open_store(f"sqlite:///{path}")
    other.close()


async def test_a_busy_record_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    import asyncio

    store = open_store(f"sqlite:///{tmp_path / 'record.db'}")
    other = sqlite3.connect(tmp_path / "record.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    def write() -> None:
        with store.transaction() as tx:
            tx.run(_PUT, ("late", ""))

    ticking = asyncio.create_task(tick())
    writing = asyncio.create_task(store.arun(write))
    await asyncio.sleep(0.2)
    assert not writing.done()
    assert ticks > 5
    other.execute("COMMIT")
    await writing
    ticking.cancel()
    other.close()
    assert _names(store) == {"late"}
    store.close()


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'record.db'}")
    with store.transaction() as tx:
        tx.run(_PUT, ("before", ""))
        pages = tx.rows("PRAGMA page_count")[0][0]
        tx.run(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk of the record is full"), store.transaction() as tx:
        tx.run(_PUT, ("big", "x" * 1_000_000))
    assert _names(store) == {"before"}
    store.close()


def test_network_file_systems_are_recognised(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "server:/home /home nfs4 rw 0 0\n/dev/sda / ext4 rw 0 0\n"
        "/dev/sdb /home/local ext4 rw 0 0\n//nas/my\\040files /nas/my\\040files cifs rw 0 0\n"
    )
    assert network_filesystem(Path("/home/me/llmops.db"), mounts) == "nfs4"
    assert network_filesystem(Path("/home/local/me/llmops.db"), mounts) == ""
    assert network_filesystem(Path("/nas/my files/llmops.db"), mounts) == "cifs"
    assert network_filesystem(Path("/var/llmops.db"), mounts) == ""
    assert network_filesystem(Path("/x"), tmp_path / "none") == ""


def test_a_store_works_after_a_fork(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'record.db'}")
    with store.transaction() as tx:
        tx.run(_PUT, ("parent", ""))
    child = os.fork()
    if child == 0:
        try:
            with store.transaction() as tx:
                tx.run(_PUT, ("child", ""))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert _names(store) == {"parent", "child"}
    store.close()
