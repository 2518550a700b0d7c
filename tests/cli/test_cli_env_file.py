"""The gateway's env file: whole, private, and never somebody else's."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from llmops_kernel.cli.gateway import check_env_file, remove_env_file, write_env_file
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "# Written by llmops gateway; removed when it stops.\nOPENAI_API_KEY=x\n"


def test_it_is_private_and_leaves_no_part(tmp_path: Path) -> None:
    file = tmp_path / "gateway.env"
    file.touch(mode=0o644)  # mktemp's empty file is fine
    check_env_file(file)
    write_env_file(file, TEXT)
    assert file.read_text() == TEXT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_an_earlier_gateways_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "gateway.env"
    write_env_file(file, TEXT)
    check_env_file(file)


def test_a_persons_own_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=sk-precious\n")
    with pytest.raises(UsageProblem, match="not the gateway's"):
        check_env_file(file)
    assert file.read_text() == "OPENAI_API_KEY=sk-precious\n"


def test_a_missing_folder_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="folder of --env-file"):
        check_env_file(tmp_path / "none" / "gateway.env")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be used"):
        check_env_file(tmp_path)


def test_only_an_unchanged_file_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "gateway.env"
    write_env_file(file, TEXT)
    file.write_text(TEXT + "MINE=1\n")
    remove_env_file(file, TEXT)
    assert file.exists()
    write_env_file(file, TEXT)
    remove_env_file(file, TEXT)
    assert not file.exists()
    remove_env_file(file, TEXT)
