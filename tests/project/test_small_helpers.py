"""What every room may use: names looked up late, silent loggers, hashes, starts of processes."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_kernel.embed
import llmops_kernel.finetune
import llmops_kernel.rag
import llmops_kernel.rag.evaluate
import llmops_kernel.runs
from llmops_kernel.files import sha256_of
from llmops_kernel.lazy import lazily
from llmops_kernel.processes import process_start
from llmops_kernel.quiet import quiet

ROOMS = (
    llmops_kernel.embed,
    llmops_kernel.finetune,
    llmops_kernel.rag,
    llmops_kernel.rag.evaluate,
    llmops_kernel.runs,
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_every_public_name_of_a_room_is_found(room: object) -> None:
    for name in room.__all__:  # type: ignore[attr-defined]
        assert getattr(room, name) is not None
    with pytest.raises(
        AttributeError, match=f"module '{room.__name__}' has no attribute 'nothing'"
    ):  # type: ignore[attr-defined]
        room.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_a_room_imports_nothing_before_it_is_asked() -> None:
    code = (
        "import sys, llmops_kernel.embed, llmops_kernel.rag, llmops_kernel.finetune\n"
        "heavy = {'numpy', 'llama_index', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_is_looked_up_where_it_lives() -> None:
    look_up = lazily("os", {"join": "path"})
    assert look_up("join") is os.path.join
    with pytest.raises(AttributeError, match="module 'os' has no attribute 'split'"):
        look_up("split")


def test_a_logger_is_silent_within_and_as_it_was_after(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a.library")
    logger.setLevel(logging.INFO)
    with pytest.raises(ValueError, match="broken"), quiet("a.library"):
        logger.error("within")
        raise ValueError("broken")
    logger.info("after")
    assert [record.message for record in caplog.records] == ["after"]
    assert logger.level == logging.INFO


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "x").write_bytes(data)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_a_process_has_one_start_and_a_dead_one_has_none() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid()) != ""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        child.wait()
    assert process_start(child.pid) is None
