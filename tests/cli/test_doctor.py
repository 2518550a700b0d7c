"""What the doctor finds, on installations that are really broken."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from llmops_kernel import Session
from llmops_kernel.cli import main
from llmops_kernel.doctor import Check, run_checks
from llmops_kernel.doctor.packages import extras, poisoned_packages, suspicious_startup_files
from llmops_kernel.kernel.install import install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record with a call in it."""
    with Session() as session:
        session.ask("What is a ledger?", model="sim/gpt-4o", max_tokens=16)
    return tmp_path / "home" / "llmops.db"


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_sound_installation_has_no_failure(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert set(checks) == {
        "settings", "store", "store permissions", "balances", "clock", "cache", "endpoint", "keys",
        "prices", "kernel", "extras", "startup files", "packages",
    }  # fmt: skip
    assert "fail" not in {check["state"] for check in checks.values()}
    assert checks["store"]["detail"].startswith(f"sqlite:///{record}")
    assert checks["endpoint"]["detail"].endswith("and only with the token")


def test_text_shows_whole_paths_and_what_to_do(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.chmod(0o644)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"fail  store permissions  Others can read {record}" in out
    assert f"→ chmod 600 {record}" in out


def test_a_changed_balance_is_found(record: Path) -> None:
    with closing(sqlite3.connect(record)) as connection, connection:
        connection.execute("UPDATE balance SET spent = spent + 5 WHERE scope = 'user'")
    check = by_name(run_checks())["balances"]
    assert check.state == "fail"
    assert "differ from the event log" in check.detail


def test_a_clock_behind_the_record_is_found(record: Path) -> None:
    with closing(sqlite3.connect(record)) as connection, connection:
        connection.execute("UPDATE event SET at = at + 86400000000")
    # Nothing can be opened then, which is the point; the reason is told.
    failed = [check for check in run_checks() if check.state == "fail"]
    assert [check.name for check in failed] in (["store"], ["clock"])
    assert "clock of this machine went backwards" in failed[0].detail


def test_a_record_that_is_no_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "llmops.db").write_text("this is no database, by no means " * 50)
    checks = by_name(run_checks())
    assert checks["store"].state == "fail"
    assert "not a SQLite file" in checks["store"].detail
    assert "prices" in checks  # the rest is still checked
    assert "endpoint" not in checks


def test_a_broken_llmops_toml_is_found(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text("modle = 'x'\n")
    checks = by_name(run_checks())
    assert checks["settings"].state == "fail"
    assert "did you mean 'model'" in checks["settings"].detail
    assert "store" not in checks


def test_keys_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen-1234567890")
    check = by_name(run_checks())["keys"]
    assert check.detail == "Found OPENAI_API_KEY"


def test_a_given_session_is_checked_and_left_open() -> None:
    with Session(model="sim/gpt-4o") as session:
        assert by_name(run_checks(session))["store"].state == "ok"
        assert session.ask("Still there?", max_tokens=16).text


def test_a_kernel_of_another_python_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    folder = install(prefix=tmp_path)
    assert by_name(run_checks())["kernel"] == Check("kernel", "ok", str(folder))
    spec = json.loads((folder / "kernel.json").read_text())
    spec["argv"][0] = "/opt/other/bin/python"
    (folder / "kernel.json").write_text(json.dumps(spec))
    check = by_name(run_checks())["kernel"]
    assert check.state == "warn"
    assert f"/opt/other/bin/python, this is {sys.executable}" in check.detail


def test_startup_files_of_malware_are_told_from_those_of_tools(tmp_path: Path) -> None:
    files = {
        "litellm_init.pth": "import os",
        "helper.pth": "import base64; exec(base64.b64decode('cHJpbnQoMSk='))",
        "long.pth": "import os; x = '" + "A" * 5_000 + "'",
        "folders.pth": "/opt/base64\n./subprocess",  # folders are not run
        "distutils-precedence.pth": "import os; enabled = True; __import__('x')",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = {each.path.name: each for each in suspicious_startup_files([tmp_path])}
    assert set(found) == {"litellm_init.pth", "helper.pth", "long.pth"}
    assert [name for name, each in found.items() if each.surely] == ["litellm_init.pth"]
    assert found["helper.pth"].reason == "runs code with base64"


@pytest.mark.parametrize(("number", "bad"), [("1.82.7", True), ("1.82.8", True), ("1.82.6", False)])
def test_malicious_releases_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, bad: bool
) -> None:
    info = tmp_path / f"litellm-{number}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {number}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert poisoned_packages() == ([f"litellm {number}"] if bad else [])
    state = by_name(run_checks())["packages"].state
    assert state == ("fail" if bad else "ok")


def test_extras_are_read_from_the_distribution() -> None:
    found = extras()
    assert {"alerts", "keyring", "lab", "postgres", "rag"} <= set(found)
    assert not {"all", "test"} & set(found)
    assert found["postgres"] == []
